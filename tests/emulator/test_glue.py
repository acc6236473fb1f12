"""Glue job runs, from the API and from a workflow."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.emulator.conftest import Cloud

ARGUMENTS = {"--BUCKET_NAME": "", "--SRC_PREFIX": "input/a b+c.csv"}


def _job(cloud: Cloud, **options: Any) -> None:
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"}, **options)


def _workflow(cloud: Cloud, arguments: dict[str, str] | None = None, **more: Any) -> str:
    parameters = {"JobName": "job", "WorkerType": "G.2X", "NumberOfWorkers": 3, "Arguments": arguments or {}}
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "Parameters": parameters, "End": True}
    return cloud.machine({"Run": task | more})


@pytest.mark.parametrize(
    ("key", "status"),
    [("input/a b+c.csv", "SUCCEEDED"), ("input/a b+c.csv/part-0", "SUCCEEDED"), ("input/a b+c.csv.gz", "FAILED")],
)
def test_a_source_is_an_object_or_a_folder(cloud: Cloud, key: str, status: str) -> None:
    """As for Spark, and verbatim; the task returns the run, with times in milliseconds; of a failed one that is the cause."""
    bucket = cloud.bucket()
    cloud.client("s3").put_object(Bucket=bucket, Key=key)
    arguments = ARGUMENTS | {"--BUCKET_NAME": bucket}
    machine = _workflow(cloud, arguments)
    assert "Glue.EntityNotFoundException" == cloud.run(machine)["error"]
    _job(cloud, DefaultArguments={"--SRC_PREFIX": "default", "--a": "b"})

    ended = cloud.run(machine)

    failed = status == "FAILED"
    result = json.loads(ended["cause" if failed else "output"])
    [run] = cloud.client("glue").get_job_runs(JobName="job")["JobRuns"]
    assert (status, "States.TaskFailed" if failed else None) == (ended["status"], ended.get("error"))
    assert f"AnalysisException: Path does not exist: s3://{bucket}/input/a b+c.csv" * failed == result.get(
        "ErrorMessage", ""
    )
    assert {
        "Id": run["Id"],
        "JobRunState": status,
        "StartedOn": int(run["StartedOn"].timestamp() * 1000),
        "Arguments": arguments,
        "WorkerType": "G.2X",
        "NumberOfWorkers": 3,
    }.items() <= result.items()


def test_a_workflow_can_wait_for_its_turn(cloud: Cloud) -> None:
    """One run at a time is the default; Retry sees the refusal by name."""
    _job(cloud)
    errors = ["Glue.ConcurrentRunsExceededException"]
    retry = {"ErrorEquals": errors, "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 50}
    machine = _workflow(cloud, Retry=[retry])
    states = cloud.client("stepfunctions")
    arns = [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]

    assert ["SUCCEEDED"] * 3 == [cloud.ended(arn)["status"] for arn in arns]
    events = [states.get_execution_history(executionArn=arn)["events"] for arn in arns]
    runs = sorted(cloud.client("glue").get_job_runs(JobName="job")["JobRuns"], key=lambda run: run["StartedOn"])
    assert all(first["CompletedOn"] <= second["StartedOn"] for first, second in pairwise(runs)), runs
    assert any(event["type"] == "TaskFailed" for history in events for event in history)
