"""What operators run beside the stack."""
