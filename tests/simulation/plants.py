"""Mistakes that look harmless, each of which breaks a promise; the simulation must find every one of them."""

import itertools
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from shared.domain import gather, plan, sets, start, windows
from shared.domain.errors import Cause, PermanentCallError, RetryableCallError
from shared.domain.memory import Opened
from shared.gates import s3, step_functions
from tests.simulation.arrivals import Arrivals
from tests.simulation.fakes import FakeS3
from tests.simulation.sets import Interrupted, Sets
from tests.simulation.windows import Windows
from tests.simulation.world import World


class Plant(NamedTuple):
    """A mistake: what it is, the contradictions that tell of it, what it replaces, and by what.

    `world` is one in which it was found the last time.
    """

    kind: type[World]
    name: str
    found_as: str
    owner: Any
    attribute: str
    mistaken: Callable[[Any], Any]
    world: int = 0

    def make(self, patch: pytest.MonkeyPatch) -> None:
        """Make the mistake, in every module that knows what it replaces."""
        real = getattr(self.owner, self.attribute)
        patch.setattr(self.owner, self.attribute, self.mistaken(real))
        for name, module in list(sys.modules.items()):
            if name.startswith(("shared.", "handlers.")) and vars(module).get(self.attribute) is real:
                patch.setattr(module, self.attribute, self.mistaken(real))


# ---- Single uploads ----


def _without_version(real: Any) -> Any:
    return lambda stored, *rest: real(stored._replace(version_id=None), *rest)


def _key_alone(real: Any) -> Any:
    return lambda stored, *rest: real(stored._replace(version_id=stored.key), *rest)


def _current_version_only(real: Any) -> Any:
    return lambda client, created, _version: real(client, created, None)


def _announced_version_first(real: Any) -> Any:
    return lambda client, created, _version: real(client, created, created.version_id)


def _event_id_in_the_input(real: Any) -> Any:
    numbers = itertools.count()

    def plan_with_id(*arguments: Any) -> Any:
        planned = real(*arguments)
        return planned._replace(input=planned.input[:-1] + f', "event_id": {next(numbers)}}}')

    return plan_with_id


def _already_exists_raised(real: Any) -> Any:
    def start_execution(*arguments: Any) -> Any:
        opened = real(*arguments)
        if opened is None or not opened.new:
            raise PermanentCallError("ExecutionAlreadyExists", Cause.REFUSED)
        return opened

    return start_execution


def _throttle_swallowed(real: Any) -> Any:
    taken = {"ThrottlingException": "ExecutionAlreadyExists"}
    return lambda error: taken.get(real(error), real(error))


def _throttle_skipped(real: Any) -> Any:
    def read_object(client: Any, created: Any) -> Any:
        try:
            return real(client, created)
        except RetryableCallError as error:
            if isinstance(error.__cause__, ClientError):
                return None
            raise

    return read_object


# ---- Windows and sets ----


def _no_wait(_: Any) -> Any:
    return lambda _, run: run.started


def _no_grace(_: Any) -> Any:
    return lambda world, run: run.started + world.seconds


def _clock_first(real: Any) -> Any:
    def planned(gates: Any, *rest: Any) -> Any:
        seen_at = gates.clock()
        return real(gates._replace(clock=lambda: seen_at), *rest)

    return planned


def _trust_what_is_open(_: Any) -> Any:
    return lambda generation, _, memory: generation.name in memory.start_dates


def _join_what_is_over(real: Any) -> Any:
    def join(sighting: Any, memory: Any, get: Any, begin: Any) -> Any:
        return real(sighting, memory, get, lambda *given: begin(*given) or Opened(sighting.seen_at, new=False))

    return join


# ---- Windows ----


def _overwrite(real: Any) -> Any:
    return lambda *given, **named: real(*given, **named | {"IfNoneMatch": ""})


def _list_one_page(_: Any) -> Any:
    return lambda list_page: list_page(None)[0]


def _head_by_version(real: Any) -> Any:
    def plan_arrival(gates: Any, created: Any, *rest: Any) -> Any:
        return real(gates._replace(read_object=lambda _: gates.read_object(created)), created, *rest)

    return plan_arrival


def _slot_of_the_event(real: Any) -> Any:
    def gather_(stored: Any, choice: Any, stack: Any, seen_at: float, *rest: Any) -> Any:
        moment = datetime.fromtimestamp(int(seen_at), UTC)
        late = real(stored._replace(last_modified=moment), choice, stack, seen_at, *rest)
        return late._replace(sighting=late.sighting._replace(file=gather.file_of(stored)))

    return gather_


def _leave_former_open(_: Any) -> Any:
    def close_former(generation: Any, get: Any, _put: Any) -> Any:
        stored = [get(former.manifest_key) for former in generation.former]
        return {file.upload for one in stored if one for file in windows.parse_manifest(one)}

    return close_former


def _use_own_listing(real: Any) -> Any:
    def collect(generation: Any, accepts: Any, list_page: Any, get_manifest: Any, put_if_absent: Any) -> bytes:
        own: list[bytes] = []

        def put_and_keep(key: str, body: bytes) -> None:
            if key == generation.manifest_key:
                own.append(body)
            put_if_absent(key, body)

        stored: bytes = real(generation, accepts, list_page, get_manifest, put_and_keep)
        return own[0] if own else stored

    return collect


