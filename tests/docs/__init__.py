"""The pages: what they link to, show and tell is so."""
