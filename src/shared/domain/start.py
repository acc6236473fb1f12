"""Bring an announced object to its outcome: look at it, plan, start. Live events and backfills use the same code.

The modules that gather (shared/domain/gather.py, windows, sets) are imported in functions: a cold start pays for them
only if the arrival's route has a window or a set.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from shared.domain.arrival import ObjectCreated, Skip, SkipReason, StoredObject
from shared.domain.choose import choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.memory import Memory, Opened
from shared.domain.outcome import Duplicate, Outcome, Started, Waiting
from shared.domain.plan import Execution, plan
from shared.domain.stack import Stack

if TYPE_CHECKING:
    from shared.domain.gather import Gathering
    from shared.domain.windows import ListPage

type Plan = Execution | Gathering | Waiting | Skip


class Gates(NamedTuple):
    """The calls of a plan and a start; gates/ has a function for each, and the handlers put them together.

    `read_object` returns None for an object that is gone, `read_manifest` for a missing manifest, `start_execution` for
    a name that is taken, `read_start_date` for a name that is free.
    """

    read_object: Callable[[ObjectCreated], StoredObject | None]
    list_page: "ListPage"
    read_manifest: Callable[[str, str], bytes | None]
    start_execution: Callable[[Execution], Opened | None]
    read_start_date: Callable[[Execution], float | None]
    clock: Callable[[], float]
    memory: Memory


def plan_arrival(gates: Gates, created: ObjectCreated, stack: Stack, reprocess: str | None = None) -> Plan:
    """Look at the object and plan; if the key is enough for the answer, S3 is not called.

    Raises ForeignObjectError, UnsafeTargetError, UnsafeArgumentError, SetTooLargeError, PermanentCallError or
    RetryableCallError.
    """
    choice = choose(created, stack)
    if isinstance(choice, Skip):
        return choice
    with _about(choice.name):
        # A collect sees only current objects, so the event of an overwritten version counts for the newer one.
        gathered = bool(choice.route.window_seconds or choice.route.set)
        stored = gates.read_object(created._replace(version_id=None) if gathered else created)
        if stored is None:
            why = "deleted, or replaced by a delete marker, before its event came"
            return Skip(SkipReason.OBJECT_GONE, why, choice.name)
        if skip := screen_object(stored.size, choice):
            return skip
        if gathered:
            from shared.domain.gather import plan_gathering  # noqa: PLC0415

            return plan_gathering(gates, stored, choice, stack, reprocess)
        return plan(stored, choice, stack, reprocess)


def start(gates: Gates, planned: Plan) -> Outcome:
    """Carry out a plan and return its outcome.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip | Waiting):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            opened = gates.start_execution(planned)
            new = opened is not None and opened.new
            return Started(planned.arn, planned.route) if new else Duplicate(planned.arn, planned.route)
        from shared.domain.gather import bring  # noqa: PLC0415

        return bring(gates, planned)


def foresee(gates: Gates, planned: Plan) -> Outcome:
    """Return the outcome that a plan would have, without starting anything.

    Raises PermanentCallError or RetryableCallError.
    """
    if isinstance(planned, Skip | Waiting):
        return planned
    with _about(planned.route):
        if isinstance(planned, Execution):
            known = gates.read_start_date(planned) is not None
            return Duplicate(planned.arn, planned.route) if known else Started(planned.arn, planned.route)
        from shared.domain.gather import foresee_bringing  # noqa: PLC0415

        return foresee_bringing(gates, planned)


@contextmanager
def _about(route: str | None) -> Iterator[None]:
    """Add the name of the route file to any error inside."""
    try:
        yield
    except ArrivalError as error:
        error.route = route
        raise
