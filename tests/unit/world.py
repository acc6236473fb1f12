"""A bucket and a workflow on moto, and the handlers with the clients that they make for themselves."""

import json
from datetime import timedelta
from typing import Any

import pytest
from moto.stepfunctions.models import stepfunctions_backends

from handlers import backfill_batch, backfill_report
from handlers import start_execution as live
from shared.gates.aws import make_s3, make_sfn
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE, give

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


def time_passes() -> None:
    """Make all executions a minute older: they still run, and their start lies before whatever comes next."""
    for machine in stepfunctions_backends[ACCOUNT]["us-east-2"].state_machines:
        for execution in machine.executions:
            execution.start_date -= timedelta(minutes=1)