def _name_the_target_after_the_attempt(real: Any) -> Any:
    attempts = itertools.count()

    def plan_window(*arguments: Any) -> Any:
        planned = real(*arguments)
        return planned and planned._replace(name=f"{planned.name}-{next(attempts)}")

    return plan_window


# ---- Sets ----


def _run_incomplete(_: Any) -> Any:
    return property(lambda look: bool(look.files))


def _name_after_the_generation(real: Any) -> Any:
    def plan_set(generation: Any, *rest: Any) -> Any:
        execution = real(generation, *rest)
        return execution._replace(name=f"{execution.name}-{generation.number}")

    return plan_set


def _store_blindly(_: Any) -> Any:
    def collect(generation: Any, stack: Any, look_at: Any, get_manifest: Any, put_if_absent: Any) -> Any:
        stored = get_manifest(generation.manifest_key)
        if stored is None:
            found = look_at(sets.route_of(generation.group, stack), generation.group.instance)
            given = generation, found.files, get_manifest, put_if_absent
            stored = windows.store_manifest(*given) if found.files else None
        return stored

    return collect


def _pass_one_over(real: Any) -> Any:
    def look(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        if isinstance(found.missing, int):
            return found._replace(missing=max(0, found.missing - 1))
        return found._replace(missing=[key for key in found.missing if not key.endswith("m1")])

    return look


A, W, S, T = Arrivals, Windows, Sets, Interrupted
OTHER = "two inputs|the wrong version|never started"
PLANTS = [
    Plant(A, "a name without the version", OTHER, plan, "execution_name", _without_version),
    Plant(A, "a name of the key alone", OTHER, plan, "execution_name", _key_alone),
    Plant(A, "the current version only", "the wrong version", s3, "_head", _current_version_only),
    Plant(
        A, "the announced version asked first", "nothing there to read", s3, "_head", _announced_version_first, world=67
    ),
    Plant(A, "the event's id in the input", "two inputs", plan, "plan", _event_id_in_the_input),
    Plant(
        A, "ExecutionAlreadyExists raised", "failed without", step_functions, "start_execution", _already_exists_raised
    ),
    Plant(A, "a 404 raised", "failed without a fault", s3, "GONE", lambda _: frozenset({"405"})),
    Plant(A, "a throttled start swallowed", "not there", step_functions, "code_of", _throttle_swallowed, world=62),
    Plant(A, "a throttled HEAD skipped", "not object_gone", s3, "read_object", _throttle_skipped),
    Plant(W, "late arrivals dropped", "lost", windows, "_find", lambda _: lambda *_: True),
    Plant(W, "earlier manifests ignored", "twice", windows, "close_former", lambda _: lambda *_: set()),
    Plant(W, "a manifest overwritten by a second collect", "changed|twice", FakeS3, "put_object", _overwrite),
    Plant(W, "an unsealed former generation", "twice", windows, "close_former", _leave_former_open),
    Plant(W, "the slot taken from the event's time", "lost", gather, "gather", _slot_of_the_event),
    Plant(W, "no wait", "lost|scattered", World, "waits_until", _no_wait),
    Plant(W, "HEAD by version", "lost", start, "plan_arrival", _head_by_version),
    Plant(W, "a second start after a redrive", "twice", gather, "plan_window", _name_the_target_after_the_attempt),
    Plant(W, "no grace for clocks that differ", "lost|scattered", World, "waits_until", _no_grace),
    Plant(W, "the clock read before the HEAD", "lost|scattered", start, "plan_arrival", _clock_first, world=59),
    Plant(W, "a window joined after its deadline", "lost|scattered", windows, "_is_open", _trust_what_is_open),
    Plant(W, "a window joined that is over", "lost", windows, "join", _join_what_is_over),
    Plant(
        W,
        "a run on the own listing, not on what is stored",
        "twice|differs",
        windows,
        "collect",
        _use_own_listing,
        world=49,
    ),
    Plant(W, "a manifest of all slots", "stranger|twice", windows.Window, "takes", lambda _: lambda *_: True),
    Plant(W, "a listing of one page", "lost|scattered", windows, "list_files", _list_one_page),
    Plant(W, "a name started again after 90 days", "twice|lost", windows, "_is_late", lambda _: lambda *_: False),
    Plant(S, "no generation after a superseded one", "lost", windows, "join", _join_what_is_over),
    Plant(S, "no manifest asked first", "twice", windows, "_is_late", lambda _: lambda *_: False),
    Plant(S, "an open window trusted after its deadline", "lost", windows, "_is_open", _trust_what_is_open),
    Plant(S, "the target named with its generation", "twice", sets, "plan_set", _name_after_the_generation),
    Plant(
        S,
        "a manifest stored although the set changed",
        "twice|changed|incomplete|lost",
        sets,
        "collect",
        _store_blindly,
    ),
    Plant(S, "one member not looked at", "incomplete", sets, "look", _pass_one_over),
    Plant(S, "a set run incomplete", "incomplete", sets.Look, "is_complete", _run_incomplete),
    Plant(T, "no grace for clocks that differ", "lost", World, "waits_until", _no_grace, world=82),
    Plant(S, "no wait", "changed|lost", World, "waits_until", _no_wait),
    Plant(T, "the clock read before the look", "lost", gather, "plan_gathering", _clock_first, world=91),
    Plant(
        T, "what was stopped thought open", "lost", gather, "_memory", lambda _: lambda gates, _: gates.memory, world=38
    ),
]
