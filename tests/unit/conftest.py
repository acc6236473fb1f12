"""What every unit test gets: an environment like template.yaml's, no sockets, and all the time it takes."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from tests.unit.builders import ENVIRONMENT

os.environ.update(ENVIRONMENT)
# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """Fail a test that talks to anybody."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
