"""The services, the clocks and everybody who uses them, for sets; and what must hold at the end of a world."""

import heapq
import itertools
import json
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from artifact.pack import pack
from artifact.route_files import parse_template
from shared.domain import gather, sets, start, windows
from shared.domain.arrival import ObjectCreated, Skip, StoredObject
from shared.domain.memory import Memory, Opened, Upload
from shared.domain.pattern import Pattern
from shared.domain.plan import Execution
from shared.domain.routes import Complete, Route, RouteTable
from shared.domain.windows import File, Generation, Listing, parse_manifest
from tests.simulation.windows.steps import Call, in_steps
from tests.simulation.windows.world import SKEW, CallFailed, Killed, Steps, copied
from tests.unit.builders import ACCOUNT, BUCKET, MACHINE, stack

PAGE = 2  # keys of a listing's page
LAMBDA_ATTEMPTS = 3
RESULTS = "results"
INSTANCES = ("1", "2")


def make_route(dice: random.Random, seconds: int) -> tuple[Route, int]:
    """Draw a route of either kind, and how many members an instance may have."""
    size = dice.randint(2, 3)
    if dice.random() < 0.5:
        texts = [f"in/{{i}}/m{number}" for number in range(size)]
        return _route(texts, None, Complete(None, seconds)), size
    at_least = dice.randint(2, 4)
    return _route(["in/{i}/{f}"], "in/{i}/", Complete(at_least, seconds)), at_least + dice.randint(0, 2)


def _route(texts: list[str], source: str | None, complete: Complete) -> Route:
    match = tuple(Pattern(parse_template(text, deep_allowed=True)) for text in texts)
    folder = parse_template(source, deep_allowed=False) if source else None
    return Route("r", match, "job", parse_template("out/{i}", deep_allowed=False), folder, set=complete)


@dataclass
class Run:
    """One execution of the window machine."""

    input: str
    start: float
    status: str = "RUNNING"


@dataclass
class Target:
    """One execution of the target: its content, and when that had settled by the machine that stored it."""

    label: str | None
    content: frozenset[Upload]
    settled: float


