"""What every unit test gets: an environment like template.yaml's, a clock far from UTC, no sockets, and all the time it takes."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

from tests.unit.builders import ENVIRONMENT

os.environ.update(ENVIRONMENT)
# Wherever the code takes local time for UTC, it is five and three quarter hours wrong.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()
# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    """Fail a test that talks to anybody."""
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
