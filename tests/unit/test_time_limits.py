"""How long calls may take, from the configuration of the real clients, and the timeouts that must cover it."""

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff

from handlers import (
    backfill_batch,
    backfill_report,
    backfill_request,
    check_expectations,
    look_again,
    start_execution,
)
from tests.unit.resolved import FUNCTIONS, GLOBALS

# Seconds. What an invocation needs beside its calls: the cold start of 512 MB, the log line, and some air.
COLD_START = 10


class _Throttled:
    """What botocore asks of an attempt: it was throttled, and S3 asked for a pause of a minute."""

    http_response = SimpleNamespace(headers={"x-amz-retry-after": "60000"})

    def __init__(self, attempt: int) -> None:
        self.attempt_number = attempt

    def is_throttling_error_from_context(self, _context: object) -> bool:
        return True


def longest(client: Any) -> float:
    """Return the seconds that one call takes at worst: all attempts in full, and the longest pauses between them."""
    config = client.meta.config
    attempts: int = config.retries["total_max_attempts"]
    make: Any = ExponentialBackoff
    backoff = make(random=lambda: 1, throttling_detector=_Throttled(0))
    pauses = sum(backoff.delay_amount(_Throttled(attempt)) for attempt in range(1, attempts))
    return float(attempts * (config.connect_timeout + config.read_timeout) + pauses)


@pytest.mark.parametrize(
    ("name", "clients"),
    [
        # HeadObject of the current version and of the announced one, StartExecution.
        ("StartExecutionFunction", [start_execution.s3, start_execution.s3, start_execution.sfn]),
        # A set of twenty: HeadObject of each, GetObject of the manifest, StartExecution, and both again for the next generation.
        ("StartExecutionFunction", [start_execution.s3] * 20 + [start_execution.s3, start_execution.sfn] * 2),
        # A set in a folder: HeadObject, ten listings, and then the same.
        ("StartExecutionFunction", [start_execution.s3] * 11 + [start_execution.s3, start_execution.sfn] * 2),
        # With windows, at a close: HeadObject, StartExecution, GetObject of a manifest, StartExecution of the next one.
        ("StartExecutionFunction", [start_execution.s3, start_execution.sfn, start_execution.s3, start_execution.sfn]),
        # HeadBucket, and again where the bucket is.
        ("BackfillRequestFunction", [backfill_request.s3, backfill_request.s3]),
        # One object; a batch that takes longer is tried again, and what it started is a duplicate then.
        ("BackfillBatchFunction", [backfill_batch.s3, backfill_batch.sfn]),
        # A listing and an incident of one route; a tick that is cut off is made good by the next one.
        ("CheckExpectationsFunction", [check_expectations.s3, check_expectations.sfn]),
        # A page of a listing.
        ("LookAgainFunction", [look_again.s3]),
        # The manifest and one file.
        ("BackfillReportFunction", [backfill_report.s3, backfill_report.s3]),
    ],
)
def test_all_calls_end_inside_the_timeout(name: str, clients: list[Any]) -> None:
    """At worst all of them fail; then there is still time to say so, and to say it of the right object."""
    timeout = FUNCTIONS[name].get("Timeout", GLOBALS["Timeout"])

    assert sum(map(longest, clients)) + COLD_START <= timeout


@pytest.mark.parametrize(
    ("client", "attempts"),
    [
        (start_execution.s3, 3),
        (start_execution.sfn, 3),
        (backfill_request.s3, 3),
        (backfill_batch.s3, 8),
        (backfill_batch.sfn, 8),
        (backfill_report.s3, 8),
        (check_expectations.s3, 3),
        (check_expectations.sfn, 3),
        (look_again.s3, 8),
    ],
)
def test_every_client_gives_up_in_time(client: Any, attempts: int) -> None:
    """A hanging connection costs seconds, not the minute that botocore waits by itself; a backfill has more patience."""
    config = client.meta.config

    assert ("file-arrival-trigger", 1, 3, "standard", attempts) == (
        config.user_agent.split()[0],
        config.connect_timeout,
        config.read_timeout,
        config.retries["mode"],
        config.retries["total_max_attempts"],
    )
