"""Quiet handlers."""

from collections.abc import Iterator

import pytest

from tests.simulation.quiet import quiet


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Say nothing: thousands of invocations do."""
    with quiet():
        yield
