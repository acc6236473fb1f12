"""The handlers as they are, without what they print; that is the unit tests' business."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from handlers import backfill_batch, start_execution
from shared.gates import step_functions
from shared.gates.settings import this_stack


@contextmanager
def quiet() -> Iterator[None]:
    """Silence telemetry, and give back clients and clock afterwards."""

    def nothing(*_: object) -> None:
        pass

    with (
        patch.object(start_execution, "report_outcome", nothing),
        patch.object(start_execution, "report_failure", nothing),
        patch.object(backfill_batch, "report_backfill", nothing),
        patch.object(start_execution, "gates", start_execution.gates),
        patch.object(start_execution, "this_stack", this_stack),
        patch.object(backfill_batch, "gates", backfill_batch.gates),
        patch.object(backfill_batch, "this_stack", this_stack),
        patch.object(step_functions, "time", time),
    ):
        yield
