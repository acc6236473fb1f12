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


# How often the clients of a handler try, in all; how many calls it makes at worst, one after the other.
CALLS = {
    # A set of twenty: HeadObject of each, GetObject of the manifest, StartExecution, and both again for the next
    # generation. A single object, a close of a window, and a set in a folder (ten listings) take less.
    start_execution: (3, 24),
    # HeadBucket, and again where the bucket is.
    backfill_request: (3, 2),
    # One object: a batch that takes longer is tried again, and what it started is a duplicate then.
    backfill_batch: (8, 2),
    # The manifest and one file.
    backfill_report: (8, 2),
    # A listing and an incident of one route: a tick that is cut off is made good by the next one.
    check_expectations: (3, 2),
    # A page of a listing; a collect is tried again, too.
    look_again: (8, 1),
    collect_window: (8, 2),
}
RETRIES = ("mode", "total_max_attempts")


def test_all_calls_end_inside_the_timeout() -> None:
    """Of each function of the template, by its handler; at worst all fail, and then there is time to say so."""
    timeouts = {one["Handler"]: one.get("Timeout", GLOBALS["Timeout"]) for one in FUNCTIONS.values()}
    seconds = {
        f"{module.handler.__module__}.handler": calls * longest(module.s3) + COLD_START
        for module, (_, calls) in CALLS.items()
    }

    assert seconds.keys() == timeouts.keys()
    assert {} == {handler: time for handler, time in seconds.items() if time > timeouts[handler]}


def test_every_client_gives_up_in_time() -> None:
    """A hanging connection costs seconds, not the minute that botocore waits; a backfill has more patience."""
    clients = [
        (f"{module.__name__}.{name}", getattr(module, name).meta.config, attempts)
        for module, (attempts, _) in CALLS.items()
        for name in ("s3", "sfn")
        if hasattr(module, name)
    ]

    assert [(name, "file-arrival-trigger", 1, 3, "standard", attempts) for name, _, attempts in clients] == [
        (name, one.user_agent.split()[0], one.connect_timeout, one.read_timeout, *map(one.retries.get, RETRIES))
        for name, one, _ in clients
    ]
