"""Mistakes that look harmless, each of which breaks a promise; the simulation must find every one of them."""

import inspect
import textwrap
from typing import Any, NamedTuple

import pytest

from shared.domain import gather, plan, sets, start, windows
from shared.gates import s3
from shared.gates.step_functions import start_execution
from tests.simulation.arrivals import Arrivals
from tests.simulation.sets import Interrupted, Sets
from tests.simulation.windows import Windows
from tests.simulation.world import World


class Plant(NamedTuple):
    """A mistake in a function: what stands there in place of what; `world` is one in which it was found."""

    kind: type[World]
    name: str
    function: Any
    right: str
    wrong: str
    world: int = 0

    def make(self, patch: pytest.MonkeyPatch) -> None:
        """Give the function the code that it would have; whoever has imported it has that, too."""
        source = textwrap.dedent(inspect.getsource(self.function))
        assert 1 == source.count(self.right), f"{self.function.__qualname__} has to hold this once: {self.right}"
        scope = dict(self.function.__globals__)
        exec(source[source.index("def ") :].replace(self.right, self.wrong), scope)  # noqa: S102 - our own source
        patch.setattr(self.function, "__code__", scope[self.function.__name__].__code__)


A, W, S, I = Arrivals, Windows, Sets, Interrupted  # noqa: E741 - letters of a table
CLOCK = "(lambda at: lambda: at)"  # one that stands still
EARLY = f"gates = gates._replace(clock={CLOCK}(gates.clock())); "
DEADLINE = " and sighting.seen_at < start_date + generation.group.seconds"
LATE = "sighting.group.is_late(sighting.seen_at)"
NOT_OVER = "if _is_open("
STORED = "get_manifest(generation.manifest_key)"
WAIT = "int(run.started + self.seconds + GRACE + 1)"  # the window machine's
PLANTS = [
    Plant(A, "a name without the version", plan.execution_name, "stored.version_id or ", ""),
    Plant(A, "a name of the key alone", plan.execution_name, "stored.key, upload,", "stored.key,"),
    Plant(A, "the current version only", s3.read_object, "created, created.version_id", "created, None"),
    Plant(A, "the announced version asked first", s3.read_object, "created, None", "created, created.version_id", 67),
    Plant(A, "a time in the input", start.plan_arrival, "plan(stored,", "plan(stored._replace(size=gates.clock()),"),
    Plant(A, "ExecutionAlreadyExists raised", start_execution, "return None", "raise"),
    Plant(A, "a 404 raised", s3._head, "in GONE", '== "405"'),
    Plant(A, "a throttled start swallowed", start_execution, '== "ExecutionAlready', '!= "InternalFailure', 29),
    Plant(A, "a throttled HEAD skipped", s3._head, "in GONE", 'in {*GONE, "503"}'),
    Plant(W, "late arrivals dropped", windows._find, "generation.group.manifest_names(", "True or ("),
    Plant(W, "earlier manifests ignored", windows.close_former, "in parse_manifest(stored)", "in ()"),
    Plant(W, "a manifest overwritten by a second collect", s3.put_manifest, ', IfNoneMatch="*"', ""),
    Plant(W, "an unsealed former generation", windows.close_former, "stored = store_manifest(", "continue; ("),
    Plant(W, "the event's own slot", gather.gather, "of(file,", "of(file._replace(last_modified=int(seen_at)),"),
    Plant(W, "no wait", World.waits_until, WAIT, "run.started"),
    Plant(W, "HEAD by version", start.plan_arrival, "created._replace(version_id=None) if gathered else ", ""),
    Plant(
        W, "a second start on a redrive", windows.name_and_input, "generation.number, h", "str(datetime.now(UTC)), h"
    ),
    Plant(W, "no grace for clocks that differ", World.waits_until, WAIT, "run.started + self.seconds"),
    Plant(W, "the clock read before the HEAD", start.plan_arrival, "choice = ", EARLY + "choice = ", 59),
    Plant(W, "a window joined after its deadline", windows._is_open, DEADLINE, ""),
    Plant(W, "a window joined that is over", windows.join, NOT_OVER, "if new is not None or _is_open("),
    Plant(W, "a run on the own listing", windows.store_manifest, STORED, "write_manifest(files)", 49),
    Plant(W, "a manifest of all slots", windows.Window.takes, "== self.start", "> 0"),
    Plant(W, "a listing of one page", windows.list_files, "if token is None", "if True"),
    Plant(W, "a name started again after 90 days", windows._is_late, LATE, "False"),
    Plant(S, "no generation after a superseded one", windows.join, NOT_OVER, "if new is not None or _is_open("),
    Plant(S, "no manifest asked first", windows._is_late, LATE, "False"),
    Plant(S, "an open window trusted after its deadline", windows._is_open, DEADLINE, ""),
    Plant(S, "the target named with its generation", sets.plan_set, "content.identity, json", "generation.name, json"),
    Plant(S, "a manifest stored of a set that changed", sets.collect, "now.identity != content.identity", "False"),
    Plant(S, "one member not looked at", sets._look_at_each, "route.match:", "route.match[1:]:"),
    Plant(S, "a set run incomplete", vars(sets.Look)["is_complete"].fget, "not self.missing", "self.files"),
    Plant(S, "no wait", World.waits_until, WAIT, "run.started"),
    Plant(I, "no grace for clocks that differ", World.waits_until, WAIT, "run.started + self.seconds", 82),
    Plant(I, "the clock read before the look", sets.gather_set, "found = ", f"clock = {CLOCK}(clock()); found = ", 91),
    Plant(I, "what was stopped thought open", gather._memory, "Memory() if planned.run else ", "", 38),
]
