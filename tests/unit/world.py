"""A bucket and a workflow on moto, and the handlers with the clients that they make for themselves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.stepfunctions.models import stepfunctions_backends

from handlers import backfill_batch, backfill_report
from handlers import start_execution as live
from shared.domain.routes import NO_ROUTES
from shared.gates.aws import make_s3, make_sfn
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE, give, refusal

NEVER_ENDS = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Wait", "Seconds": 9, "End": True}}})


class World:
    """A bucket, a workflow, and both handlers with the clients they make for themselves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, versioning: str | None) -> None:
        """Make bucket and workflow."""
        self.s3, self.sfn = make_s3(), make_sfn()
        for handler in (live, backfill_batch, backfill_report):
            give(handler, monkeypatch, s3=self.s3, sfn=self.sfn)
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
        if versioning:
            self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        role = f"arn:aws:iam::{ACCOUNT}:role/workflow"
        self.sfn.create_state_machine(name="glueworkshop", definition=NEVER_ENDS, roleArn=role)

    def upload(self, body: str = "trips", key: str = KEY) -> str | None:
        """Put an object and give its version id, if it has one."""
        return self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.encode()).get("VersionId")

    def started(self) -> list[dict[str, Any]]:
        """Return the inputs of all executions."""
        names = [one["executionArn"] for one in self.sfn.list_executions(stateMachineArn=MACHINE)["executions"]]
        return [json.loads(self.sfn.describe_execution(executionArn=name)["input"]) for name in names]


class StepFunctions:
    """Executions by name, all of them running."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.asked = 0
        self.table = NO_ROUTES

    def start_execution(
        self, *, stateMachineArn: str, name: str, input: str, traceHeader: str | None = None
    ) -> dict[str, Any]:
        """Start an execution, or answer with the one that runs."""
        self.asked += 1
        fresh = {
            "machine": stateMachineArn,
            "input": input,
            "startDate": datetime.now(UTC),
            "trace": traceHeader,
        }
        known = self.started.setdefault(name, fresh)
        arn = f"{stateMachineArn.replace(':stateMachine:', ':execution:')}:{name}"
        return {"executionArn": arn, "startDate": known["startDate"]}

    def describe_execution(self, *, executionArn: str, includedData: str) -> dict[str, Any]:
        """Describe an execution."""
        self.asked += 1
        known = self.started.get(executionArn.rsplit(":", 1)[-1])
        if known is None:
            raise refusal("ExecutionDoesNotExist", 400, "DescribeExecution")
        return known

    def age(self, seconds: float) -> None:
        """Let all executions have started so much earlier."""
        for one in self.started.values():
            one["startDate"] -= timedelta(seconds=seconds)

    def of(self, machine: str) -> list[dict[str, Any]]:
        """Return the inputs of the executions of a machine."""
        return [json.loads(one["input"]) for one in self.started.values() if one["machine"] == machine]


def time_passes() -> None:
    """Make all executions a minute older: they still run, and their start lies before whatever comes next."""
    for machine in stepfunctions_backends[ACCOUNT]["us-east-2"].state_machines:
        for execution in machine.executions:
            execution.start_date -= timedelta(minutes=1)
