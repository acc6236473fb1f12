"""What every unit test gets: an environment like template.yaml's, a clock far from UTC, no sockets, and patience."""

import importlib
import os
import time
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import Phase, settings
from pytest_socket import disable_socket, enable_socket

from tests.unit.builders import ENVIRONMENT, HEAD, STARTED, Client, give

os.environ.update(ENVIRONMENT)
# Wherever the code takes local time for UTC, it is five and three quarter hours wrong.
os.environ["TZ"] = "Asia/Kathmandu"
time.tzset()
# Each start of moto is a new session of boto3; they share the models that they read, a tenth of a second each time.
LOADER = create_loader()
botocore.session.create_loader = lambda *_: LOADER
# A busy machine is no failure. A mistake that ten properties notice is told at once, as it was found; to have each
# example made small, which takes minutes: pytest --hypothesis-profile=small FILE
settings.register_profile("small", deadline=None)
told = [Phase.explicit, Phase.reuse, Phase.generate]
settings.register_profile("quick", deadline=None, phases=told, report_multiple_bugs=False)
settings.load_profile("quick")


@pytest.fixture(autouse=True)
def no_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give the handler an S3 that has every object and a Step Functions that starts everything; the logger prints."""
    live = importlib.import_module("handlers.start_execution")  # once the environment is there
    both = SimpleNamespace(s3=Client(HEAD), sfn=Client(STARTED))
    give(live, monkeypatch, s3=both.s3, sfn=both.sfn)
    # The logger keeps the stream it was made with, pytest changes it for each test.
    monkeypatch.setattr(
        live.logger.handlers[0],
        "stream",
        SimpleNamespace(write=partial(print, end=""), flush=lambda: None),
    )
    return both
