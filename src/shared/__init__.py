"""The domain and the gates to AWS; imports nothing from handlers."""
