"""What every unit test gets: an environment like template.yaml's, and no sockets."""

import os
from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket

from tests.unit.builders import ENVIRONMENT

os.environ.update(ENVIRONMENT)


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """Fail a test that talks to anybody."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
