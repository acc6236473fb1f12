"""One builder a concept; tests override only what matters to them."""

import json
import tempfile
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest
from botocore.exceptions import ClientError

from artifact.pack import pack
from artifact.route_files import read_routes
from shared.domain.arrival import ObjectCreated, StoredObject
from shared.domain.choose import choose
from shared.domain.pattern import Pattern, Template
from shared.domain.routes import Choice, Route, RouteTable
from shared.domain.stack import Stack
from shared.gates.real import make_gates
from tests.unit.patterns import parsed

REPOSITORY = Path(__file__).resolve().parents[2]
EVENTS = {path.stem: path for path in sorted((REPOSITORY / "events").glob("*.json"))}

ACCOUNT = "123456789012"
BUCKET = "glueworkshop-123456789012-us-east-2"
KEY = "input/lab2/eventdriven/green_tripdata.csv"
MACHINE = "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop"
PREFIX = "input/lab2/eventdriven/"
# When a backfill is asked, and what for.
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
REQUEST = {"bucket": BUCKET, "prefix": PREFIX, "since": None, "until": None, "dry_run": False, "reprocess": None}
CONTEXT: Any = SimpleNamespace(aws_request_id="request-1")
# What S3 says of any object, and Step Functions of any start.
UPLOADED = datetime(2026, 11, 24, 5, 20, tzinfo=UTC)
HEAD = {"ETag": '"e1"', "LastModified": UPLOADED, "ContentLength": 12}
STARTED = {"executionArn": "arn:aws:states:r:a:execution:m:name", "startDate": datetime(2999, 1, 1, tzinfo=UTC)}

SETTINGS: dict[str, Any] = {
    "account_id": ACCOUNT,
    "source_bucket_name": BUCKET,
    "source_prefix": PREFIX,
    "state_machine_arn": MACHINE,
    "job_name": "ny-taxi-transformed-console-jb",
    "target_prefix": "target/event-transformed",
    "glue_max_capacity_dpus": 2,
    "window_seconds": 0,
    "window_machine_arn": f"{MACHINE}-windows",
    "results_bucket_name": "results",
    "overdue_machine_arn": f"{MACHINE}-overdue",
}
ENVIRONMENT = {
    **{name.upper(): str(value) for name, value in SETTINGS.items()},
    "POWERTOOLS_SERVICE_NAME": "glueworkshop",
    "AWS_DEFAULT_REGION": "us-east-2",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_ENDPOINT_URL_S3": "",
    "AWS_ENDPOINT_URL_SFN": "",
}


def event(name: str = "object-created-put", **changes: object) -> dict[str, Any]:
    """Load a file of events/ with values changed: `detail__object__version_id` is a path, and `...` deletes."""
    loaded: dict[str, Any] = json.loads(EVENTS[name].read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = loaded
        for parent in parents:
            node = node[parent]
        last = next((known for known in node if known.replace("-", "_") == last), last)
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return loaded


def created(**changes: object) -> ObjectCreated:
    plain = {"bucket": BUCKET, "key": KEY, "version_id": None, "account": ACCOUNT}
    return ObjectCreated(**(plain | changes))  # type: ignore[arg-type]


def stored(**changes: object) -> StoredObject:
    plain = {"bucket": BUCKET, "key": KEY, "version_id": None, "etag": "e1", "last_modified": UPLOADED, "size": 12}
    return StoredObject(**(plain | changes))  # type: ignore[arg-type]


def stack(**changes: Any) -> Stack:
    return Stack(**(SETTINGS | changes))


def chosen(**changes: object) -> Choice:
    choice = choose(created(), stack(**changes))
    assert isinstance(choice, Choice)
    return choice


def item(name: str, modified: datetime = NOW, **request: Any) -> dict[str, Any]:
    """List one object, as the Map's ItemSelector does."""
    return {"Key": PREFIX + name, "LastModified": int(modified.timestamp()), "request": REQUEST | request}


def route(match: str | tuple[Pattern, ...] = "raw/{file}", target: str | Template = "out", **changes: object) -> Route:
    plain = {
        "name": "r",
        "match": (Pattern(parsed(match)),) if isinstance(match, str) else match,
        "job_name": "j",
        "target": parsed(target) if isinstance(target, str) else target,
    }
    return Route(**(plain | changes))  # type: ignore[arg-type]


def table(**files: str) -> RouteTable:
    """Make the table of route files, given by name; job and target are theirs, or plain ones."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            missing = {"job_name": f"{name}-job", "target": f"out/{name}"}
            head = "".join(f'{field} = "{value}"\n' for field, value in missing.items() if f"{field} =" not in text)
            Path(folder, f"{name}.toml").write_text(head + text)
        return RouteTable(pack(read_routes(Path(folder))))


def states(name: str) -> dict[str, dict[str, Any]]:
    definition = json.loads((REPOSITORY / "statemachine" / f"{name}.asl.json").read_text())
    found: dict[str, dict[str, Any]] = definition["States"]
    return found


def clock_at(moment: datetime) -> type[datetime]:
    """Make a clock that stands still; local time for whoever asks for no zone."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(moment.timestamp(), tz)

    return Clock


def lines(printed: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split what was printed into log lines and EMF lines."""
    read = [json.loads(line) for line in printed.splitlines()]
    return [one for one in read if "_aws" not in one], [one for one in read if "_aws" in one]


def give(handlers: ModuleType, patch: pytest.MonkeyPatch, **clients: object) -> None:
    """Give a module of handlers other clients, `s3` and `sfn`, and the gates made of them."""
    for name, client in clients.items():
        patch.setattr(handlers, name, client, raising=False)
    if hasattr(handlers, "gates"):
        patch.setattr(handlers, "gates", make_gates(vars(handlers)["s3"], vars(handlers)["sfn"]))


def refusal(code: str, status: int = 400, operation: str = "StartExecution") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": "so it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)


class Client:
    """A client whose every call answers, or raises, what it was made with; it remembers the arguments."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.meta = SimpleNamespace(region_name="us-east-2")
        self.calls: list[dict[str, object]] = []

    def _call(self, **arguments: object) -> Any:
        self.calls.append(arguments)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    head_object = head_bucket = start_execution = describe_execution = get_object = put_object = list_objects_v2 = _call
