"""The simulated world: uploads, their events, Lambda's retries, backfills; and the real handlers in the middle."""

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from handlers import backfill_batch, start_execution
from shared.domain.errors import ArrivalError
from shared.gates import step_functions
from shared.gates.live import make_gates
from tests.simulation.fakes import Clock, FakeS3, FakeStepFunctions, Fault, Killed, Wire
from tests.unit.builders import ACCOUNT, BUCKET, MACHINE, stack, table

PREFIX = "input/lab2/eventdriven/"
ATTEMPTS = 3
# With routes: what each takes, by the simulation's own names; nothing takes b.csv, and the folder's files may be empty.
ROUTED = {f"{PREFIX}a.csv": "one", f"{PREFIX}folder/c + 1%20.csv": "folder"}
TABLE = table(
    one=f'match = "{PREFIX}a.csv"',
    folder=f'match = "{PREFIX}folder/{{file}}.csv"\naccept_empty = true\nstate_machine_arn = "others"',
    elsewhere='match = "elsewhere/{file}"',
)
CONTEXT: Any = SimpleNamespace(aws_request_id="simulated")


@dataclass
class Delivery:
    """One event on its way to the function, and where it ended."""

    event: dict[str, Any]
    version_id: str | None
    key: str
    ending: str | None = None


