"""The world around the handlers: time, faults, Lambda, EventBridge, the window machine and the people.

The handlers run here as they are. Their clients lead to simulated services, and each call may come late, be lost, be
repeated, be refused or kill its caller. What is uploaded and promised is in `arrivals.py`, `windows.py` and `sets.py`.
"""

import heapq
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from handlers import backfill_batch, collect_window, start_execution
from shared.domain.arrival import ObjectCreated
from shared.domain.backfill import Request
from shared.domain.errors import ArrivalError
from shared.domain.memory import Memory, Opened, Upload
from shared.domain.outcome import as_response
from shared.domain.plan import Execution
from shared.domain.stack import Stack
from shared.domain.windows import GRACE, parse_manifest
from shared.gates import real, step_functions
from tests.simulation.fakes import FakeExecution, FakeS3, FakeStepFunctions, Version, Wire
from tests.simulation.steps import Answers, Steps, in_steps
from tests.unit.builders import ACCOUNT, BUCKET, CONTEXT, MACHINE, event, refusal, stack

OTHERS, WINDOWS = MACHINE.replace("glueworkshop", "others"), f"{MACHINE}-windows"
# Seconds that any function's clock may differ from Step Functions'; the protocols allow for GRACE.
SKEW = GRACE - 0.1
ATTEMPTS = 3  # Lambda's
# What a call may be refused with: code and status. A HEAD has no body, so there the code is the status.
S3_REFUSALS = [("SlowDown", 503), ("AccessDenied", 403), ("InternalError", 500), ("InvalidRequest", 400)]
SFN_REFUSALS = [
    (code, 500 if code == "InternalFailure" else 400)
    for code in ("ThrottlingException", "AccessDeniedException", "InternalFailure", "KmsInvalidStateException")
]
REFUSALS = {"StartExecution": SFN_REFUSALS, "DescribeExecution": SFN_REFUSALS}
REFUSALS["HeadObject"] = [(str(status), status) for _, status in S3_REFUSALS]

type Answer = dict[str, str | None]


class Killed(BaseException):
    """The process is gone: nothing in it can catch this."""


class Stepped(Wire):
    """A wire for one process at a time: it hands over the calls of whichever runs."""

    answers: Answers
    skew = 0.0
    # What the process saw current in its last HEAD, and when its last look at the bucket was over.
    current: Version | None = None
    looked = 0.0

    def call[T](self, operation: str, effect: Callable[[], T]) -> T:
        """Make one call, as the process's next step; by then another process may have the wire."""
        asking = self.asking

        def for_whom_it_was() -> T:
            self.asking = asking
            return effect()

        answer = self.answers.call(operation, for_whom_it_was)
        if operation in {"HeadObject", "ListObjectsV2"}:
            self.looked = self.answers.look(lambda: self.now)
        if operation == "HeadObject":
            self.current = answer["Current"]
        return answer  # type: ignore[no-any-return]

    def time(self) -> float:
        return self.answers.look(lambda: self.now) + self.skew


@dataclass(frozen=True)
class Word:
    """What an event or a backfill was answered, what was current, and when it began, had looked, and ended."""

    key: str
    version_id: str | None
    label: str | None
    answer: Answer
    current: Version | None
    began: float
    looked: float
    ended: float

    @property
    def name(self) -> str:
        return str(self.answer["execution_arn"]).rsplit(":", 1)[-1]


@dataclass(frozen=True)
class Target:
    """One execution on a manifest: its label and files, and when the execution began that stored them."""

    label: str | None
    files: frozenset[Upload]
    opened: float


