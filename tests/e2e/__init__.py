"""A real account, opt-in: `make e2e STACK=glueworkshop`."""
