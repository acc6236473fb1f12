"""Sets: each content that has settled runs exactly once, and nothing else does."""

import json
from collections import Counter
from functools import cache

from shared.domain import sets
from shared.domain.memory import Upload
from shared.domain.stack import Stack
from shared.domain.windows import parse_manifest
from tests.simulation.fakes import FakeExecution
from tests.simulation.steps import Steps
from tests.simulation.world import World
from tests.unit.builders import stack, table

INSTANCES = ("1", "2")
read_routes = cache(table)


class Sets(World):
    """Members of one or two instances that come and go, also while a look goes on."""

    lengths = (1, 3, 8)
    slowest = 3
    collects = 1000
    flickering = 0.7
    interrupted = 0.0

    def make_stack(self) -> Stack:
        self.s3.versioning, self.prompt = "Enabled", self.dice.random() < 0.6
        self.size = self.wanted = self.dice.randint(2, 3)
        if self.dice.random() < 0.5:
            match, condition = [f"in/{{i}}/m{number}" for number in range(self.size)], "each = true"
        else:
            self.wanted = self.dice.randint(2, 4)
            self.size = self.wanted + self.dice.randint(0, 2)
            match, condition = ["in/{i}/{f}"], f"at_least = {self.wanted}"
        source = "" if "each" in condition else 'source = "in/{i}/"'
        given = (
            f'match = {match}\ntarget = "out/{{i}}"\nset = {{ {condition}, settle_seconds = {self.seconds} }}\n{source}'
        )
        return stack(source_prefix="in/", table=read_routes(r=given))

    def happen(self) -> None:
        moment = 0.0
        for number in range(self.wanted):
            self.spawn(self.upload, f"in/1/m{number}", after=self.dice.random() * self.seconds)
        for _ in range(self.dice.choice([0, 0, 0, 1, 3, 9])):
            moment += self.dice.choice([0, 0.1, 1, self.seconds, 3 * self.seconds])
            self.spawn(self.work, after=moment)
        for act in (self.backfill, self.deploy):
            if self.dice.random() < 0.2:
                self.spawn(act, after=self.dice.random() * moment)

    def settle(self) -> None:
        for run in self.runs:
            self.spawn(self.redrive, run)
        self.run()
        for _ in range(self.dice.choice([1, 1, 2])):
            if self.dice.random() < 0.4:
                self.sfn.by_arn.clear()
                self.environments.clear()
            self.wire.now += 1
            self.spawn(self.backfill, self.dice.choice([None, None, "again"]))
            self.run()

    # ---- What happens ----

    def work(self) -> None:
        instance = self.dice.choice(INSTANCES[: 1 + (self.dice.random() < 0.3)])
        key = f"in/{instance}/m{self.dice.randrange(self.size)}"
        luck = self.dice.random()
        if luck < 0.65:
            self.upload(key)
        elif luck < 0.82 and self.s3.current(key):
            self.s3.delete(key)
        else:
            self.s3.restore(key)

    def upload(self, key: str) -> None:
        version = self.s3.put(key, f"{self.s3.ids}".encode())
        self.seen["uploads"] += 1
        for _ in range(1 if self.prompt else self.dice.choice([0, 1, 1, 2])):
            self.announce(version, 0 if self.prompt else self.dice.choice([0, 0, 1, self.seconds, 5 * self.seconds]))

    def opened(self, run: FakeExecution) -> None:
        if run.name.endswith("-0") and self.dice.random() < self.flickering:
            self.spawn(self.flicker, run)

    def flicker(self, run: FakeExecution) -> Steps:
        """Be a member that is away while the set is collected, and back just after; another is announced about then."""
        said = json.loads(run.input)["instance"]
        found = self.s3.all_current(f"in/{said['i']}/" if isinstance(said, dict) else said)
        if not found:
            return
        moment = run.started + self.seconds + self.dice.uniform(-1.5, 1.9)
        self.announce(self.dice.choice(found), max(0.0, moment - self.wire.now))
        key = self.dice.choice(found).key
        yield max(0.0, self.waits_until(run) - self.wire.now - self.dice.random() * 0.3)
        if run.status == "RUNNING":
            self.s3.delete(key)
            yield self.dice.uniform(0.3, self.dice.choice([1, 3]))
            self.s3.restore(key)

    def end_badly(self, run: FakeExecution, status: str) -> None:
        super().end_badly(run, status)
        self.interrupted = self.wire.now
        if there := self.s3.all_current():
            self.announce(self.dice.choice(there), 0.1)

    # ---- The promise ----

    def verdict(self) -> list[str]:
        content = Counter((target.label, target.files) for target in self.started)
        return [
            *(f"twice: {sorted(files)} was run" for (_, files), count in content.items() if count > 1),
            *(f"incomplete: {sorted(files)} was run" for _, files in content if len(files) < self.wanted),
            *(
                f"changed: {upload} had changed before its set settled"
                for target in self.started
                for upload in target.files
                if all(until < target.opened + self.seconds for _, until in self.s3.lives[upload])
            ),
            *(wrong for instance in INSTANCES for wrong in self._lost(instance)),
        ]

    def _lost(self, instance: str) -> list[str]:
        prefix = f"in/{instance}/"
        lives = [life for (key, *_), lives in self.s3.lives.items() if key.startswith(prefix) for life in lives]
        changed = max([self.interrupted, *(moment for life in lives for moment in life if moment <= self.wire.now)])
        there = [one.file for one in self.s3.all_current(prefix)]
        ran = {target.files for target in self.started if target.label is None}
        if len(there) < self.wanted or frozenset(one.upload for one in there) in ran | self._unfinished():
            return []
        (route,) = self.stack.table.routes
        named = sets.content_of(there, route, prefix if route.source else (("i", instance),), self.stack).identity
        return [
            f"lost: {word} named a complete set that was never run"
            for word in self.words
            if word.key.startswith(prefix) and word.label is None and word.answer["outcome"] != "skipped"
            # It began when all were there as they are, or it was told that they run.
            if word.began > changed or (word.looked > changed and named in word.name)
        ]

    def _unfinished(self) -> set[frozenset[Upload]]:
        """Return what was stopped between its manifest and its run: nobody else starts it, so it must be redriven."""
        stopped = {run.name.rsplit("-", 1)[0] for run in self.runs if run.status != "SUCCEEDED"}
        return {
            frozenset(file.upload for file in parse_manifest(put.body))
            for put in self.s3.puts
            if put.key.removeprefix("sets/").removesuffix(".json") in stopped
        }


class Interrupted(Sets):
    """One set, and one thing that happens while it settles: a member is away, or an operator stops it."""

    def happen(self) -> None:
        self.failing = self.outliving = self.redriving = self.slow = 0
        self.prompt, self.lingering, self.reusing, self.size = True, 60, 1, self.wanted
        self.stopping = self.dice.choice([0, 1])
        self.flickering = 1 - self.stopping
        for number in range(self.wanted):
            self.spawn(self.upload, f"in/1/m{number}")

    def opened(self, run: FakeExecution) -> None:
        super().opened(run)
        self.stopping = self.flickering = 0
