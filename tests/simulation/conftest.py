"""The handlers as they are, without what they print; that is the unit tests' business."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import pytest

from handlers import backfill_batch, collect_window, start_execution
from shared.gates import real, step_functions


@contextmanager
def quiet() -> Iterator[None]:
    """Silence telemetry, and give back clients, settings and clock afterwards."""
    with ExitStack() as stack:
        for module in (start_execution, backfill_batch, collect_window, real, step_functions):
            silent = {name: _nothing for name in vars(module) if name.startswith("report_")}
            stack.enter_context(patch.dict(vars(module), silent))
        yield


def _nothing(*_: object) -> None:
    pass


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Silence the handlers: thousands of invocations would print."""
    with quiet():
        yield
