"""S3 and Step Functions as AWS documents them, on a simulated clock and a wire that fails on demand.

Only they can show what happens when any call fails at any moment, over thousands of orders of events.
"""

import hashlib
import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from tests.unit.builders import refusal

LATENCY = 0.015  # seconds, each way
TIMEOUT = 3.0
RETENTION = 90 * 24 * 3600.0  # how long Step Functions keeps the name of a closed execution
LEGAL_NAME = re.compile(r'[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}')
LARGEST_INPUT = 262_144  # bytes


class Killed(BaseException):
    """The process is gone: nothing in it can catch this."""


class Fault(StrEnum):
    """What can happen to one call."""

    THROTTLED = "throttled"
    DENIED = "denied"
    FAULTY = "faulty"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    RETRIED = "lost and retried by the SDK"
    OVERTAKEN = "overtaken"


# Code and status; a HEAD has no body, so there the code is the status.
HEAD_REFUSALS = {
    Fault.THROTTLED: ("503", 503),
    Fault.DENIED: ("403", 403),
    Fault.FAULTY: ("500", 500),
    Fault.REFUSED: ("400", 400),
}
SFN_REFUSALS = {
    Fault.THROTTLED: ("ThrottlingException", 400),
    Fault.DENIED: ("AccessDeniedException", 400),
    Fault.FAULTY: ("InternalFailure", 500),
    Fault.REFUSED: ("KmsInvalidStateException", 400),
}
AFTER = frozenset({Fault.LOST, Fault.KILLED_AFTER, Fault.RETRIED})
HARMLESS = frozenset({Fault.RETRIED, Fault.OVERTAKEN})


@dataclass
class Clock:
    """The one clock of the simulated world, in seconds since 1970."""

    now: float = datetime(2026, 11, 24, 5, 20, tzinfo=UTC).timestamp()

    def time(self) -> float:
        """Stand in for time.time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class Wire:
    """Between the code and AWS: each call takes the next fault of the list, if there is one."""

    clock: Clock
    faults: deque[Fault | None] = field(default_factory=deque)
    hit: list[Fault] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    meanwhile: Callable[[], None] = lambda: None

    def call[T](self, operation: str, effect: Callable[[], T], refusals: dict[Fault, tuple[str, int]]) -> T:
        """Make one call, with whatever befalls it."""
        fault = self.faults.popleft() if self.faults else None
        if fault:
            self.hit.append(fault)
            self.seen[f"fault: {fault.value}"] += 1
        self.clock.advance(LATENCY)
        if fault is Fault.OVERTAKEN:
            self.meanwhile()
        if fault in refusals:
            raise refusal(*refusals[fault], operation)
        if fault is Fault.UNREACHABLE:
            raise ConnectTimeoutError(endpoint_url=operation)
        if fault is Fault.KILLED_BEFORE:
            raise Killed
        if fault in AFTER:
            with suppress(ClientError):
                effect()
            self.clock.advance(TIMEOUT)
            if fault is Fault.LOST:
                raise ReadTimeoutError(endpoint_url=operation)
            if fault is Fault.KILLED_AFTER:
                raise Killed
        answer = effect()
        self.clock.advance(LATENCY)
        return answer


@dataclass(frozen=True)
class Version:
    """One version of an object; a delete marker has no ETag."""

    version_id: str
    etag: str | None
    second: int
    size: int = 0


@dataclass
class FakeS3:
    """One bucket, whose versioning is `` (never turned on), `Enabled` or `Suspended`."""

    wire: Wire
    bucket: str
    owner: str
    versioning: str = ""
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    ids: int = 0

    def put(self, key: str, body: bytes, initiated: float | None = None) -> str | None:
        """Store an object and give the version id that S3 announces; a multipart upload is dated when it began."""
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest() + ("-2" if initiated else "")
        version_id = self._make_room(key)
        second = int(self.wire.clock.now if initiated is None else initiated)
        self.versions[key].append(Version(version_id, etag, second, len(body)))
        return None if version_id == "null" else version_id

    def delete(self, key: str) -> None:
        """Delete as without a version id: for good, or by a delete marker."""
        version_id = self._make_room(key)
        if self.versioning:
            self.versions[key].append(Version(version_id, None, int(self.wire.clock.now)))

    def delete_version(self, key: str, version_id: str) -> None:
        """Delete one version, or one delete marker, for good."""
        self.versions[key] = [one for one in self.versions[key] if one.version_id != version_id]

    def find(self, key: str, version_id: str | None = None) -> Version | None:
        """Return that version or delete marker, or the current one."""
        found = [one for one in self.versions.get(key, []) if version_id in (None, one.version_id)]
        return found[-1] if found else None

    def list_objects(self, prefix: str) -> list[dict[str, Any]]:
        """List what a ListObjectsV2 lists, dated as the Distributed Map's reader writes it."""
        current = {key: self.find(key) for key in sorted(self.versions, key=str.encode) if key.startswith(prefix)}
        return [{"Key": key, "LastModified": one.second} for key, one in current.items() if one and one.etag]

    def head_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, ExpectedBucketOwner: str | None = None
    ) -> dict[str, Any]:
        """Describe an object, or raise what a HEAD raises."""

        def effect() -> dict[str, Any]:
            if ExpectedBucketOwner not in (None, self.owner):
                raise refusal("403", 403, "HeadObject")
            found = self.find(Key, VersionId) if Bucket == self.bucket else None
            if found is None or (found.etag is None and VersionId is None):
                raise refusal("404", 404, "HeadObject")
            if found.etag is None:
                raise refusal("405", 405, "HeadObject")
            return {
                "ETag": f'"{found.etag}"',
                "LastModified": datetime.fromtimestamp(found.second, UTC),
                "ContentLength": found.size,
                **({"VersionId": found.version_id} if self.versioning else {}),
            }

        return self.wire.call("HeadObject", effect, HEAD_REFUSALS)

    def _make_room(self, key: str) -> str:
        """Return the version id of what comes next; without versioning it replaces the null version."""
        if self.versioning == "Enabled":
            self.ids += 1
            return f"version-{self.ids:024d}"
        self.delete_version(key, "null")
        return "null"


