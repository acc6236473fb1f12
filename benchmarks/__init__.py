"""How fast the function is, beside its peers."""
