"""The emulator's own seams; what they do is shown by the integration tests."""
