"""Exactly once, and nothing lost, even on a bad day; and the simulation notices when it isn't so."""

import itertools
from collections.abc import Callable
from copy import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from handlers import backfill_batch, start_execution
from shared.domain import plan, start
from shared.domain.arrival import Skip
from shared.domain.errors import Cause, PermanentCallError, RetryableCallError
from shared.gates import live, s3, step_functions
from shared.gates.aws import code_of
from tests.simulation.machine import BadDay, RoutedDay

SLICE = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    # `make simulate` makes what it finds small.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_a_bad_day() -> None:
    """Whatever is dropped, doubled, delayed, killed or throttled: one start an upload, and every event accounted for."""
    run_state_machine_as_test(BadDay, settings=SLICE)


def test_a_bad_day_with_routes() -> None:
    """As above; each key goes to its own route and machine, and what no route takes is skipped."""
    run_state_machine_as_test(RoutedDay, settings=SLICE)


def _without_version(patch: pytest.MonkeyPatch) -> None:
    real = plan.execution_name
    patch.setattr(
        plan, "execution_name", lambda stored, route, label=None: real(replace(stored, version_id=None), route, label)
    )


def _key_alone(patch: pytest.MonkeyPatch) -> None:
    real = plan.execution_name
    patch.setattr(
        plan,
        "execution_name",
        lambda stored, route, label=None: real(replace(stored, version_id=stored.key), route, label),
    )


def _event_id_in_the_input(patch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()

    real = start.start

    def with_event_id(gates: Any, planned: Any) -> Any:
        if not isinstance(planned, Skip):
            planned = replace(planned, input=planned.input[:-1] + f', "event_id": {next(numbers)}}}')
        return real(gates, planned)

    patch.setattr(start_execution, "start", with_event_id)
    patch.setattr(backfill_batch, "start", with_event_id)


def _already_exists_raised(patch: pytest.MonkeyPatch) -> None:
    real = step_functions.start_execution

    def start_execution_(sfn: Any, trace: str | None, execution: Any) -> Any:
        opened = real(sfn, trace, execution)
        if opened is None or not opened.new:
            raise PermanentCallError("ExecutionAlreadyExists", Cause.REFUSED)
        return opened

    patch.setattr(live, "start_execution", start_execution_)


def _current_version_only(patch: pytest.MonkeyPatch) -> None:
    real = s3._head
    patch.setattr(s3, "_head", lambda client, created, _version: real(client, created, None))


def _announced_version_first(patch: pytest.MonkeyPatch) -> None:
    real = s3._head
    patch.setattr(s3, "_head", lambda client, created, _version: real(client, created, created.version_id))


def _not_found_raised(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(s3, "GONE", frozenset({"405"}))


def _throttle_swallowed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        step_functions,
        "code_of",
        lambda error: "ExecutionAlreadyExists" if code_of(error) == "ThrottlingException" else code_of(error),
    )


def _throttle_skipped(patch: pytest.MonkeyPatch) -> None:
    real = s3.read_object

    def read_object(client: Any, created: Any) -> Any:
        try:
            return real(client, created)
        except RetryableCallError as error:
            if isinstance(error.__cause__, ClientError):
                return None
            raise

    patch.setattr(live, "read_object", read_object)


MUTATIONS = [
    (_without_version, "two inputs|wrong version|never started"),
    (_key_alone, "two inputs|wrong version|never started"),
    (_current_version_only, "the wrong version"),
    (_announced_version_first, "nothing there to read"),
    (_event_id_in_the_input, "two inputs"),
    (_already_exists_raised, "without a fault"),
    (_not_found_raised, "without a fault"),
    (_throttle_swallowed, "not there"),
    (_throttle_skipped, "object_gone"),
]


@pytest.mark.parametrize(("plant", "caught"), MUTATIONS, ids=lambda value: getattr(value, "__name__", "")[1:])
def test_a_planted_fault_is_caught(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], caught: str
) -> None:
    """Each of the classic mistakes breaks an invariant."""
    plant(monkeypatch)

    with pytest.raises(AssertionError, match=caught):
        run_state_machine_as_test(BadDay, settings=settings(SLICE, max_examples=3_000))
