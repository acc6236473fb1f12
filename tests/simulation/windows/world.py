"""The services, the clocks and everybody who uses them, for one window protocol under test."""

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shared.domain import windows
from shared.domain.choose import own_folder
from shared.domain.memory import Memory, Opened, Upload
from shared.domain.windows import File, Generation, Window, Windows
from tests.simulation.windows.steps import Call, in_steps

type Steps = Generator[float, None, Any]

BUCKET, RESULTS, ROUTE = "source", "results", "job:target"
FOLDERS = ("in/a/", "in/b/")
NAMES = ("0", "1", "2", "deep/3")
PAGE = 2  # keys of a listing's page
# Seconds that any adapter's clock may differ from Step Functions'; the protocol allows for windows.GRACE.
SKEW = windows.GRACE - 0.1
LAMBDA_ATTEMPTS, COLLECT_ATTEMPTS = 3, 3


class CallFailed(Exception):  # noqa: N818
    """A call failed, or its answer was lost; what it asked for may have been done."""


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Mood:
    """How bad a day is; `lasting` is how many windows long Step Functions keeps a name, None for as long as the world does."""

    seconds: int
    versioned: bool
    failing: float
    outliving: bool
    redriving: float
    stopping: float
    deploying: bool
    crowding: int
    brisk: bool
    lasting: int | None

    @classmethod
    def draw(cls, dice: random.Random) -> "Mood":
        """Draw one."""
        return cls(
            seconds=dice.choice([2, 10, 10]),
            versioned=dice.random() < 0.5,
            failing=dice.choice([0, 0, 0.01, 0.05, 0.2]),
            outliving=dice.random() < 0.4,
            redriving=dice.choice([0, 0.5, 1]),
            stopping=dice.choice([0, 0, 0.3]),
            deploying=dice.random() < 0.2,
            crowding=dice.choice([0, 0, 1, 3]),
            brisk=dice.random() < 0.3,
            lasting=dice.choice([None, None, 12]),
        )


@dataclass
class Run:
    """One execution of the window machine."""

    generation: Generation
    input: str
    start: float
    status: str = "RUNNING"
    closed: float = 0
    waited: bool = False
    attempt: int = 0


@dataclass
class Target:
    """One execution of the target."""

    generation: Generation
    files: frozenset[Upload]
    input: dict[str, Any]
    closed: float


def generation_of(window: Window, name: str) -> Generation:
    """Return the generation that has this name."""
    return Generation(window, int(name.rsplit("-", 1)[-1]))


def copied(memory: Memory) -> Memory:
    """Return a memory that knows the same, and learns by itself."""
    copy = Memory()
    copy.start_dates, copy.manifests = dict(memory.start_dates), dict(memory.manifests)
    return copy