@dataclass
class World:
    """Everything outside the code under test. Time is in seconds since 1970."""

    seed: str
    now: float = 1_000_000.0
    versions: dict[str, list[File | None]] = field(default_factory=dict)
    lives: dict[Upload, list[list[float]]] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    started: list[Target] = field(default_factory=list)
    environments: list[Memory] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    calm: bool = False
    # By instance: its last change, and when the last arrival began that was decided.
    changed: dict[str, float] = field(default_factory=dict)
    named: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw how bad the days are."""
        self.dice = random.Random(self.seed)  # noqa: S311 - no secrets
        self.agenda: list[tuple[float, int, Steps]] = []
        self.numbers, self.stamps = itertools.count(), itertools.count()
        self.seconds = self.dice.choice([1, 3, 8])
        self.failing = self.dice.choice([0, 0, 0.05, 0.2])
        self.stopping = self.dice.choice([0, 0, 0.3])
        self.lingering = self.dice.choice([0, 5, 60])
        self.route, self.size = make_route(self.dice, self.seconds)
        table = RouteTable(pack([self.route]))
        self.stack = stack(source_prefix="in/", table=table, results_bucket_name=RESULTS)

    # ---- Time and calls, as in the simulation of windows ----

    def spawn(self, steps: Steps, delay: float = 0) -> None:
        """Let something begin after a delay."""
        heapq.heappush(self.agenda, (self.now + delay, next(self.numbers), steps))

    def run(self) -> None:
        """Go on until nothing is left to happen."""
        while self.agenda:
            self.now, _, steps = heapq.heappop(self.agenda)
            with suppress(StopIteration, Killed):
                self.spawn(steps, next(steps))

    def lag(self) -> float:
        """Draw how long something takes: mostly a moment, sometimes longer than a set takes to settle."""
        luck = self.dice.random()
        if luck < 0.8:
            return luck * 0.2
        return self.dice.random() * (2 if luck < 0.95 else 3 * self.seconds)

    def call[T](self, effect: Callable[[], T]) -> Steps:
        """Make one call to a service, with whatever befalls it."""
        yield self.lag()
        self._fail()
        answer = effect()
        if self._unlucky():  # lost, and repeated by the SDK
            yield self.lag()
            answer = effect()
        yield self.lag()
        self._fail()
        return answer

    def _unlucky(self) -> bool:
        return not self.calm and self.dice.random() < self.failing

    def _fail(self) -> None:
        if self._unlucky():
            raise Killed if self.dice.random() < 0.3 else CallFailed

    # ---- S3 ----

    def current(self, key: str) -> File | None:
        """Return what a HEAD without a version id, or a listing, sees."""
        return (self.versions.get(key) or [None])[-1]

    def head(self, key: str) -> StoredObject | None:
        """Answer a HEAD."""
        file = self.current(key)
        moment = file and datetime.fromtimestamp(file.last_modified, UTC)
        return StoredObject(BUCKET, key, None, file.etag, moment, file.size) if file and moment else None

    def list_page(self, listing: Listing, token: str | None) -> tuple[list[File], str | None]:
        """Return one page of a listing, as things are now."""
        keys = sorted(key for key in self.versions if key.startswith(listing.prefix) and key > (token or ""))
        rest = [file for key in keys if (file := self.current(key))]
        return rest[:PAGE], rest[PAGE - 1].key if len(rest) > PAGE else None

    def set(self, key: str, file: File | None) -> None:
        """Make something current under a key: an object, a delete marker, or what was there before it."""
        if old := self.current(key):
            self.lives[old.upload][-1][1] = self.now
        if file:
            self.lives.setdefault(file.upload, []).append([self.now, float("inf")])
        self.changed[key.split("/")[1]] = self.now

    # ---- Step Functions ----

    def start_execution(self, execution: Execution) -> Opened | None:
        """Start an execution of the window machine, answer with the running one, or refuse the name."""
        run = self.runs.get(execution.name)
        if run:
            same = run.status == "RUNNING" and run.input == execution.input
            return Opened(run.start, new=False) if same else None
        run = self.runs[execution.name] = Run(execution.input, self.now)
        self.spawn(self.machine(run))
        if not self.calm and self.dice.random() < self.stopping:
            self.spawn(self.stop(run), self.dice.random() * 2 * self.seconds)
        if not self.calm and execution.name.endswith("-0") and self.dice.random() < 0.5:
            self.spawn(self.flicker(run))
        return Opened(run.start, new=True)

    def stop(self, run: Run) -> Steps:
        """Be an operator who stops an execution: what comes afterwards must see that it is over."""
        if run.status == "RUNNING":
            run.status = "ABORTED"
            self.changed.update(dict.fromkeys(INSTANCES, self.now))
            for key in self.versions:
                self.spawn(self.deliver(key), 0.1)  # whoever stopped it asks for what is there
        return
        yield

    def start_target(self, execution: Execution, generation: Generation[sets.Content]) -> None:
        """Start the target; a name that is taken is as good."""
        if execution.name in self.targets:
            return
        said = json.loads(execution.input)
        stored, settled = self.manifests[said["manifest"].removeprefix(f"s3://{RESULTS}/")]
        files = parse_manifest(stored)
        if (said["files"], said["bytes"]) != (len(files), sum(file.size for file in files)):
            self.wrong.append("differs: the input tells other files than the manifest")
        content = frozenset(file.upload for file in files)
        self.targets[execution.name] = Target(generation.group.reprocess, content, settled)
        self.started.append(self.targets[execution.name])

    def machine(self, run: Run) -> Steps:
        """Be statemachine/window.asl.json: wait, then collect, with retries; one that outlives its try may still go on."""
        yield max(0.0, self.waits_until(run) - self.now)
        while run.status == "RUNNING":
            if not self.calm and self.dice.random() < 0.1:
                self.spawn(self.collect(run))
                yield self.lag()
            elif (yield from self.collect(run)):
                yield self.dice.random() * self.lingering
                run.status = "SUCCEEDED" if run.status == "RUNNING" else run.status
            else:
                yield self.lag()

    def waits_until(self, run: Run) -> float:
        """Return when the machine's Wait ends: Step Functions cuts a timestamp to whole seconds, so one is added before."""
        return float(int(run.start + self.seconds + windows.GRACE + 1))

    # ---- The code under test ----

    def collect(self, run: Run) -> Steps:
        """Be an invocation of the collector; returns whether it ended well."""
        try:
            yield from in_steps(partial(self.collector, run), self.call)
        except (CallFailed, Killed):
            return False
        return True

    def collector(self, run: Run, call: Call) -> None:
        """Do what the collector's handler does."""
        generation = sets.parse_generation(json.loads(run.input))

        def head(key: str) -> File | None:
            stored = call(lambda: self.head(key))
            return gather.file_of(stored) if stored else None

        def put(key: str, body: bytes) -> None:
            call(lambda: self.manifests.setdefault(key, (body, run.start + self.seconds)))

        manifest = sets.collect(
            generation,
            self.stack,
            partial(
                sets.look,
                stack=self.stack,
                head=head,
                list_page=lambda listing, token: call(lambda: self.list_page(listing, token)),
            ),
            lambda key: call(lambda: self.get_manifest(key)),
            put,
        )
        if manifest is not None:
            execution = sets.plan_set(generation, manifest, self.stack)
            call(lambda: self.start_target(execution, generation))

    def get_manifest(self, key: str) -> bytes | None:
        """Return a manifest, if it is there."""
        return self.manifests[key][0] if key in self.manifests else None

    def adapter(self, key: str, label: str | None, memory: Memory, call: Call) -> bool:
        """Do what the adapter's handler does; returns whether the object was there."""
        skew = call(lambda: self.dice.uniform(-SKEW, SKEW), instant=True)
        gates = start.Gates(
            read_object=lambda created: call(lambda: self.head(created.key)),
            list_page=lambda listing, token: call(lambda: self.list_page(listing, token)),
            read_manifest=lambda _, key: call(lambda: self.get_manifest(key)),
            start_execution=lambda execution: call(lambda: self.start_execution(execution)),
            read_start_date=lambda _: None,
            clock=lambda: call(lambda: self.now, instant=True) + skew,
            memory=memory,
        )
        planned = start.plan_arrival(gates, ObjectCreated(BUCKET, key, None, ACCOUNT), self.stack, label)
        return not isinstance(start.start(gates, planned), Skip)

    # ---- Everybody else ----

    def deliver(self, key: str, label: str | None = None) -> Steps:
        """Deliver an event as Lambda does: in any free environment or a new one, some attempts."""
        for _ in range(LAMBDA_ATTEMPTS):
            began = self.now
            known = self.environments.pop() if self.environments and self.dice.random() < 0.7 else Memory()
            kept: list[Memory] = []

            def body(call: Call, known: Memory = known, kept: list[Memory] = kept) -> bool:
                kept[:] = [copied(known)]
                return self.adapter(key, label, kept[0], call)

            try:
                found = yield from in_steps(body, self.call)
            except (CallFailed, Killed):
                yield self.lag()
                continue
            self.environments += kept
            if found and label is None:
                instance = key.split("/")[1]
                self.named[instance] = max(began, self.named.get(instance, 0))
            return

    def act(self) -> Steps:
        """Be the user: upload, overwrite, delete, or restore without an event."""
        instance = self.dice.choice(INSTANCES[: 1 + (self.dice.random() < 0.3)])
        key = f"in/{instance}/m{self.dice.randrange(self.size)}"
        luck, versions = self.dice.random(), self.versions.setdefault(key, [])
        if luck < 0.65:
            file = File(key, len(versions) + 1, f"e{next(self.stamps)}", int(self.now))
            self.set(key, file)
            versions.append(file)
            for _ in range(self.dice.choice([0, 1, 1, 1, 2])):
                self.spawn(self.deliver(key), self.dice.choice([0, 0, 1, self.seconds, 5 * self.seconds]))
        elif luck < 0.82 and self.current(key):
            self.set(key, None)
            versions.append(None)
        elif len(versions) > 1 and versions[-1] is None:
            self.set(key, versions[-2])
            versions.pop()
        return
        yield

    def flicker(self, run: Run) -> Steps:
        """Be a member that is away while the set is collected, and back just after; another one is announced about then."""
        said = json.loads(run.input)["instance"]
        instance = said["i"] if isinstance(said, dict) else said.split("/")[1]
        keys = [key for key in self.versions if f"/{instance}/" in key and self.current(key)]
        if not keys:
            return
        deadline, looks = run.start + self.seconds, self.waits_until(run)
        for _ in range(2):
            moment = deadline - self.dice.random() * self.dice.choice([0.2, 2])
            self.spawn(self.deliver(self.dice.choice(keys)), max(0.0, moment - self.now))
        key = self.dice.choice(keys)
        yield max(0.0, looks - self.now - self.dice.random())
        if self.current(key):
            self.set(key, None)
            self.versions[key].append(None)
        yield self.dice.random() * 3
        if self.versions[key][-1] is None and len(self.versions[key]) > 1:
            self.set(key, self.versions[key][-2])
            self.versions[key].pop()

    def backfill(self, label: str | None = None) -> None:
        """Deliver all that exists."""
        for key in self.versions:
            if self.current(key):
                self.spawn(self.deliver(key, label), self.dice.random() * 2 * self.seconds)

    # ---- The promise ----

    def verdict(self) -> list[str]:
        """Return how the world contradicts it."""
        wrong = list(self.wrong)
        ran = [(target.label, target.content) for target in self.started]
        if len(ran) != len(set(ran)):
            wrong.append("twice: a content was run twice")
        wanted = (self.route.set and self.route.set.at_least) or len(self.route.match)
        if any(len(content) < wanted for _, content in ran):
            wrong.append("incomplete: a set was run without some of its members")
        wrong += [
            "changed: a set was run that had changed before it settled"
            for target in self.started
            if any(all(until < target.settled for _, until in self.lives[upload]) for upload in target.content)
        ]
        for instance in INSTANCES:
            there = [file for key in self.versions if f"/{instance}/" in key and (file := self.current(key))]
            content = frozenset(file.upload for file in there)
            named = self.named.get(instance, 0) > self.changed.get(instance, 0)
            if len(there) >= wanted and named and (None, content) not in ran:
                wrong.append("lost: a complete set was never run, though an arrival named it")
        return wrong


