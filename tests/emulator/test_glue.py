"""Glue job runs, from the API and from a workflow."""

import json
from typing import Any

import pytest

from tests.emulator.conftest import Cloud, until

ARGUMENTS = {"--BUCKET_NAME": "", "--SRC_PREFIX": "input/a b+c.csv"}


def _job(cloud: Cloud, **options: Any) -> None:
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"}, **options)


def _workflow(cloud: Cloud, sync: str = ".sync", arguments: dict[str, str] | None = None, **more: Any) -> str:
    parameters = {"JobName": "job", "WorkerType": "G.2X", "NumberOfWorkers": 3, "Arguments": arguments or {}}
    task = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::glue:startJobRun{sync}",
        "Parameters": parameters,
        "End": True,
    }
    return cloud.machine({"Run": task | more})


def test_a_workflow_starts_a_run_and_waits_for_it(cloud: Cloud) -> None:
    """GetJobRuns shows what the task asked for, and the task returns the run with times in milliseconds."""
    _job(cloud, DefaultArguments={"--a": "default"})
    result = json.loads(cloud.run(_workflow(cloud, arguments={"--b": "1"}))["output"])
    [run] = cloud.client("glue").get_job_runs(JobName="job")["JobRuns"]

    assert ({"--b": "1"}, "G.2X", 3) == (run["Arguments"], run["WorkerType"], run["NumberOfWorkers"])
    assert (run["Id"], "SUCCEEDED") == (result["Id"], result["JobRunState"])
    assert int(run["StartedOn"].timestamp() * 1000) == result["StartedOn"]


def test_without_sync_the_task_returns_the_id(cloud: Cloud) -> None:
    """And does not wait."""
    _job(cloud)

    assert ["JobRunId"] == list(json.loads(cloud.run(_workflow(cloud, sync=""))["output"]))


def test_a_missing_job_is_glue_s_own_error(cloud: Cloud) -> None:
    """A workflow can catch it by name."""
    assert "Glue.EntityNotFoundException" == cloud.run(_workflow(cloud))["error"]


def test_a_run_without_its_source_fails(cloud: Cloud) -> None:
    """A failed run is States.TaskFailed with the run as the cause."""
    _job(cloud)
    bucket = cloud.bucket()
    failed = cloud.run(_workflow(cloud, arguments=ARGUMENTS | {"--BUCKET_NAME": bucket}))

    assert "States.TaskFailed" == failed["error"]
    assert "FAILED" == json.loads(failed["cause"])["JobRunState"]
    assert f"Path does not exist: s3://{bucket}/input/a b+c.csv" in json.loads(failed["cause"])["ErrorMessage"]


@pytest.mark.parametrize("key", ["input/a b+c.csv", "input/a b+c.csv/part-0"])
def test_a_source_is_an_object_or_a_folder(cloud: Cloud, key: str) -> None:
    """As for Spark, and verbatim."""
    _job(cloud)
    bucket = cloud.bucket()
    cloud.client("s3").put_object(Bucket=bucket, Key=key)

    assert "SUCCEEDED" == cloud.run(_workflow(cloud, arguments=ARGUMENTS | {"--BUCKET_NAME": bucket}))["status"]


def test_a_workflow_can_wait_for_its_turn(cloud: Cloud) -> None:
    """One run at a time is the default; Retry sees the refusal by name."""
    _job(cloud)
    retry = {
        "ErrorEquals": ["Glue.ConcurrentRunsExceededException"],
        "IntervalSeconds": 1,
        "BackoffRate": 1,
        "MaxAttempts": 50,
    }
    machine = _workflow(cloud, Retry=[retry])
    states = cloud.client("stepfunctions")
    arns = [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]

    assert ["SUCCEEDED"] * 3 == [cloud.ended(arn)["status"] for arn in arns]
    events = [states.get_execution_history(executionArn=arn)["events"] for arn in arns]
    assert any(event["type"] == "TaskFailed" for history in events for event in history)


def test_a_job_with_queuing_lets_runs_wait(cloud: Cloud) -> None:
    """Nothing is refused, and they start when there is room."""
    _job(cloud, JobRunQueuingEnabled=True, ExecutionProperty={"MaxConcurrentRuns": 2})
    bucket = cloud.bucket()
    cloud.client("s3").put_object(Bucket=bucket, Key=ARGUMENTS["--SRC_PREFIX"], Metadata={"run-seconds": "2"})
    machine = _workflow(cloud, arguments=ARGUMENTS | {"--BUCKET_NAME": bucket})
    states, glue = cloud.client("stepfunctions"), cloud.client("glue")
    arns = [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]
    until(lambda: "WAITING" in {run["JobRunState"] for run in glue.get_job_runs(JobName="job")["JobRuns"]})

    assert ["SUCCEEDED"] * 3 == [cloud.ended(arn)["status"] for arn in arns]
    assert max((cloud.ended(arn)["stopDate"] - cloud.ended(arn)["startDate"]).total_seconds() for arn in arns) >= 2
