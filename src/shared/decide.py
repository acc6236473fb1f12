"""Look at the object, decide, start: for live events and backfills alike."""

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from shared.arrival import ObjectCreated, Skip
from shared.outcome import Coalesced, Duplicate, Outcome, Started
from shared.plan import Execution, Gathering, Route, gather, plan, screen
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

    Raises ForeignObjectError, PermanentCallError or RetryableCallError.
    """
    if skip := screen(created, route):
        return skip
    if not route.window_seconds:
        stored = read_object(s3, created)
        return stored if isinstance(stored, Skip) else plan(stored, route, reprocess)
    # A window's listing shows what is current, so the event of an overwritten version speaks for the newer one.
    current = replace(created, version_id=None)
    found, seen_at = look(partial(read_object, s3, current), time.time)
    return found if isinstance(found, Skip) else gather(found, route, seen_at, reprocess)


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
            return start_execution(sfn, decision, trace_header)
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
            return Started(decision.arn) if read_start_date(sfn, decision) is None else Duplicate(decision.arn)
    joined = foresee(
        decision.arrival,
        windows.memory,
        partial(read_manifest, windows.s3, decision.results_bucket),
        lambda name: read_start_date(sfn, Execution(decision.machine_arn, name, "")),
    )
    return _outcome(joined, decision)


def _outcome(joined: Joined, decision: Gathering) -> Started | Coalesced:
    arn = Execution(decision.machine_arn, joined.generation.name, joined.generation.input).arn
    return Started(arn) if joined.new else Coalesced(arn)
