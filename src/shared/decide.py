"""Look at the object, decide, start: for live events and backfills alike."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from shared.arrival import ObjectCreated, Skip
from shared.errors import ArrivalError
from shared.outcome import Coalesced, Duplicate, Outcome, Started
from shared.plan import Execution, Gathering, Route, choose, gather, plan
from shared.s3 import read_manifest, read_object
from shared.step_functions import open_execution, read_start_date, start_execution
from shared.windows import Joined, Memory, foresee, join, look

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


class WindowGates(NamedTuple):
    """What it takes to join a window, beside Step Functions: manifests, and what this environment knows already."""

    s3: "S3Client"
    memory: Memory


def plan_for(
    s3: "S3Client", created: ObjectCreated, route: Route, reprocess: str | None = None
) -> Execution | Gathering | Skip:
    """Look at the object and decide; the order spares S3 a call wherever the key is answer enough.

    Raises ForeignObjectError, UnsafeTargetError, PermanentCallError or RetryableCallError.
    """
    chosen = choose(created, route)
    if isinstance(chosen, Skip):
        return chosen
    with _about(chosen.name):
        if not chosen.window_seconds:
            stored = read_object(s3, created)
            return replace(stored, route=chosen.name) if isinstance(stored, Skip) else plan(stored, chosen, reprocess)
        # A window's listing shows what is current, so the event of an overwritten version speaks for the newer one.
        current = replace(created, version_id=None)
        found, seen_at = look(partial(read_object, s3, current), time.time)
        if isinstance(found, Skip):
            return replace(found, route=chosen.name)
        return gather(found, chosen, seen_at, reprocess)


def start_for(
    sfn: "SFNClient", decision: Execution | Gathering | Skip, trace_header: str | None, windows: WindowGates
) -> Outcome:
    """Carry out a decision.

    Raises PermanentCallError or RetryableCallError.
    """
    match decision:
        case Skip():
            return decision
        case Execution():
            with _about(decision.route):
                return start_execution(sfn, decision, trace_header)
    with _about(decision.route):
        joined = join(
            decision.arrival,
            windows.memory,
            partial(read_manifest, windows.s3, decision.results_bucket),
            lambda name, given: open_execution(sfn, Execution(decision.machine_arn, name, given), trace_header),
        )
    return _outcome(joined, decision)


def foresee_for(sfn: "SFNClient", decision: Execution | Gathering | Skip, windows: WindowGates) -> Outcome:
    """Return what carrying out a decision would do, without starting anything.

    Raises PermanentCallError or RetryableCallError.
    """
    match decision:
        case Skip():
            return decision
        case Execution():
            known = read_start_date(sfn, decision) is not None
            return Duplicate(decision.arn, decision.route) if known else Started(decision.arn, decision.route)
    joined = foresee(
        decision.arrival,
        windows.memory,
        partial(read_manifest, windows.s3, decision.results_bucket),
        lambda name: read_start_date(sfn, Execution(decision.machine_arn, name, "")),
    )
    return _outcome(joined, decision)


def _outcome(joined: Joined, decision: Gathering) -> Started | Coalesced:
    arn = Execution(decision.machine_arn, joined.generation.name, joined.generation.input).arn
    return Started(arn, decision.route) if joined.new else Coalesced(arn, decision.route)


@contextmanager
def _about(route: str | None) -> Iterator[None]:
    """Let whatever fails inside tell the name of its route file."""
    try:
        yield
    except ArrivalError as error:
        error.route = route
        raise
