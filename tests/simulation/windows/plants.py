"""Mistakes that look harmless, each of which breaks the promise; the simulation must find every one of them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared.domain import windows
from shared.domain.memory import Opened, Upload
from shared.domain.windows import File, Generation, Window
from tests.simulation.windows.steps import Call
from tests.simulation.windows.world import Run, World

type Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Plant:
    """A mistake: what it changes in the code or in the world around it, and the contradictions that may tell of it."""

    name: str
    found_as: str
    change: Callable[[Patch], None] = lambda _: None
    kind: type[World] = World


def _drop_the_late(patch: Patch) -> None:
    """Count whoever comes after the deadline as joined."""
    patch.setattr(windows, "_find", lambda *_: True)


def _ignore_former_manifests(patch: Patch) -> None:
    patch.setattr(windows, "close_former", lambda *_: set())


def _leave_former_open(patch: Patch) -> None:
    """Pass over a former generation without a manifest: it may still collect."""

    def close_former(generation: Generation, get: windows.GetManifest, _put: windows.PutIfAbsent) -> set[Upload]:
        stored = [get(former.manifest_key) for former in generation.former]
        return {file.upload for one in stored if one for file in windows.parse_manifest(one)}

    patch.setattr(windows, "close_former", close_former)


def _use_own_listing(patch: Patch) -> None:
    """Run the target on what was listed, not on what is stored."""
    real = windows.collect

    def collect(generation: Generation, accepts: Any, list_page: Any, get: Any, put: Any) -> bytes:
        own: list[bytes] = []

        def put_and_keep(key: str, body: bytes) -> None:
            if key == generation.manifest_key:
                own.append(body)
            put(key, body)

        stored = real(generation, accepts, list_page, get, put_and_keep)
        return own[0] if own else stored

    patch.setattr(windows, "collect", collect)


def _take_every_slot(patch: Patch) -> None:
    patch.setattr(Window, "takes", lambda *_: True)


def _forget_the_deadline(patch: Patch) -> None:
    """Let whatever was started be joined."""
    patch.setattr(windows, "_is_open", lambda generation, _, memory: generation.name in memory.start_dates)


def _join_what_is_over(patch: Patch) -> None:
    """Count ExecutionAlreadyExists as joined, as without windows."""
    real = windows.join

    def join(arrival: Any, memory: Any, get: Any, start: Any) -> Any:
        def start_or_join(name: str, given: str) -> Opened:
            return start(name, given) or Opened(arrival.seen_at, new=False)

        return real(arrival, memory, get, start_or_join)

    patch.setattr(windows, "join", join)


def _start_before_looking(patch: Patch) -> None:
    """Let late arrivals ask Step Functions first, which forgets names after 90 days."""
    patch.setattr(windows, "_is_late", lambda *_: False)


def _list_one_page(patch: Patch) -> None:
    patch.setattr(windows, "list_files", lambda list_page: list_page(None)[0])


def _name_the_target_after_the_attempt(patch: Patch) -> None:
    """Let a collect that is run again, by a retry or a redrive, start a run of its own."""
    real, attempts = windows.name_and_input, itertools.count()

    def name_and_input(*arguments: Any) -> tuple[str, str]:
        name, given = real(*arguments)
        return f"{name}-{next(attempts)}", given

    patch.setattr(windows, "name_and_input", name_and_input)


class _Overwriting(World):
    """Manifests are put without If-None-Match."""

    def put_if_absent(self, generation: Generation, key: str, body: bytes) -> None:
        self.store(generation, key, body)


class _Impatient(World):
    """The machine doesn't wait."""

    def waits_until(self, run: Run) -> float:
        return run.start


class _WithoutGrace(World):
    """The machine waits for the deadline, and clocks are thought to agree."""

    def waits_until(self, run: Run) -> float:
        return run.start + run.generation.group.seconds


class _ByVersion(World):
    """HEAD asks for the version that was announced."""

    def head(self, announced: Upload) -> File | None:
        return next((file for file in self.versions.get(announced[0], []) if file and file.upload == announced), None)


class _ClockFirst(World):
    """The time is noted before HEAD is asked, which may take long."""

    def look(self, announced: Upload, call: Call) -> tuple[tuple[File | None, File | None], float]:
        seen_at = call(lambda: self.now, instant=True)
        return super().look(announced, call)[0], seen_at


class _SlotOfTheEvent(World):
    """The slot is the one of the moment at which the event is handled."""

    def window_of(self, file: File, seen_at: float, label: str | None) -> Window:
        return super().window_of(File(file.key, file.size, file.etag, int(seen_at)), seen_at, label)


PLANTS = [
    Plant("late arrivals dropped", "lost", _drop_the_late),
    Plant("earlier manifests ignored", "twice", _ignore_former_manifests),
    Plant("a manifest overwritten by a second collect", "changed|twice", kind=_Overwriting),
    Plant("an unsealed former generation", "twice", _leave_former_open),
    Plant("the slot taken from the event's time", "lost", kind=_SlotOfTheEvent),
    Plant("no wait", "lost|scattered", kind=_Impatient),
    Plant("HEAD by version", "lost", kind=_ByVersion),
    Plant("a second start after a redrive", "twice", _name_the_target_after_the_attempt),
    Plant("no grace for clocks that differ", "lost|scattered", kind=_WithoutGrace),
    Plant("the clock read before the HEAD", "lost|scattered", kind=_ClockFirst),
    Plant("a window joined after its deadline", "lost|scattered", _forget_the_deadline),
    Plant("a window joined that is over", "lost", _join_what_is_over),
    Plant("a run on the own listing, not on what is stored", "twice|differs", _use_own_listing),
    Plant("a manifest of all slots", "stranger|twice", _take_every_slot),
    Plant("a listing of one page", "lost|scattered", _list_one_page),
    Plant("a name started again after 90 days", "twice", _start_before_looking),
]
