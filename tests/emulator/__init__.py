"""The local cloud on its own: each gap of ministack that it closes, through AWS APIs."""
