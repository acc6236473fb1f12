"""Quiet handlers."""

from collections.abc import Iterator

import pytest

from tests.simulation.quiet import quiet


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Silence the handlers: thousands of invocations would print."""
    with quiet():
        yield
