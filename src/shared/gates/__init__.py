"""The gates: one module for each thing outside. Only what is in here calls AWS, reads the environment or writes a log."""
