"""The handlers as they are, without what they print; that is the unit tests' business."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from handlers import backfill_batch, start_execution
from shared.gates import step_functions
from shared.gates.settings import stack_route


@contextmanager
def quiet() -> Iterator[None]:
    """Silence telemetry, and give back clients and clock afterwards."""

    def nothing(*_: object) -> None:
        pass

    with (
        patch.object(start_execution, "report_outcome", nothing),
        patch.object(start_execution, "report_failure", nothing),
        patch.object(backfill_batch, "report_backfill", nothing),
        patch.object(start_execution, "s3", start_execution.s3),
        patch.object(start_execution, "sfn", start_execution.sfn),
        patch.object(start_execution, "stack_route", stack_route),
        patch.object(backfill_batch, "s3", backfill_batch.s3),
        patch.object(backfill_batch, "sfn", backfill_batch.sfn),
        patch.object(backfill_batch, "stack_route", stack_route),
        patch.object(step_functions, "time", time),
    ):
        yield
