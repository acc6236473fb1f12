"""Plant one bug at a time in what is deployed, and see which test notices: `make mutants`, docs/testing.md."""
