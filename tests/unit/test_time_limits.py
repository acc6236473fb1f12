"""How long calls may take, from the configuration of the real clients, and the timeouts that must cover it."""

from types import SimpleNamespace
from typing import Any

from botocore.retries.standard import ExponentialBackoff

from handlers import (
    backfill_batch,
    backfill_report,
    backfill_request,
    check_expectations,
    collect_window,
    look_again,
    start_execution,
)
from tests.unit.resolved import FUNCTIONS, GLOBALS

# Seconds. What an invocation needs beside its calls: the cold start of 512 MB, the log line, and some air.
COLD_START = 10


def longest(client: Any) -> float:
    """Return the seconds that one call takes at worst: all attempts in full, and the longest pauses between them."""

    def throttled(attempt: int) -> Any:
        """Be what botocore asks of an attempt: it was throttled, and S3 asked for a pause of a minute."""
        response = SimpleNamespace(headers={"x-amz-retry-after": "60000"})
        always = {"is_throttling_error_from_context": lambda _context: True}
        return SimpleNamespace(attempt_number=attempt, http_response=response, **always)

    config = client.meta.config
    attempts: int = config.retries["total_max_attempts"]
    make: Any = ExponentialBackoff
    backoff = make(random=lambda: 1, throttling_detector=throttled(0))
    pauses = sum(backoff.delay_amount(throttled(attempt)) for attempt in range(1, attempts))
    return float(attempts * (config.connect_timeout + config.read_timeout) + pauses)


LIVE, SFN = start_execution.s3, start_execution.sfn
# What a function calls at worst, one after the other.
CALLS: dict[tuple[str, str], list[Any]] = {
    # HeadObject of each, GetObject of the manifest, StartExecution, and both again for the next generation. A single
    # object, a close of a window, and a set in a folder (ten listings) take less.
    ("StartExecution", "a set of twenty"): [LIVE] * 20 + [LIVE, SFN] * 2,
    ("BackfillRequest", "HeadBucket, and again where the bucket is"): [backfill_request.s3] * 2,
    # A batch that takes longer is tried again, and what it started is a duplicate then.
    ("BackfillBatch", "one object"): [backfill_batch.s3, backfill_batch.sfn],
    # A tick that is cut off is made good by the next one.
    ("CheckExpectations", "a listing and an incident of one route"): [check_expectations.s3, check_expectations.sfn],
    ("LookAgain", "a page of a listing"): [look_again.s3],
    ("BackfillReport", "the manifest and one file"): [backfill_report.s3] * 2,
}
# How often a client tries, in all.
ATTEMPTS = {
    **dict.fromkeys((start_execution, backfill_request, check_expectations), 3),
    **dict.fromkeys((backfill_batch, backfill_report, collect_window, look_again), 8),
}

RETRIES = ("mode", "total_max_attempts")


def test_all_calls_end_inside_the_timeout() -> None:
    """At worst all of them fail; then there is still time to say so, and to say it of the right object."""
    seconds = {key: sum(map(longest, clients)) + COLD_START for key, clients in CALLS.items()}
    timeouts = {name: FUNCTIONS[f"{name}Function"].get("Timeout", GLOBALS["Timeout"]) for name, _ in CALLS}

    assert {} == {key: time for key, time in seconds.items() if time > timeouts[key[0]]}


def test_every_client_gives_up_in_time() -> None:
    """A hanging connection costs seconds, not the minute that botocore waits by itself; a backfill has more patience."""
    clients = {
        f"{module.__name__}.{name}": (getattr(module, name).meta.config, attempts)
        for module, attempts in ATTEMPTS.items()
        for name in ("s3", "sfn")
        if hasattr(module, name)
    }

    assert {name: ("file-arrival-trigger", 1, 3, "standard", attempts) for name, (_, attempts) in clients.items()} == {
        name: (one.user_agent.split()[0], one.connect_timeout, one.read_timeout, *map(one.retries.get, RETRIES))
        for name, (one, _) in clients.items()
    }
