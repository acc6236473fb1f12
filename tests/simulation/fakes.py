"""S3 and Step Functions as AWS documents them, on a simulated clock and behind a wire that may fail.

Only they can show what happens when any call fails at any moment, over thousands of orders of events.
"""

import functools
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from typing import Any

from shared.domain.memory import Upload
from shared.domain.windows import File
from tests.unit.builders import refusal

RETENTION = 90 * 24 * 3600.0  # how long Step Functions keeps the name of a closed execution
PAGE = 2  # keys of a listing's page


class Wire:
    """Between the code and AWS, with the one clock of the world, in seconds since 1970; here nothing ever fails."""

    now = datetime(2026, 11, 24, 5, 20, tzinfo=UTC).timestamp()
    # For whom the code runs: the simulation's own.
    asking: Any = None

    def call[T](self, operation: str, effect: Callable[[], T]) -> T:
        return effect()


def called(operation: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a method of a service be called over its wire."""

    def over_the_wire(method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, **given: self.wire.call(operation, functools.partial(method, self, **given))

    return over_the_wire


@dataclass(frozen=True)
class Version:
    """One version of an object; a delete marker has no ETag."""

    key: str
    version_id: str
    etag: str | None
    second: int
    size: int = 0

    @property
    def file(self) -> File:
        """What HEAD and listings both tell of it."""
        return File(self.key, self.size, str(self.etag), self.second)

    @property
    def announced(self) -> str | None:
        """Its version id, as an event tells it."""
        return None if self.version_id == "null" else self.version_id

    @property
    def described(self) -> dict[str, Any]:
        return {"ETag": f'"{self.etag}"', "LastModified": datetime.fromtimestamp(self.second, UTC)}


@dataclass(frozen=True)
class Put:
    """A manifest that was stored: when, and by whom."""

    key: str
    body: bytes
    at: float
    asked_by: Any


@dataclass
class FakeS3:
    """One bucket, whose versioning is `` (never turned on), `Enabled` or `Suspended`; any other one holds manifests."""

    wire: Wire
    bucket: str
    owner: str
    versioning: str = ""
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    manifests: dict[str, Put] = field(default_factory=dict)
    ids: int = 0
    # The simulation's own: since when and until when each upload was current, and what was ever put into `manifests`.
    lives: dict[Upload, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    puts: list[Put] = field(default_factory=list)

    def put(self, key: str, body: bytes, initiated: float | None = None) -> Version:
        """Store an object; a multipart upload is dated when it began."""
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest() + ("-2" if initiated else "")
        second = int(self.wire.now if initiated is None else initiated)
        self._add(Version(key, self._next_id(), etag, second, len(body)))
        return self.versions[key][-1]

    def delete(self, key: str) -> None:
        """Delete as without a version id: for good, or by a delete marker."""
        if self.current(key) or self.versioning:
            self._add(Version(key, self._next_id(), None, int(self.wire.now)))
        if not self.versioning:
            self.versions.pop(key, None)

    def restore(self, key: str) -> None:
        """Take the delete marker away: what was there before is current again, and nobody announces it."""
        if len(self.versions[key]) > 1 and self.versions[key][-1].etag is None:
            self.versions[key].pop()
            self._begin(key)

    def current(self, key: str) -> Version | None:
        """Return what a HEAD without a version id, or a listing, sees."""
        found = self.find(key)
        return found if found and found.etag else None

    def find(self, key: str, version_id: str | None = None) -> Version | None:
        """Return that version or delete marker, or the latest one."""
        found = [one for one in self.versions.get(key, []) if version_id in (None, one.version_id)]
        return found[-1] if found else None

    def all_current(self, prefix: str = "") -> list[Version]:
        keys = sorted((key for key in self.versions if key.startswith(prefix)), key=str.encode)
        return [found for key in keys if (found := self.current(key))]

    @called("HeadObject")
    def head_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None, ExpectedBucketOwner: str | None = None
    ) -> dict[str, Any]:
        if ExpectedBucketOwner not in (None, self.owner):
            raise refusal("403", 403, "HeadObject")
        found = self.find(Key, VersionId) if Bucket == self.bucket else None
        if found is None or found.etag is None:
            code = 405 if found and VersionId else 404
            raise refusal(str(code), code, "HeadObject")
        version = {"VersionId": found.version_id} if self.versioning else {}
        # The last is the simulation's own: what is current in truth, whichever version was asked for.
        return {**found.described, "ContentLength": found.size, **version, "Current": self.current(Key)}

    @called("ListObjectsV2")
    def list_objects_v2(
        self, *, Bucket: str, Prefix: str, ExpectedBucketOwner: str, Delimiter: str = "\0", ContinuationToken: str = ""
    ) -> dict[str, Any]:
        """List a page of what is there now, as the page before it may not have seen it."""
        found = [one for one in self.all_current(Prefix) if Delimiter not in one.key[len(Prefix) :]]
        rest = [{"Key": one.key, "Size": one.size, **one.described} for one in found if one.key > ContinuationToken]
        more = {"NextContinuationToken": rest[PAGE - 1]["Key"]} if len(rest) > PAGE else {}
        return {"Contents": rest[:PAGE], **more}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self._stored(Key=Key))}

    @called("GetObject")
    def _stored(self, *, Key: str) -> bytes:
        if Key not in self.manifests:
            raise refusal("NoSuchKey", 404, "GetObject")
        return self.manifests[Key].body

    @called("PutObject")
    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str = "") -> None:
        if Key in self.manifests and IfNoneMatch:
            raise refusal("PreconditionFailed", 412, "PutObject")
        self.manifests[Key] = Put(Key, Body, self.wire.now, self.wire.asking)
        self.puts.append(self.manifests[Key])

    def _next_id(self) -> str:
        self.ids += 1
        return f"version-{self.ids:024d}" if self.versioning == "Enabled" else "null"

    def _add(self, version: Version) -> None:
        """Make a version the latest; without versioning it replaces the null version."""
        if old := self.current(version.key):
            since, _ = self.lives[old.file.upload].pop()
            self.lives[old.file.upload].append((since, self.wire.now))
        known = [one for one in self.versions[version.key] if self.versioning == "Enabled" or one.version_id != "null"]
        self.versions[version.key] = [*known, version]
        self._begin(version.key)

    def _begin(self, key: str) -> None:
        if found := self.current(key):
            self.lives[found.file.upload].append((self.wire.now, inf))


@dataclass
class FakeExecution:
    """One execution; `asked_by` is the simulation's own."""

    arn: str
    input: str
    started: float
    asked_by: Any = None
    closed: float = inf
    status: str = "RUNNING"
    # Of the window machine: whether its wait is over, and the redrive it is in.
    waited: bool = False
    attempt: int = 0

    @property
    def name(self) -> str:
        return self.arn.rsplit(":", 1)[-1]

    @property
    def described(self) -> dict[str, Any]:
        began = datetime.fromtimestamp(round(self.started, 3), UTC)
        return {"executionArn": self.arn, "status": self.status, "startDate": began}


@dataclass
class FakeStepFunctions:
    """Standard state machines."""

    wire: Wire
    machines: tuple[str, ...]
    retention: float = RETENTION
    began: Callable[[FakeExecution], None] = lambda _: None
    executions: list[FakeExecution] = field(default_factory=list)
    by_arn: dict[str, FakeExecution] = field(default_factory=dict)
    inputs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    @called("StartExecution")
    def start_execution(
        self, *, stateMachineArn: str, name: str, input: str, traceHeader: str | None = None
    ) -> dict[str, Any]:
        if stateMachineArn not in self.machines:
            raise refusal("StateMachineDoesNotExist")
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        self.inputs[arn].add(input)
        known = self._find(arn)
        if known and (known.closed <= self.wire.now or known.input != input):
            raise refusal("ExecutionAlreadyExists")
        if not known:
            known = self.by_arn[arn] = FakeExecution(arn, input, self.wire.now, self.wire.asking)
            self.executions.append(known)
            self.began(known)
        return known.described

    @called("DescribeExecution")
    def describe_execution(self, *, executionArn: str, includedData: str = "ALL_DATA") -> dict[str, Any]:
        if known := self._find(executionArn):
            return known.described
        raise refusal("ExecutionDoesNotExist", 400, "DescribeExecution")

    def close(self, execution: FakeExecution, status: str = "SUCCEEDED") -> None:
        execution.status, execution.closed = status, self.wire.now

    def _find(self, arn: str) -> FakeExecution | None:
        known = self.by_arn.get(arn)
        return None if known and self.wire.now > known.closed + self.retention else known
