"""The local cloud, with its demo and playground."""