@dataclass
class FakeExecution:
    """One execution; `asked_by` says which invocation started it and is the simulation's own."""

    arn: str
    input: str
    started: float
    asked_by: Any
    closed: float | None = None


@dataclass
class FakeStepFunctions:
    """One Standard state machine, and others beside it."""

    wire: Wire
    arn: str
    others: tuple[str, ...] = ()
    asking: Any = None
    executions: list[FakeExecution] = field(default_factory=list)
    by_arn: dict[str, FakeExecution] = field(default_factory=dict)
    inputs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def start_execution(
        self, *, stateMachineArn: str, name: str, input: str, traceHeader: str | None = None
    ) -> dict[str, Any]:
        """Start an execution, give the running one of that name and input, or refuse the name."""
        asking = self.asking

        def effect() -> dict[str, Any]:
            if stateMachineArn not in {self.arn, *self.others}:
                raise refusal("StateMachineDoesNotExist", 400, "StartExecution")
            if not LEGAL_NAME.fullmatch(name):
                raise refusal("InvalidName", 400, "StartExecution")
            try:
                json.loads(input)
            except ValueError:
                raise refusal("InvalidExecutionInput", 400, "StartExecution") from None
            if len(input.encode()) > LARGEST_INPUT:
                raise refusal("InvalidExecutionInput", 400, "StartExecution")
            self.inputs[name].add(input)
            arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
            known = self._find(arn)
            if known and (known.closed is not None or known.input != input):
                raise refusal("ExecutionAlreadyExists", 400, "StartExecution")
            if not known:
                known = self.by_arn[arn] = FakeExecution(arn, input, self.wire.clock.now, asking)
                self.executions.append(known)
            return {"executionArn": arn, "startDate": datetime.fromtimestamp(round(known.started, 3), UTC)}

        return self.wire.call("StartExecution", effect, SFN_REFUSALS)

    def describe_execution(self, *, executionArn: str, includedData: str = "ALL_DATA") -> dict[str, Any]:
        """Describe an execution, or say that it does not exist."""

        def effect() -> dict[str, Any]:
            known = self._find(executionArn)
            if not known:
                raise refusal("ExecutionDoesNotExist", 400, "DescribeExecution")
            started = datetime.fromtimestamp(round(known.started, 3), UTC)
            status = "RUNNING" if known.closed is None else "SUCCEEDED"
            return {"executionArn": known.arn, "status": status, "startDate": started}

        return self.wire.call("DescribeExecution", effect, SFN_REFUSALS)

    def close(self, execution: FakeExecution) -> None:
        """End an execution; its name stays taken."""
        execution.closed = self.wire.clock.now

    def _find(self, arn: str) -> FakeExecution | None:
        known = self.by_arn.get(arn)
        forgotten = known and known.closed is not None and self.wire.clock.now - known.closed > RETENTION
        return None if forgotten else known
