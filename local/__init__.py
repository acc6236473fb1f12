"""The local cloud, and what is shown and tried on it."""