@dataclass
class World:
    """Everything outside the code under test."""

    versioning: str
    routes: bool = False
    clock: Clock = field(default_factory=Clock)
    pending: list[Delivery] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)
    failure_queue: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    events: int = 0

    def __post_init__(self) -> None:
        """Put the fakes where the handlers have their clients."""
        self.wire = Wire(self.clock, seen=self.seen)
        self.wire.meanwhile = self.deliver_something
        self.s3 = FakeS3(self.wire, BUCKET, ACCOUNT, self.versioning)
        self.sfn = FakeStepFunctions(self.wire, MACHINE, (MACHINE.replace("glueworkshop", "others"),))
        settings = stack(table=TABLE) if self.routes else stack()
        for handlers in (start_execution, backfill_batch):
            vars(handlers).update(gates=make_gates(self.s3, self.sfn), this_stack=lambda: settings)  # type: ignore[arg-type]
        vars(step_functions)["time"] = self.clock

    def upload(self, name: str, body: bytes, kinds: Iterable[str]) -> None:
        """Store an object and announce it by some kinds of events, or by none."""
        key = PREFIX + name
        announced = self.s3.put(key, body)
        self.seen["uploads"] += 1
        for kind in kinds:
            self.events += 1
            event: dict[str, Any] = {"id": f"event-{self.events}", "source": "aws.s3", "account": ACCOUNT}
            if kind == "native":
                found = {"key": key, "size": len(body)} | ({"version-id": announced} if announced else {})
                event |= {"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": found}}
            else:
                response = {"x-amz-version-id": announced} if announced else None
                call = {"eventSource": "s3.amazonaws.com", "eventName": "PutObject", "responseElements": response}
                event |= {
                    "detail-type": "AWS API Call via CloudTrail",
                    "detail": {**call, "requestParameters": {"bucketName": BUCKET, "key": key}},
                }
            self.pending.append(Delivery(event, announced, key))

    def deliver_something(self) -> None:
        """Deliver whatever is next, undisturbed, in the middle of another delivery."""
        if self.pending:
            self.deliver(self.pending.pop(0))

    def deliver(self, delivery: Delivery, faults: Iterable[Fault | None] = ()) -> None:
        """Invoke the function as Lambda does: three times at most, then the failure queue."""
        outer, self.wire.faults = self.wire.faults, deque(faults)
        asking, self.sfn.asking = self.sfn.asking, None
        hits = len(self.wire.hit)
        self.seen["deliveries"] += 1
        for _ in range(ATTEMPTS):
            try:
                answer = start_execution.handler(delivery.event, CONTEXT)
            except (ArrivalError, Killed):
                self.clock.advance(60)
                continue
            delivery.ending = answer["outcome"]
            self._is_true(delivery, answer)
            break
        else:
            delivery.ending = "failure queue"
            self.failure_queue.append(delivery.event)
            assert self.wire.hit[hits:], f"failed without a fault: {delivery}"
        self.wire.faults, self.sfn.asking = outer, asking
        self.delivered.append(delivery)
        self.seen[f"ended: {delivery.ending}"] += 1

    def backfill(self, *, dry: bool = False, label: str | None = None, faults: Iterable[Fault | None] = ()) -> bool:
        """Run a backfill over all there is, batch by batch with retries; say whether all batches were done."""
        self.seen["backfills"] += 1
        self.wire.faults, done = deque(faults), True
        request = {"bucket": BUCKET, "prefix": PREFIX, "since": None, "until": None, "dry_run": dry, "reprocess": label}
        items = [{**item, "request": request} for item in self.s3.list_objects(PREFIX)]
        self.sfn.asking = "dry" if dry else label
        for begin in range(0, len(items), 3):
            for _ in range(ATTEMPTS):
                try:
                    results = backfill_batch.handler({"Items": items[begin : begin + 3]}, CONTEXT)
                except (ArrivalError, Killed):
                    self.clock.advance(5)
                    continue
                done = done and not results["failed"]
                break
            else:
                done = False
        self.sfn.asking, self.wire.faults = None, deque()
        assert all(one.asked_by != "dry" for one in self.sfn.executions), "a dry run started something"
        return done

    def replay(self) -> None:
        """Send all events that were ever delivered once more."""
        self.pending += [
            Delivery({**one.event, "replay-name": "again"}, one.version_id, one.key) for one in self.delivered
        ]

    def check(self) -> None:
        """Check what must hold at any moment."""
        starts = Counter((self._identity(one.input), one.asked_by) for one in self.sfn.executions)
        assert all(count == 1 for count in starts.values()), f"started twice: {starts}"
        assert all(len(inputs) == 1 for inputs in self.sfn.inputs.values()), "one name met two inputs"
        endings = {"started", "duplicate", "skipped", "failure queue"}
        assert all(one.ending in endings for one in self.delivered)
        assert len(self.failure_queue) == sum(one.ending == "failure queue" for one in self.delivered)

    def check_nothing_is_missed(self) -> None:
        """Check that, after a backfill without faults, every eligible object has its start."""
        started = {self._identity(one.input) for one in self.sfn.executions}
        for item in self.s3.list_objects(PREFIX):
            found = self.s3.find(item["Key"])
            assert found
            if self._is_file(item["Key"], found.size):
                version = None if found.version_id == "null" else found.version_id
                assert any(
                    key == item["Key"]
                    and (made == version if version else (etag, second) == (found.etag, found.second))
                    for key, made, etag, second in started
                ), f"never started: {item}"

    def _is_true(self, delivery: Delivery, answer: dict[str, str | None]) -> None:
        """Check that the answer is true: what it started can be read by its key, and what it skips is nothing to start."""
        found, current = self.s3.find(delivery.key, delivery.version_id), self.s3.find(delivery.key)
        gone = not found or found.etag is None or not current or current.etag is None
        if answer["outcome"] == "skipped":
            empty = not gone and found is not None and found.size == 0
            marker = delivery.key.endswith("/")
            unrouted = self.routes and not marker and delivery.key not in ROUTED
            reasons = {"object_gone": gone, "folder_marker": marker, "empty_object": empty, "no_route": unrouted}
            assert reasons.get(str(answer["reason"])), answer
            return
        assert not gone, f"nothing there to read: {answer}"
        execution = self.sfn.by_arn.get(str(answer["execution_arn"]))
        assert execution, f"not there: {answer}"
        if self.routes:
            assert json.loads(execution.input)["route"] == ROUTED[delivery.key], "the wrong route"
            others = ":execution:others:" in execution.arn
            assert others == (ROUTED[delivery.key] == "folder"), "the wrong machine"
        if delivery.version_id:
            assert json.loads(execution.input)["object"]["version_id"] == delivery.version_id, "the wrong version"

    def _is_file(self, key: str, size: int | None) -> bool:
        """Return whether an object is one to start, by the simulation's own account."""
        if self.routes:
            return key in ROUTED and bool(size or ROUTED[key] == "folder")
        return bool(size) and not key.endswith("/")

    def _identity(self, given: str) -> tuple[str, str | None, str, int]:
        stored = json.loads(given)["object"]
        second = int(datetime.fromisoformat(stored["last_modified"]).timestamp())
        return stored["key"], stored["version_id"], stored["etag"], second
