"""From an object that was announced to its outcome: look at it, plan, start. For live events and backfills alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from shared.domain.arrival import ObjectCreated, Skip, SkipReason, StoredObject
from shared.domain.choose import Stack, choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.gather import Gathering, file_of, gather
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.plan import Execution, plan
from shared.domain.routes import Choice
from shared.domain.windows import File, Joined, Listing, Memory, Opened, foresee_join, join

type Plan = Execution | Gathering | Waiting | Skip


class Gates(NamedTuple):
    """What a plan and a start ask of the outside; gates/ has a function for each, and the handlers put them together.

    `read_object` returns None for an object that is gone, `read_manifest` for a manifest that is not there,
    `start_execution` for a name that is taken, `read_start_date` for a name that is free.
    """

    read_object: Callable[[ObjectCreated], StoredObject | None]
    list_page: Callable[[Listing, str | None], tuple[list[File], str | None]]
    read_manifest: Callable[[str, str], bytes | None]
    start_execution: Callable[[Execution], Opened | None]
    read_start_date: Callable[[Execution], float | None]
    clock: Callable[[], float]
    memory: Memory


def plan_arrival(gates: Gates, created: ObjectCreated, stack: Stack, reprocess: str | None = None) -> Plan:
    """Look at the object and plan; the order spares S3 a call wherever the key is answer enough.

    Raises ForeignObjectError, UnsafeTargetError, SetTooLargeError, PermanentCallError or RetryableCallError.
    """
    choice = choose(created, stack)
    if isinstance(choice, Skip):
        return choice
    with _about(choice.name):
        # A collect looks at what is current, so the event of an overwritten version speaks for the newer one.
        gathered = bool(choice.route.window_seconds or choice.route.set)
        stored = gates.read_object(created._replace(version_id=None) if gathered else created)
        # After the answer, not before: what S3 told was visible by then, however long it took.
        seen_at = gates.clock()
        if stored is None:
            why = "deleted, or replaced by a delete marker, before its event came"
            return Skip(SkipReason.OBJECT_GONE, why, choice.name)
        if skip := screen_object(stored.size, choice):
            return skip
        if choice.route.set:
            return _look_at_set(gates, stored, choice, stack, reprocess)
        if gathered:
            return gather(stored, choice, stack, seen_at, reprocess)
        return plan(stored, choice, stack, reprocess)


def start(gates: Gates, planned: Plan) -> Outcome:
    """Carry out a plan.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip | Waiting):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            opened = gates.start_execution(planned)
            new = opened is not None and opened.new
            return Started(planned.arn, planned.route) if new else Duplicate(planned.arn, planned.route)
        joined = join(
            planned.sighting,
            _memory(gates, planned),
            lambda key: gates.read_manifest(planned.results_bucket, key),
            lambda name, given: gates.start_execution(Execution(planned.machine_arn, name, given)),
        )
        if planned.run:
            # Members come together: what the clocks can't tell apart, this environment can.
            name = joined.generation.name
            joined = joined._replace(new=joined.new and name not in gates.memory.start_dates)
            gates.memory.keep_start_date(name, planned.sighting.seen_at)
        return _joined(joined, planned)


def foresee(gates: Gates, planned: Plan) -> Outcome:
    """Return what carrying out a plan would do, without starting anything.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip | Waiting):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            known = gates.read_start_date(planned) is not None
            return Duplicate(planned.arn, planned.route) if known else Started(planned.arn, planned.route)
        joined = foresee_join(
            planned.sighting,
            _memory(gates, planned),
            lambda key: gates.read_manifest(planned.results_bucket, key),
            lambda name: gates.read_start_date(Execution(planned.machine_arn, name, "")),
        )
        return _joined(joined, planned)


def _look_at_set(
    gates: Gates, stored: StoredObject, choice: Choice, stack: Stack, reprocess: str | None
) -> Gathering | Waiting:
    # Here and not above: who has no set pays nothing for it in a cold start.
    from shared.domain import sets  # noqa: PLC0415

    def head(key: str) -> File | None:
        if key == stored.key:  # it was looked at just now
            return file_of(stored)
        other = gates.read_object(ObjectCreated(stored.bucket, key, None, stack.account_id))
        return file_of(other) if other else None

    look_at = partial(sets.look, stack=stack, head=head, list_page=gates.list_page)
    return sets.gather_set(choice, stack, look_at, gates.clock, reprocess)


def _memory(gates: Gates, planned: Gathering) -> Memory:
    """Return what is known of windows; of a set nothing, because an execution that was stopped must be seen to be over."""
    return Memory() if planned.run else gates.memory


def _joined(joined: Joined[Any], planned: Gathering) -> Started | Coalesced | Duplicate:
    if joined.named and planned.run:
        return Duplicate(planned.run.arn, planned.route)
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