class World:
    """Everything outside the code under test; a kind of world adds what happens in it, and what was promised."""

    # How long a window is open or a set must be left alone, and how many of those a slow call takes.
    lengths: tuple[int, ...] = (2, 10, 10)
    slowest = 2
    collects = 3

    def __init__(self, seed: str) -> None:
        self.seed, self.dice = seed, random.Random(seed)  # noqa: S311 - no secrets
        self.agenda: list[tuple[float, int, Steps]] = []
        self.numbers = itertools.count()
        draw = self.dice.choice
        self.seconds = draw(self.lengths)
        self.failing = draw([0, 0, 0.01, 0.05, 0.2])
        self.outliving, self.redriving, self.stopping = draw([0, 0.1, 0.3]), draw([0, 0, 0.5, 1]), draw([0, 0, 0.4])
        self.lingering = draw([0, 5, 60])
        self.slow, self.reusing = draw([0, 0, 0.1, 0.4]), draw([0.7, 1])
        self.calm, self.version = False, 0
        self.wire = Stepped()
        self.s3 = FakeS3(self.wire, BUCKET, ACCOUNT)
        self.sfn = FakeStepFunctions(self.wire, (MACHINE, OTHERS, WINDOWS), began=self.began)
        self.environments: list[Memory] = []
        self.words: list[Word] = []
        self.started: list[Target] = []
        self.events: list[tuple[Version, dict[str, Any]]] = []
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter(worlds=1)
        self.stack = self.make_stack()

    def make_stack(self) -> Stack:
        return stack()

    def happen(self) -> None:
        """Let the bad days begin."""

    def settle(self) -> None:
        """Let people see to what failed, and look at everything once more; nothing fails any more."""

    def verdict(self) -> list[str]:
        """Return how the world contradicts the promise, now that nothing is left to happen; empty when it holds."""
        return []

    # ---- Time, and calls ----

    def spawn(self, act: Callable[..., Steps | None], *given: Any, after: float = 0) -> None:

        def steps() -> Steps:
            if (begun := act(*given)) is not None:
                yield from begun

        self._go_on(steps(), after)

    def _go_on(self, steps: Steps, after: float) -> None:
        heapq.heappush(self.agenda, (self.wire.now + after, next(self.numbers), steps))

    def run(self) -> None:
        while self.agenda:
            self.wire.now, _, steps = heapq.heappop(self.agenda)
            self.seen["steps"] += 1
            with suppress(StopIteration):
                self._go_on(steps, next(steps))

    def soon(self, most: float) -> float:
        """Draw a time, in lengths of a window or a set's rest."""
        return self.dice.random() * most * self.seconds

    def lag(self, slow: float) -> float:
        """Draw how long something takes: mostly a moment, sometimes longer than a window."""
        if self.dice.random() >= slow:
            return self.dice.random() * 0.15
        return self.dice.random() * self.dice.choice([2, 2, 2, self.slowest * self.seconds])

    def call(self, slow: float, operation: str, effect: Callable[[], Any]) -> Steps:
        yield self.lag(slow)
        if self._unlucky():
            self._fail("refused", refusal(*self.dice.choice(REFUSALS.get(operation, S3_REFUSALS)), operation))
        if self._unlucky():
            self._fail("unreachable", ConnectTimeoutError(endpoint_url=operation))
        if self._unlucky():
            self.seen["fault: lost and repeated by the SDK"] += 1
            with suppress(ClientError):
                effect()
            yield self.lag(slow)
        answer = effect()
        yield self.lag(slow)
        if self._unlucky():
            self._fail("lost", ReadTimeoutError(endpoint_url=operation))
        return answer

    def _unlucky(self) -> bool:
        return not self.calm and self.dice.random() < self.failing / 2

    def _fail(self, how: str, error: Exception) -> None:
        killed = self.dice.random() < 0.3
        self.seen[f"fault: {'killed where ' * killed}{how}"] += 1
        raise Killed if killed else error

    # ---- Events, Lambda and backfills ----

    def announce(self, version: Version, delay: float = 0) -> None:
        number, known = f"event-{len(self.events)}", version.announced
        if self.dice.random() < 0.5:
            found = {"key": version.key, "size": version.size} | ({"version-id": known} if known else {})
            told = event(id=number, detail__object=found)
        else:
            call = {"bucketName": BUCKET, "key": version.key}
            told = event("cloudtrail-put-object", id=number, detail__requestParameters=call)
            told["detail"]["responseElements"] = {"x-amz-version-id": known} if known else None
        self.events.append((version, told))
        run = partial(start_execution.handler, told, CONTEXT)
        self.spawn(self.deliver, run, version.key, version.announced, after=delay)

    def replay(self) -> None:
        self.seen["replays"] += 1
        for version, told in list(self.events):
            run = partial(start_execution.handler, {**told, "replay-name": "again"}, CONTEXT)
            self.spawn(self.deliver, run, version.key, version.announced, after=self.soon(2))

    def backfill(self, label: str | None = None, dry: bool = False) -> None:  # noqa: FBT001, FBT002 - of a list
        self.seen["backfills"] += 1
        request = Request(bucket=BUCKET, prefix="", since=None, until=None, dry_run=dry, reprocess=label)
        for version in self.s3.all_current():
            created = ObjectCreated(BUCKET, version.key, None, ACCOUNT)
            run = partial(lambda created: as_response(backfill_batch.handle(created, request)), created)
            self.spawn(self.deliver, run, version.key, None, "dry" if dry else label, after=self.soon(2))

    def deliver(self, run: Callable[[], Answer], key: str, version_id: str | None, label: str | None = None) -> Steps:
        for _ in range(ATTEMPTS):
            if (yield from self.invoke(run, key, version_id, label)):
                return
            yield self.soon(2)
        self.seen["ended: failure queue"] += 1
        if self.calm or not self.failing:
            self.wrong.append(f"failed without a fault: {key}")

    def invoke(self, run: Callable[[], Answer], key: str, version_id: str | None, label: str | None) -> Steps:
        """Run a handler in a free environment or a new one; returns whether it ended well."""
        reused = self.environments and self.dice.random() < self.reusing
        memory = known = self.environments.pop() if reused else Memory()
        skew = self.dice.choice([-SKEW, SKEW, self.dice.uniform(-SKEW, SKEW)])
        began = self.wire.now

        def body(answers: Answers) -> Word:
            nonlocal memory
            memory = Memory()
            vars(memory).update({name: dict(kept) for name, kept in vars(known).items()})
            self.wire.answers, self.wire.skew, self.wire.asking = answers, skew, label
            self.wire.current, self.wire.looked = None, began
            for handler in (start_execution, backfill_batch):
                vars(handler)["gates"] = self._gates(memory)
            answer = run()
            return Word(key, version_id, label, answer, self.wire.current, began, self.wire.looked, self.wire.now)

        try:
            slow = self.dice.choice([self.slow, self.slow, 0.7])
            word = yield from in_steps(body, partial(self.call, slow))
        except (ArrivalError, Killed) as error:
            self.environments += [] if isinstance(error, Killed) else [memory]
            return False
        self.environments.append(memory)
        self.words.append(word)
        self.seen[f"ended: {word.answer['outcome']}"] += 1
        self.check(word)
        return True

    def check(self, word: Word) -> None:
        """Note what is wrong with an answer."""

    def _gates(self, memory: Memory) -> Any:
        gates = real.make_gates(self.s3, self.sfn)  # type: ignore[arg-type]

        def begin(execution: Execution) -> Opened | None:
            if execution.state_machine_arn == WINDOWS:  # as the code that is deployed now would write it
                execution = execution._replace(input=execution.input + " " * self.version)
            return gates.start_execution(execution)

        return gates._replace(memory=memory, start_execution=begin)

    # ---- Step Functions, and who looks after it ----

    def began(self, execution: FakeExecution) -> None:
        if not is_window(execution):
            execution.closed = self.wire.now + self.dice.choice([1, 3]) * self.seconds
            if isinstance(execution.asked_by, FakeExecution):
                self._run_on_manifest(execution)
            return
        self.spawn(self.window_machine, execution)
        if not self.calm:
            if self.dice.random() < self.stopping:
                self.spawn(self.stop, execution, after=self.soon(self.dice.choice([0.5, 2])))
            self.opened(execution)

    def opened(self, run: FakeExecution) -> None:
        """Let something happen while a window is open or a set settles."""

    def _run_on_manifest(self, execution: FakeExecution) -> None:
        said = json.loads(execution.input)
        manifest = self.s3.manifests[said["manifest"].removeprefix(f"s3://{self.stack.results_bucket_name}/")]
        files = parse_manifest(manifest.body)
        if (said["files"], said["bytes"]) != (len(files), sum(file.size for file in files)):
            self.wrong.append(f"differs: {execution.input} and its manifest")
        label = json.loads(execution.asked_by.input)["reprocess"]
        self.started.append(Target(label, frozenset(file.upload for file in files), manifest.asked_by.started))

    def window_machine(self, run: FakeExecution) -> Steps:
        """Be statemachine/window.asl.json. A stop ends it, but not the collect that it has begun."""
        run.attempt += 1
        attempt = run.attempt
        if not run.waited:
            yield max(0.0, self.waits_until(run) - self.wire.now)
            run.waited = True
        for _ in range(self.collects):
            if run.attempt != attempt or run.status != "RUNNING":
                return
            if not self.calm and self.dice.random() < self.outliving:
                self.seen["collects that outlive their task"] += 1
                self.spawn(self.collect, run)
            elif (yield from self.collect(run)):
                yield self.dice.random() * self.lingering
                if run.attempt == attempt and run.status == "RUNNING":
                    self.sfn.close(run)
                return
            yield self.dice.random() * 3
        if run.attempt == attempt and run.status == "RUNNING":
            self.end_badly(run, "FAILED")

    def waits_until(self, run: FakeExecution) -> float:
        """Return when its Wait ends: Step Functions cuts a timestamp to whole seconds, so one is added before."""
        return float(int(run.started + self.seconds + GRACE + 1))

    def collect(self, run: FakeExecution) -> Steps:
        """Be an invocation of the collector; returns whether it ended well."""

        def body(answers: Answers) -> Any:
            self.wire.answers, self.wire.skew, self.wire.asking = answers, 0, run
            return collect_window.handler(json.loads(run.input), CONTEXT)

        try:
            yield from in_steps(body, partial(self.call, self.slow))
        except (ArrivalError, Killed):
            return False
        return True

    def end_badly(self, run: FakeExecution, status: str) -> None:
        self.sfn.close(run, status)
        self.seen[status.lower()] += 1
        if not self.calm and self.dice.random() < self.redriving:
            self.spawn(self.redrive, run, after=self.soon(6))

    def stop(self, run: FakeExecution) -> None:
        if run.status == "RUNNING":
            self.end_badly(run, "ABORTED")

    def redrive(self, run: FakeExecution) -> None:
        """Redrive an execution as long as that may be: names last some six times longer than that."""
        if run.status in {"FAILED", "ABORTED"} and self.wire.now <= run.closed + self.sfn.retention / 6:
            self.seen["redriven"] += 1
            run.status, run.closed = "RUNNING", inf
            self.spawn(self.window_machine, run)

    def deploy(self) -> None:
        """Deploy code that writes its inputs otherwise."""
        self.version += 1

    @property
    def runs(self) -> list[FakeExecution]:
        """The executions of the window machine whose names are the latest."""
        return [one for one in self.sfn.by_arn.values() if is_window(one)]


