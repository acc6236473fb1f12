"""The same for each test here as for a unit test."""

from tests.unit.conftest import no_sockets

__all__ = ["no_sockets"]
