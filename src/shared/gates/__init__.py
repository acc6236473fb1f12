"""The gates: a module for each thing outside. Only they call AWS, read the environment or write a log."""
