"""No sockets: pure code, moto in process, and small fakes."""
