"""Buckets on moto, a Step Functions of our own, and the handlers with both in their hands."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from handlers import backfill_batch, collect_window
from handlers import start_execution as live
from shared.domain.stack import Stack
from shared.gates.aws import make_s3
from tests.unit.builders import BUCKET, CONTEXT, event, give, item, refusal


@cache
def s3_client() -> Any:
    """Make the client as the functions do, once for all tests; what moto holds behind it is new for each."""
    return make_s3()


def make_buckets(s3: Any, *names: str) -> None:
    for name in names:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})


class StepFunctions:
    """Executions by name, which run until they are closed; then their names stay taken."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=ClientError)

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.closed: set[str] = set()
        self.asked = 0
        # The first part of names, and how a start under one is refused.
        self.refusals: dict[str, Exception] = {}

    def start_execution(
        self, *, stateMachineArn: str, name: str, input: str, traceHeader: str | None = None
    ) -> dict[str, Any]:
        self.asked += 1
        if error := self.refusals.get(name.partition("-")[0]):
            raise error
        if name in self.closed:
            raise refusal("ExecutionAlreadyExists")
        fresh = {"machine": stateMachineArn, "input": input, "startDate": datetime.now(UTC), "trace": traceHeader}
        known = self.started.setdefault(name, fresh)
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        return {"executionArn": arn, "startDate": known["startDate"]}

    def describe_execution(self, *, executionArn: str, includedData: str = "") -> dict[str, Any]:
        self.asked += 1
        name = executionArn.rsplit(":", 1)[-1]
        if name not in self.started:
            raise refusal("ExecutionDoesNotExist", 400, "DescribeExecution")
        return self.started[name] | {"status": "SUCCEEDED" if name in self.closed else "RUNNING"}

    def age(self, seconds: float) -> None:
        """Let all executions have started so much earlier."""
        for one in self.started.values():
            one["startDate"] -= timedelta(seconds=seconds)

    def of(self, machine: str) -> dict[str, dict[str, Any]]:
        return {name: json.loads(one["input"]) for name, one in self.started.items() if one["machine"] == machine}


class Cloud:
    """Buckets for uploads and results, a Step Functions that remembers, and all handlers of a deployed stack."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, deployed: Stack, folder: str = "") -> None:
        self.s3, self.sfn, self.folder, self._patch = s3_client(), StepFunctions(), folder, monkeypatch
        make_buckets(self.s3, BUCKET, "results")
        for handlers in (live, backfill_batch, collect_window):
            give(handlers, monkeypatch, s3=self.s3, sfn=self.sfn)
        self.deploy(deployed)

    def deploy(self, deployed: Stack) -> None:
        self.stack = deployed
        for handlers in (live, backfill_batch, collect_window):
            self._patch.setattr(handlers, "this_stack", lambda: deployed)

    def put(self, *names: str, body: bytes = b"a,b\n1,2\n") -> None:
        for name in names:
            self.s3.put_object(Bucket=BUCKET, Key=self.folder + name, Body=body)

    def arrive(self, *names: str) -> list[str | None]:
        """Deliver the events of files, and return how they ended: the reason, or the outcome."""
        answers = [live.handler(event(detail__object={"key": self.folder + name}), CONTEXT) for name in names]
        return [answer["reason"] or answer["outcome"] for answer in answers]

    def backfill(self, names: Iterable[str], **request: Any) -> dict[str, Any]:
        items = [item("", **request) | {"Key": self.folder + name} for name in names]
        return backfill_batch.handler({"Items": items}, CONTEXT)

    def collect(self, number: int = -1) -> dict[str, Any]:
        """End the wait of one of the window machine's executions, and then the execution."""
        name, given = list(self.windows.items())[number]
        answer = collect_window.handler(given, CONTEXT)
        self.sfn.closed.add(name)
        return answer

    @property
    def windows(self) -> dict[str, dict[str, Any]]:
        return self.sfn.of(self.stack.window_machine_arn)

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.sfn.of(self.stack.state_machine_arn)

    def manifest(self, uri: str) -> list[dict[str, Any]]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        stored = self.s3.get_object(Bucket=bucket, Key=key)
        assert "application/json" == stored["ContentType"], stored["ContentType"]
        files: list[dict[str, Any]] = json.loads(stored["Body"].read())["files"]
        return files