def bad_days(kind: type[World], seed: str) -> World:
    """Run a world from its first upload to its last backfill, and note in it how it contradicts the promise.

    Meanwhile the handlers have its clients, settings and clock, and print nothing: that is the unit tests' business.
    """
    world = kind(seed)
    clients = {"s3": world.s3, "sfn": world.sfn, "this_stack": lambda: world.stack}
    with ExitStack() as given:
        for module in (start_execution, backfill_batch, collect_window):
            silent = {name: lambda *_: None for name in vars(module) if name.startswith("report_")}
            given.enter_context(patch.dict(vars(module), clients | silent))
        for gate in (step_functions, real):
            given.enter_context(patch.dict(vars(gate), {"time": world.wire}))
        for act in (world.happen, world.settle):
            act()
            world.run()
            world.wrong += world.verdict()
            world.calm = True
    return world


def explain(world: World) -> str:
    mood = {name: value for name, value in vars(world).items() if isinstance(value, int | float)}
    story = [(one.started, f"{one.name} starts, {one.status} at {one.closed:.1f}") for one in world.sfn.executions]
    story += [(put.at, f"{put.key} is stored: {put.body.decode()}") for put in world.s3.puts]
    for upload, lives in world.s3.lives.items():
        story += [(since, f"{upload} is current until {until:.1f}") for since, until in lives]
    story += [(word.began, str(word)) for word in world.words]
    told = [f"{at:.1f} {what}" for at, what in sorted(story)]
    return "\n".join([f"{world.seed}: {world.wrong[:3]}", str(mood), *told])


def is_window(execution: FakeExecution) -> bool:
    return ":execution:glueworkshop-windows:" in execution.arn
