"""Measurements of the function, beside its peers."""
