"""Mistakes that look harmless, each of which breaks the promise; the simulation must find every one of them."""

from collections.abc import Callable
from copy import replace
from dataclasses import dataclass
from typing import Any

import pytest

from shared.domain import gather, sets, windows
from shared.domain.memory import Opened
from shared.domain.sets import Content, Look
from tests.simulation.sets.world import Run, World

type Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Plant:
    """A mistake: what it changes, and the contradictions that may tell of it."""

    name: str
    found_as: str
    change: Callable[[Patch], None] = lambda _: None
    kind: type[World] = World


def _join_what_is_over(patch: Patch) -> None:
    """Count a name that is taken as joined, so that nothing comes after a superseded execution."""
    real = windows.join

    def join(sighting: Any, memory: Any, get: Any, begin: Any) -> Any:
        return real(sighting, memory, get, lambda *given: begin(*given) or Opened(sighting.seen_at, new=False))

    patch.setattr(gather, "join", join)


def _start_before_looking(patch: Patch) -> None:
    """Ask for no manifest first: Step Functions forgets names after 90 days."""
    patch.setattr(Content, "is_late", lambda *_: False)


def _trust_what_is_open(patch: Patch) -> None:
    """Join an execution that still runs after its deadline."""
    patch.setattr(windows, "_is_open", lambda generation, _, memory: generation.name in memory.start_dates)


def _name_after_the_generation(patch: Patch) -> None:
    real = sets.plan_set

    def plan_set(generation: Any, *rest: Any) -> Any:
        execution = real(generation, *rest)
        return replace(execution, name=f"{execution.name}-{generation.number}")

    patch.setattr(sets, "plan_set", plan_set)


def _store_blindly(patch: Patch) -> None:
    """Store what is there, though it is another content by now."""

    def collect(generation: Any, stack: Any, look_at: Any, get: Any, put: Any) -> Any:
        stored = get(generation.manifest_key)
        if stored is None:
            found = look_at(sets.route_of(generation.group, stack), generation.group.instance)
            stored = windows.store_manifest(generation, found.files, get, put) if found.files else None
        return stored

    patch.setattr(sets, "collect", collect)


def _pass_one_over(patch: Patch) -> None:
    """Look at all members but one."""
    real = sets.look

    def look(*arguments: Any, **more: Any) -> Look:
        found = real(*arguments, **more)
        if isinstance(found.missing, int):
            return found._replace(missing=max(0, found.missing - 1))
        return found._replace(missing=[key for key in found.missing if not key.endswith("m1")])

    patch.setattr(sets, "look", look)


def _run_incomplete(patch: Patch) -> None:
    patch.setattr(Look, "is_complete", property(lambda look: bool(look.files)))


class _WithoutGrace(World):
    """The machine waits for the deadline, and clocks are thought to agree."""

    def waits_until(self, run: Run) -> float:
        return run.start + self.seconds


class _Impatient(World):
    """The machine doesn't wait."""

    def waits_until(self, run: Run) -> float:
        return run.start


PLANTS = [
    Plant("no generation after a superseded one", "lost", _join_what_is_over),
    Plant("no manifest asked first", "twice", _start_before_looking),
    Plant("an open window trusted after its deadline", "lost", _trust_what_is_open),
    Plant("the target named with its generation", "twice", _name_after_the_generation),
    Plant("a manifest stored although the set changed", "twice|changed|incomplete|lost", _store_blindly),
    Plant("one member not looked at", "incomplete", _pass_one_over),
    Plant("a set run incomplete", "incomplete", _run_incomplete),
    Plant("no grace for clocks that differ", "lost", kind=_WithoutGrace),
    Plant("no wait", "changed|lost", kind=_Impatient),
]
