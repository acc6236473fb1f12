"""From an object that was announced to its outcome: look at it, plan, start. For live events and backfills alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from shared.domain.arrival import ObjectCreated, Skip, SkipReason, StoredObject
from shared.domain.choose import Stack, choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.gather import Gathering, gather
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started
from shared.domain.plan import Execution, plan
from shared.domain.windows import Joined, Memory, Opened, foresee_join, join

type Plan = Execution | Gathering | Skip


class Gates(NamedTuple):
    """What a plan and a start ask of the outside; gates/ has a function for each, and the handlers put them together.

    `read_object` returns None for an object that is gone, `read_manifest` for a manifest that is not there,
    `start_execution` for a name that is taken, `read_start_date` for a name that is free.
    """

    read_object: Callable[[ObjectCreated], StoredObject | None]
    read_manifest: Callable[[str, str], bytes | None]
    start_execution: Callable[[Execution], Opened | None]
    read_start_date: Callable[[Execution], float | None]
    clock: Callable[[], float]
    memory: Memory


def plan_arrival(gates: Gates, created: ObjectCreated, stack: Stack, reprocess: str | None = None) -> Plan:
    """Look at the object and plan; the order spares S3 a call wherever the key is answer enough.

    Raises ForeignObjectError, UnsafeTargetError, PermanentCallError or RetryableCallError.
    """
    choice = choose(created, stack)
    if isinstance(choice, Skip):
        return choice
    with _about(choice.name):
        # A window's listing shows what is current, so the event of an overwritten version speaks for the newer one.
        gathered = bool(choice.route.window_seconds)
        stored = gates.read_object(replace(created, version_id=None) if gathered else created)
        # After the answer, not before: what S3 told was visible by then, however long it took.
        seen_at = gates.clock()
        if stored is None:
            why = "deleted, or replaced by a delete marker, before its event came"
            return Skip(SkipReason.OBJECT_GONE, why, choice.name)
        if skip := screen_object(stored.size, choice):
            return skip
        if gathered:
            return gather(stored, choice, stack, seen_at, reprocess)
        return plan(stored, choice, stack, reprocess)


def start(gates: Gates, planned: Plan) -> Outcome:
    """Carry out a plan.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            opened = gates.start_execution(planned)
            new = opened is not None and opened.new
            return Started(planned.arn, planned.route) if new else Duplicate(planned.arn, planned.route)
        joined = join(
            planned.sighting,
            gates.memory,
            lambda key: gates.read_manifest(planned.results_bucket, key),
            lambda name, given: gates.start_execution(Execution(planned.machine_arn, name, given)),
        )
        return _joined(joined, planned)


def foresee(gates: Gates, planned: Plan) -> Outcome:
    """Return what carrying out a plan would do, without starting anything.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            known = gates.read_start_date(planned) is not None
            return Duplicate(planned.arn, planned.route) if known else Started(planned.arn, planned.route)
        joined = foresee_join(
            planned.sighting,
            gates.memory,
            lambda key: gates.read_manifest(planned.results_bucket, key),
            lambda name: gates.read_start_date(Execution(planned.machine_arn, name, "")),
        )
        return _joined(joined, planned)


def _joined(joined: Joined, planned: Gathering) -> Started | Coalesced:
    arn = Execution(planned.machine_arn, joined.generation.name, joined.generation.input).arn
    return Started(arn, planned.route) if joined.new else Coalesced(arn, planned.route)


@contextmanager
def _about(route: str | None) -> Iterator[None]:
    """Let whatever fails inside tell the name of its route file."""
    try:
        yield
    except ArrivalError as error:
        error.route = route
        raise
