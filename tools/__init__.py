"""The operators' tools beside the stack."""