@dataclass
class World:
    """Everything outside the code under test. Time is in seconds since 1970."""

    seed: str
    mood: Mood
    now: float = 1_000_000.0
    versions: dict[str, list[File | None]] = field(default_factory=dict)
    visible: dict[Upload, float] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    stored: list[tuple[Generation, frozenset[Upload], float]] = field(default_factory=list)
    stored_by: dict[Generation, Generation] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    started: list[Target] = field(default_factory=list)
    acknowledged: list[tuple[Upload, Generation]] = field(default_factory=list)
    announced: list[Upload] = field(default_factory=list)
    failure_queue: list[Upload] = field(default_factory=list)
    # Uploads that were gone and are back: S3 tells them apart from the first time in nothing.
    restored: set[Upload] = field(default_factory=set)
    environments: list[Memory] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    calm: bool = False
    version: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        """Make the dice and an empty agenda."""
        self.dice = random.Random(self.seed)  # noqa: S311 - no secrets
        self.agenda: list[tuple[float, int, Steps]] = []
        self.number = 0
        self.s3_skew = self.dice.choice([0, 0, -1, 1])

    # ---- Time ----

    def spawn(self, steps: Steps, delay: float = 0) -> None:
        """Let something begin after a delay."""
        self.number += 1
        heapq.heappush(self.agenda, (self.now + delay, self.number, steps))

    def run(self) -> None:
        """Go on until nothing is left to happen."""
        while self.agenda:
            self.now, _, steps = heapq.heappop(self.agenda)
            self.steps += 1
            try:
                self.spawn(steps, next(steps))
            except StopIteration:
                pass
            except Killed:
                self.seen["killed"] += 1

    def lag(self) -> float:
        """Draw how long something takes: mostly a moment, sometimes as long as two windows."""
        luck = self.dice.random()
        if luck < 0.7 or self.mood.brisk:
            return luck * 0.2
        return self.dice.random() * (2 if luck < 0.92 else 2 * self.mood.seconds)

    def call(self, effect: Callable[[], Any]) -> Steps:
        """Make one call to a service, with whatever befalls it."""
        yield self.lag()
        self._fail("before")
        answer = effect()
        if self._unlucky():
            self.seen["lost and repeated by the SDK"] += 1
            yield self.lag()
            answer = effect()
        yield self.lag()
        self._fail("after")
        return answer

    def _unlucky(self) -> bool:
        return not self.calm and self.dice.random() < self.mood.failing

    def _fail(self, when: str) -> None:
        if self._unlucky():
            self.seen[f"failed {when} the effect"] += 1
            if self.dice.random() < 0.3:
                raise Killed
            raise CallFailed

    # ---- S3 ----

    def put(self, key: str, etag: str, last_modified: int) -> File:
        """Make an object visible."""
        file = File(key, len(key), etag, last_modified)
        versions = self.versions.setdefault(key, [])
        if not self.mood.versioned:
            versions.clear()
        versions.append(file)
        if file.upload in self.visible:
            self.restored.add(file.upload)
        self.visible[file.upload] = self.now
        return file

    def delete(self, key: str) -> None:
        """Delete the current object: for good, or by a marker."""
        if self.mood.versioned:
            self.versions.setdefault(key, []).append(None)
        else:
            self.versions.pop(key, None)

    def restore(self, key: str) -> None:
        """Take the delete marker away: what was there before is current again, and nobody announces it."""
        versions = self.versions.get(key, [])
        if len(versions) > 1 and versions[-1] is None:
            versions.pop()
            if file := self.current(key):
                self.restored.add(file.upload)

    def current(self, key: str) -> File | None:
        """Return what a HEAD without a version id, or a listing, sees."""
        return (self.versions.get(key) or [None])[-1]

    def list_page(self, prefix: str, token: str | None) -> tuple[list[File], str | None]:
        """Return one page of a listing, as things are now."""
        found = [file for key in sorted(self.versions) if key.startswith(prefix) and (file := self.current(key))]
        rest = [file for file in found if token is None or file.key > token]
        return rest[:PAGE], rest[PAGE - 1].key if len(rest) > PAGE else None

    def put_if_absent(self, generation: Generation, key: str, body: bytes) -> None:
        """Store a manifest with If-None-Match: *."""
        if key not in self.manifests:
            self.store(generation, key, body)

    def store(self, generation: Generation, key: str, body: bytes) -> None:
        """Store a manifest."""
        self.manifests[key] = body
        number = int(key.rsplit("/", 1)[-1].removesuffix(".json"))
        uploads = frozenset(file.upload for file in windows.parse_manifest(body))
        of = Generation(generation.group, number)
        self.stored.append((of, uploads, self.now))
        self.stored_by[of] = generation

    # ---- Step Functions ----

    def forgotten(self, closed: float) -> bool:
        """Return whether the name of an execution that closed then is free again."""
        return self.mood.lasting is not None and self.now > closed + self.mood.lasting * self.mood.seconds

    def start_window(self, generation: Generation, name: str, given: str) -> Opened | None:
        """Start an execution of the window machine, answer with the running one, or refuse the name."""
        run = self.runs.get(name)
        if run and (run.status == "RUNNING" or not self.forgotten(run.closed)):
            return Opened(run.start, new=False) if run.status == "RUNNING" and run.input == given else None
        run = self.runs[name] = Run(generation, given, self.now)
        self.spawn(self.window_machine(run))
        if self.dice.random() < self.mood.stopping and not self.calm:
            self.spawn(self.stop(run), self.dice.random() * 2 * self.mood.seconds)
        if not self.calm and generation.number == 0:
            for _ in range(self.dice.randint(0, self.mood.crowding)):
                self.spawn(self.upload_at_the_last_minute(run))
        return Opened(run.start, new=True)

    def start_target(self, generation: Generation, stored: bytes, name: str, given: str) -> None:
        """Start the target; a name that is taken is as good."""
        known = self.targets.get(name)
        if known and not self.forgotten(known.closed):
            return
        files = frozenset(file.upload for file in windows.parse_manifest(stored))
        closed = self.now + self.dice.choice([1, 3]) * self.mood.seconds
        self.targets[name] = Target(generation, files, json.loads(given), closed)
        self.started.append(self.targets[name])

    def window_machine(self, run: Run) -> Steps:
        """Be statemachine/window.asl.json: wait, then collect, with retries; a stop ends it, but not the collect it has begun."""
        run.attempt += 1
        attempt = run.attempt
        if not run.waited:
            yield max(0.0, self.waits_until(run) - self.now)
            if run.attempt != attempt or run.status != "RUNNING":
                return
            run.waited = True
        for _ in range(COLLECT_ATTEMPTS):
            if self.mood.outliving and self.dice.random() < 0.3:
                self.seen["collects that outlive their task"] += 1
                self.spawn(self.collect(run.generation))
                yield self.dice.random() * 3
                done = False
            else:
                done = yield from self.collect(run.generation)
            if run.attempt != attempt or run.status != "RUNNING":
                return
            if done:
                self.close(run, "SUCCEEDED")
                return
            yield self.dice.random() * 3
            if run.attempt != attempt or run.status != "RUNNING":
                return
        self.close(run, "FAILED")
        if not self.calm and self.dice.random() < self.mood.redriving:
            self.spawn(self.redrive(run), self.dice.random() * 6 * self.mood.seconds)

    def waits_until(self, run: Run) -> float:
        """Return when the machine's Wait ends: Step Functions cuts a timestamp to whole seconds, so one is added before."""
        return float(int(run.start + run.generation.group.seconds + windows.GRACE + 1))

    def stop(self, run: Run) -> Steps:
        """Be an operator who stops a window, and may think better of it."""
        if run.status == "RUNNING":
            self.seen["stopped"] += 1
            self.close(run, "ABORTED")
            if self.dice.random() < self.mood.redriving:
                self.spawn(self.redrive(run), self.dice.random() * 6 * self.mood.seconds)
        return
        yield

    def redrive(self, run: Run) -> Steps:
        """Redrive a window that failed or was stopped, as long as it may be: names last some six times longer than that."""
        if run.status in {"FAILED", "ABORTED"} and not self.past_redriving(run):
            self.seen["redriven"] += 1
            run.status = "RUNNING"
            self.spawn(self.window_machine(run))
        return
        yield

    def past_redriving(self, run: Run) -> bool:
        """Return whether it is too late for a redrive: 14 days, where names last 90."""
        return self.mood.lasting is not None and self.now > run.closed + self.mood.lasting * self.mood.seconds / 6

    def close(self, run: Run, status: str) -> None:
        """End an execution."""
        run.status, run.closed = status, self.now

    # ---- The code under test ----

    def collect(self, generation: Generation) -> Steps:
        """Be an invocation of the collector; returns whether it ended well."""
        try:
            yield from in_steps(partial(self.collector, generation), self.call)
        except CallFailed:
            return False
        except Killed:
            self.seen["killed"] += 1
            return False
        return True

    def collector(self, generation: Generation, call: Call) -> None:
        """Do what the collector's handler does."""
        stored = windows.collect(
            generation,
            lambda file: own_folder(file.key) == generation.group.folder,
            lambda token: call(lambda: self.list_page(generation.group.folder, token)),
            lambda key: call(lambda: self.manifests.get(key)),
            lambda key, body: call(lambda: self.put_if_absent(generation, key, body)),
        )
        if windows.parse_manifest(stored):
            name, given = windows.name_and_input(generation, stored, RESULTS, {"TRG_PREFIX": "target"})
            call(lambda: self.start_target(generation, stored, name, given))

    def adapter(
        self, announced: Upload, label: str | None, memory: Memory, call: Call
    ) -> tuple[Upload, Generation] | None:
        """Do what the adapter's handler does; returns the upload that was current when it looked, and where it was joined."""
        skew = call(lambda: self.dice.choice([-SKEW, SKEW, self.dice.uniform(-SKEW, SKEW)]), instant=True)
        (file, current), seen_at = self.look(announced, call)
        seen_at += skew
        if file is None:
            return None
        window = self.window_of(file, seen_at, label)
        joined = windows.join(
            windows.Sighting(window, file, seen_at),
            memory,
            lambda key: call(lambda: self.manifests.get(key)),
            lambda name, given: call(
                lambda: self.start_window(generation_of(window, name), name, self.deployed(given))
            ),
        )
        return (current.upload, joined.generation) if current else None

    def look(self, announced: Upload, call: Call) -> tuple[tuple[File | None, File | None], float]:
        """Ask for the object, then for the time; beside the answer, what is current in truth."""
        found = call(lambda: (self.head(announced), self.current(announced[0])))
        return found, call(lambda: self.now, instant=True)

    def head(self, announced: Upload) -> File | None:
        """Look at the key as it is now, whichever version was announced."""
        return self.current(announced[0])

    def window_of(self, file: File, _seen_at: float, label: str | None) -> Window:
        """Return the window of an upload."""
        return Windows(ROUTE, BUCKET, self.mood.seconds).of(file, own_folder(file.key), label)

    def deployed(self, given: str) -> str:
        """Return the input as the version of the code that is deployed now would write it."""
        return given + " " * self.version

    # ---- Everybody else ----

    def deliver(self, announced: Upload, label: str | None = None, *, attempts: int = LAMBDA_ATTEMPTS) -> Steps:
        """Deliver an event as Lambda does: in any free environment or a new one, some attempts, then the failure queue."""
        for _ in range(attempts):
            known = self.environments.pop() if self.environments and self.dice.random() < 0.7 else Memory()
            kept: list[Memory] = []

            def body(call: Call, known: Memory = known, kept: list[Memory] = kept) -> tuple[Upload, Generation] | None:
                kept[:] = [copied(known)]
                return self.adapter(announced, label, kept[0], call)

            try:
                ended = yield from in_steps(body, self.call)
            except Killed:
                self.seen["killed"] += 1
            except CallFailed:
                self.environments += kept
            else:
                self.environments += kept
                if ended:
                    self.acknowledged.append(ended)
                self.seen["deliveries"] += 1
                return
            yield self.dice.random() * 2 * self.mood.seconds
        self.failure_queue.append(announced)

    def upload(self, key: str) -> Steps:
        """Upload, perhaps in parts that take long, perhaps over another object; announce it; perhaps delete and restore it."""
        last_modified = int(self.now + self.s3_skew)
        if self.dice.random() < 0.25:
            self.seen["multipart uploads"] += 1
            yield self.dice.random() * 4 * self.mood.seconds
        file = self.put(key, self.dice.choice("xyz"), last_modified)
        self.seen["uploads"] += 1
        for _ in range(self.dice.choice([0, 1, 1, 2, 3])):
            luck = self.dice.random()
            wait = self.dice.random() * (1 if luck < 0.5 else (2.5 if luck < 0.8 else 8) * self.mood.seconds)
            if self.mood.lasting:
                wait *= self.dice.choice([1, 1, 6])
            self.announced.append(file.upload)
            self.spawn(self.deliver(file.upload), wait)
        if self.dice.random() < 0.15:
            yield self.dice.random() * 2 * self.mood.seconds
            self.delete(key)
            if self.dice.random() < 0.3:
                yield self.dice.random() * 2 * self.mood.seconds
                self.restore(key)

    def upload_at_the_last_minute(self, run: Run) -> Steps:
        """End an upload in parts just before or after a window closes, and deliver its event, or one of its key, about then."""
        window = run.generation.group
        key = window.folder + self.dice.choice("012")
        last_modified = window.start + self.dice.randrange(window.seconds)
        deadline = run.start + window.seconds
        moment = deadline + self.dice.uniform(-0.5, self.dice.choice([1, 1, 3]) * windows.GRACE)
        if moment <= max(self.now, last_modified):
            return
        self.seen["uploads at the last minute"] += 1
        known = self.current(key)
        if known:
            self.spawn(self.deliver(known.upload), max(0.0, min(moment, deadline) - self.now - self.dice.random()))
        yield moment - self.now
        file = self.put(key, self.dice.choice("xyz"), last_modified)
        if self.dice.random() < 0.7:
            self.announced.append(file.upload)
            self.spawn(self.deliver(file.upload), self.dice.random() * 0.2)

    def prompt_upload(self, key: str) -> Steps:
        """Upload at once, and announce it at once and perhaps again, soon or late."""
        file = self.put(key, self.dice.choice("xyz"), int(self.now))
        for number in range(self.dice.choice([1, 2, 3])):
            late = self.dice.random() * (3 * self.mood.seconds if number and self.dice.random() < 0.5 else 1)
            self.spawn(self.deliver(file.upload), late)
        return
        yield

    def replay(self) -> Steps:
        """Deliver all events once more."""
        self.seen["replays"] += 1
        for upload in list(self.announced):
            self.spawn(self.deliver(upload), self.dice.random() * 2 * self.mood.seconds)
        return
        yield

    def backfill(self, label: str | None = None) -> Steps:
        """Deliver all that exists."""
        self.seen["backfills"] += 1
        for key in list(self.versions):
            if file := self.current(key):
                self.spawn(self.deliver(file.upload, label), self.dice.random() * 2 * self.mood.seconds)
        return
        yield

    def deploy(self) -> Steps:
        """Deploy code that writes its inputs otherwise."""
        self.seen["deploys"] += 1
        self.version += 1
        return
        yield

    def again(self, run: Run) -> Steps:
        """Be an operator who starts a window once more under another name, after its own failed for good."""
        while not (yield from self.collect(run.generation)):
            yield 1
