"""What can happen, as Hypothesis sees it: any of this, in any order, with any faults."""

from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.simulation.fakes import Fault
from tests.simulation.world import World

TOTALS: Counter[str] = Counter()

names = st.sampled_from(["a.csv", "b.csv", "folder/c + 1%20.csv", "folder/"])
bodies = st.sampled_from([b"", b"one", b"two"])
kinds = st.lists(st.sampled_from(["native", "cloudtrail"]), max_size=3)
faults = st.lists(st.sampled_from([None, *Fault]), max_size=6)


class BadDay(RuleBasedStateMachine):
    """One bucket, one route, and a bad day."""

    world: World
    routes = False

    @initialize(versioning=st.sampled_from(["", "Enabled", "Suspended"]))
    def begin(self, versioning: str) -> None:
        """Choose the bucket."""
        self.world = World(versioning, self.routes)

    @rule(name=names, body=bodies, kinds=kinds, later=st.booleans())
    def upload(self, name: str, body: bytes, kinds: list[str], later: bool) -> None:  # noqa: FBT001
        """Upload or overwrite, announced twice, once or never; in the same second or a later one."""
        if later or self.world.versioning != "Enabled":
            self.world.clock.advance(1)
        self.world.upload(name, body if not name.endswith("/") else b"", kinds)

    @precondition(lambda self: self.world.versioning == "Enabled")
    @rule(name=names, kinds=kinds)
    def upload_back_to_back(self, name: str, kinds: list[str]) -> None:
        """Upload the same bytes twice within a second: two versions, two uploads."""
        for _ in range(2):
            self.upload(name, b"same", kinds, later=False)

    @rule(name=names)
    def delete(self, name: str) -> None:
        """Delete the current object."""
        self.world.clock.advance(1)
        self.world.s3.delete(f"input/lab2/eventdriven/{name}")

    @precondition(lambda self: self.world.pending)
    @rule(data=st.data(), faults=faults)
    def deliver(self, data: Any, faults: list[Fault | None]) -> None:
        """Deliver any of the events under way."""
        index = data.draw(st.integers(0, len(self.world.pending) - 1))
        self.world.deliver(self.world.pending.pop(index), faults)

    @precondition(lambda self: self.world.delivered)
    @rule()
    def replay(self) -> None:
        """Replay the archive."""
        if len(self.world.pending) < 50:
            self.world.replay()

    @rule()
    def finish(self) -> None:
        """Let all executions end."""
        for execution in self.world.sfn.executions:
            if execution.closed is None:
                self.world.sfn.close(execution)

    @rule(dry=st.booleans(), label=st.sampled_from([None, None, "again"]), faults=faults)
    def backfill(self, dry: bool, label: str | None, faults: list[Fault | None]) -> None:  # noqa: FBT001
        """Run a backfill on the same bad day."""
        self.world.backfill(dry=dry, label=label, faults=faults)

    @invariant()
    def holds(self) -> None:
        """Check after each step."""
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        """End the day well: all events come, a backfill runs, and nothing is missing."""
        if not hasattr(self, "world"):
            return
        while self.world.pending:
            self.world.deliver(self.world.pending.pop(0))
        assert self.world.backfill(), "a backfill failed without a fault"
        self.world.check()
        self.world.check_nothing_is_missed()
        TOTALS.update(self.world.seen)
        TOTALS["starts"] += len(self.world.sfn.executions)


class RoutedDay(BadDay):
    """The same with three route files and two state machines."""

    routes = True