def bad_days(seed: str, kind: type[World] = World) -> list[str]:
    """Run a world in which everything may happen, and return how it contradicts the promise."""
    world = kind(seed)
    dice = world.dice
    moment = 0.0
    for _ in range(dice.randint(2, 12)):
        moment += dice.choice([0, 0.1, 1, world.seconds, 3 * world.seconds])
        world.spawn(world.act(), moment)
    if dice.random() < 0.2:
        world.spawn(_later(world), dice.random() * moment)
    world.run()
    world.calm = True
    # A stop between manifest and run leaves a content that nobody else starts: that one must be redriven.
    for name, run in world.runs.items():
        identity = name.rsplit("-", 1)[0]
        if run.status == "ABORTED" and f"sets/{identity}.json" in world.manifests and identity not in world.targets:
            run.status = "RUNNING"
            world.spawn(world.machine(run))
    world.run()
    wrong = world.verdict()
    for _ in range(dice.choice([1, 1, 2])):
        if dice.random() < 0.4:  # 90 days later: Step Functions has forgotten all names, S3 has kept its manifests
            world.runs, world.targets, world.environments = {}, {}, []
        world.now += 1
        world.backfill(dice.choice([None, None, "again"]))
        world.run()
    return [*wrong, *world.verdict()]


def _later(world: World) -> Steps:
    """Run a backfill in the middle of it."""
    world.backfill()
    return
    yield


__all__ = ["MACHINE", "World", "bad_days"]
