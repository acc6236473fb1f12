"""The gates: one module for each outside service. Only they call AWS, read the environment or write a log."""
