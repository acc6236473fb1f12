"""Executions of state machines: their names, what their tasks may do, Glue job runs, and Distributed Maps."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, allow, until

WAITING = {"Wait": {"Type": "Wait", "Seconds": 100, "Next": "Done"}, "Done": {"Type": "Succeed"}}
PASSING = {"Pass": {"Type": "Pass", "End": True}}
GLUE = "glue:startJobRun.sync"
KEY = "input/a b+c.csv"


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Define the states of a machine that does one thing."""
    run = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True}
    return {"Run": run | more}


def make_job(cloud: Cloud, **options: Any) -> None:
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"}, **options)


def job_runs(cloud: Cloud) -> list[dict[str, Any]]:
    return sorted(cloud.client("glue").get_job_runs(JobName="job")["JobRuns"], key=lambda run: run["StartedOn"])


def test_a_name_is_taken_once(cloud: Cloud) -> None:
    """However many ask at once; it is refused with another input, and once the first execution has ended."""
    states, upload = cloud.client("stepfunctions"), {"stateMachineArn": cloud.machine(WAITING), "name": "upload"}
    with ThreadPoolExecutor(8) as pool:
        clients = [cloud.client("stepfunctions") for _ in range(8)]
        arns = {one["executionArn"] for one in pool.map(lambda one: one.start_execution(**upload), clients)}
    listed = states.list_executions(stateMachineArn=upload["stateMachineArn"])["executions"]
    assert [*arns] == [one["executionArn"] for one in listed]

    refused = pytest.raises(states.exceptions.ExecutionAlreadyExists, match=f"Execution Already Exists: '{arns.pop()}'")
    with refused:
        states.start_execution(**upload, input='{"a":2}')
    states.stop_execution(executionArn=listed[0]["executionArn"])
    with refused:
        states.start_execution(**upload)


def test_what_is_illegal_starts_nothing(cloud: Cloud) -> None:
    """Names are short and hold no white space, control or special characters; an input is JSON, and short."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    for name in ("a b", "a/b", "a:b", "a\x7f", "x" * 81):
        with pytest.raises(states.exceptions.InvalidName, match="Invalid Name: '"):
            states.start_execution(stateMachineArn=machine, name=name)
    for given in ("not json", json.dumps("x" * 262_144)):
        with pytest.raises(states.exceptions.InvalidExecutionInput):
            states.start_execution(stateMachineArn=machine, input=given)


def test_a_stopped_execution_stays_stopped(cloud: Cloud) -> None:
    """Its task may fail afterwards, because the file is gone by then."""
    make_job(cloud)
    states, s3, where = cloud.client("stepfunctions"), cloud.client("s3"), {"Bucket": cloud.bucket(), "Key": KEY}
    s3.put_object(**where, Metadata={"run-seconds": "1.5"})
    arguments = {"--BUCKET_NAME": where["Bucket"], "--SRC_PREFIX": KEY}
    machine = cloud.machine(task(GLUE, {"JobName": "job", "Arguments": arguments}))
    arn = states.start_execution(stateMachineArn=machine)["executionArn"]
    until(lambda: job_runs(cloud))
    states.stop_execution(executionArn=arn)
    s3.delete_object(**where)
    until(lambda: job_runs(cloud)[0]["JobRunState"] == "FAILED")

    assert "ABORTED" == cloud.ended(arn)["status"]


def test_an_alias_needs_the_permission_for_the_machine(cloud: Cloud) -> None:
    """One that names the alias does not help."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    version = states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    route = {"stateMachineVersionArn": version, "weight": 100}
    alias = states.create_state_machine_alias(name="live", routingConfiguration=[route])["stateMachineAliasArn"]
    role = cloud.assume(cloud.role(allow("states:StartExecution", alias)))

    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("stepfunctions", **role).start_execution(stateMachineArn=alias)


@pytest.mark.parametrize(
    ("resource", "parameters", "error", "action"),
    [
        ("glue:startJobRun", {"JobName": "job"}, "Glue.AccessDeniedException", "glue:StartJobRun"),
        ("sns:publish", {"TopicArn": "", "Message": "text"}, "SNS.AuthorizationErrorException", "sns:Publish"),
        ("lambda:invoke", {"FunctionName": ""}, "Lambda.AWSLambdaException", "lambda:InvokeFunction"),
    ],
)
def test_a_task_acts_with_the_machine_s_role(
    cloud: Cloud, resource: str, parameters: dict[str, Any], error: str, action: str
) -> None:
    """Without the permission it fails with the service's error."""
    make_job(cloud)
    made = {
        "TopicArn": cloud.client("sns").create_topic(Name="topic")["TopicArn"],
        "FunctionName": cloud.function("def handler(event, context): return 1"),
    }
    states = task(resource, {name: made.get(name, value) for name, value in parameters.items()})

    denied = cloud.run(cloud.machine(states, allow("s3:GetObject", "*")))
    assert (error, True) == (denied["error"], f"is not authorized to perform: {action}" in denied["cause"]), denied
    assert "SUCCEEDED" == cloud.run(cloud.machine(states, allow(action, "*")))["status"]


@pytest.mark.parametrize(("key", "status"), [(f"{KEY}/part-0", "SUCCEEDED"), (f"{KEY}.gz", "FAILED")])
def test_a_source_is_an_object_or_a_folder(cloud: Cloud, key: str, status: str) -> None:
    """As for Spark, and verbatim; the task returns the run, in milliseconds, and a failed one is the cause."""
    bucket = cloud.bucket()
    cloud.client("s3").put_object(Bucket=bucket, Key=key)
    arguments = {"--BUCKET_NAME": bucket, "--SRC_PREFIX": KEY}
    asked = {"Arguments": arguments, "WorkerType": "G.2X", "NumberOfWorkers": 3}
    machine = cloud.machine(task(GLUE, {"JobName": "job"} | asked))
    assert "Glue.EntityNotFoundException" == cloud.run(machine)["error"]
    make_job(cloud, DefaultArguments={"--SRC_PREFIX": "default", "--a": "b"})

    ended = cloud.run(machine)

    [run], failed = job_runs(cloud), status == "FAILED"
    wanted = asked | {"Id": run["Id"], "JobRunState": status, "StartedOn": int(run["StartedOn"].timestamp() * 1000)}
    if failed:
        wanted["ErrorMessage"] = f"AnalysisException: Path does not exist: s3://{bucket}/{KEY}"
    assert (status, "States.TaskFailed" if failed else None) == (ended["status"], ended.get("error"))
    assert wanted.items() <= json.loads(ended["cause" if failed else "output"]).items()


def test_a_workflow_can_wait_for_its_turn(cloud: Cloud) -> None:
    """One run at a time is the default; Retry sees the refusal by name."""
    make_job(cloud)
    errors = ["Glue.ConcurrentRunsExceededException"]
    retry = {"ErrorEquals": errors, "IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 50}
    states, machine = cloud.client("stepfunctions"), cloud.machine(task(GLUE, {"JobName": "job"}, Retry=[retry]))
    arns = [states.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]

    assert ["SUCCEEDED"] * 3 == [cloud.ended(arn)["status"] for arn in arns]
    histories = [states.get_execution_history(executionArn=arn)["events"] for arn in arns]
    assert any(event["type"] == "TaskFailed" for history in histories for event in history), "no run had to wait"
    runs = job_runs(cloud)
    assert all(first["CompletedOn"] <= second["StartedOn"] for first, second in pairwise(runs)), runs


# ---- Distributed Map ----

FAIL_ON_BAD = {
    "Choose": {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "StringEquals": "bad", "Next": "Fail"}],
        "Default": "Pass",
    },
    "Fail": {"Type": "Fail", "Error": "Bad"},
    **PASSING,
}


def _map(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor: dict[str, Any] = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    processor |= {"StartAt": next(iter(states)), "States": states}
    return {"Map": {"Type": "Map", "Label": "map", "ItemProcessor": processor, "End": True, **fields}}


def test_a_batch_is_one_child_with_its_items(cloud: Cloud) -> None:
    """Its input is BatchInput and Items, with paths resolved, and no longer than MaxInputBytesPerBatch."""
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"label.$": "$.label", "fixed": 1}}
    machine = cloud.machine(_map(PASSING, ItemsPath="$.items", ItemBatcher=batcher))
    ended = cloud.run(machine, {"label": "x", "items": [1, 2, 3]})
    batches = [{"BatchInput": {"label": "x", "fixed": 1}, "Items": items} for items in ([1, 2], [3])]
    assert batches == json.loads(ended["output"])
    states = cloud.client("stepfunctions")
    [run] = states.list_map_runs(executionArn=ended["executionArn"])["mapRuns"]
    assert 2 == states.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"]["succeeded"]

    machine = cloud.machine(_map(PASSING, ItemsPath="$", ItemBatcher={"MaxInputBytesPerBatch": 100}))
    batches = json.loads(cloud.run(machine, ["é" * 20] * 7)["output"])
    sizes = [len(json.dumps(batch, separators=(",", ":"), ensure_ascii=False).encode()) for batch in batches]
    assert 7 == sum(len(batch["Items"]) for batch in batches)
    assert 100 >= max(sizes) > 50


def test_results_go_to_s3_and_only_their_place_comes_back(cloud: Cloud) -> None:
    """A manifest names the files; COMPACT, a success is its output alone, of what failed everything stays."""
    bucket = cloud.bucket()
    config = {"Transformation": "COMPACT", "OutputType": "JSONL"}
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    fields = {"ResultWriter": writer | {"WriterConfig": config}, "ToleratedFailurePercentage": 50}
    machine = cloud.machine(_map(FAIL_ON_BAD, **fields))
    result = json.loads(cloud.run(machine, [[1, 2], "bad", [1, 2]])["output"])

    def read(key: str) -> str:
        text: str = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return text

    folder = f"results/{result['MapRunArn'].rsplit(':', 1)[-1]}"
    assert {"Bucket": bucket, "Key": f"{folder}/manifest.json"} == result["ResultWriterDetails"]
    failed, succeeded = (read(f"{folder}/{kind}_0.jsonl") for kind in ("FAILED", "SUCCEEDED"))
    assert {
        "DestinationBucket": bucket,
        "MapRunArn": result["MapRunArn"],
        "ResultFiles": {
            "FAILED": [{"Key": f"{folder}/FAILED_0.jsonl", "Size": len(failed)}],
            "PENDING": [],
            "SUCCEEDED": [{"Key": f"{folder}/SUCCEEDED_0.jsonl", "Size": len(succeeded)}],
        },
    } == json.loads(read(f"{folder}/manifest.json"))
    assert {"Input": '"bad"', "Status": "FAILED", "Error": "Bad"}.items() <= json.loads(failed).items()
    assert "[1,2]\n[1,2]" == succeeded
    # Without a tolerance one failure is too many.
    assert "States.ExceedToleratedFailureThreshold" == cloud.run(cloud.machine(_map(FAIL_ON_BAD)), ["bad"]).get("error")


@pytest.mark.parametrize("fields", [{"ItemBatcher": {"MaxItemPerBatch": 2}}, {"ResultWriter": {"Bucket": "b"}}])
def test_a_misspelt_field_fails_the_run(cloud: Cloud, fields: dict[str, Any]) -> None:
    """AWS refuses such a definition when it is made."""
    ended = cloud.run(cloud.machine(_map(FAIL_ON_BAD, **fields)), ["good"])

    assert "has unknown fields" in ended["cause"]


def test_the_role_must_be_allowed_to_start_children_and_to_read(cloud: Cloud) -> None:
    """A Map Run needs states:StartExecution on its own machine, and the bucket."""
    bucket = cloud.bucket()
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": bucket}}
    states = _map(PASSING, ItemReader=reader)
    start, read = allow("states:StartExecution", "*"), allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")

    assert "StepFunctions.AccessDeniedException" == cloud.run(cloud.machine(states, read))["error"]
    assert "States.ItemReaderFailed" == cloud.run(cloud.machine(states, start))["error"]
    assert "SUCCEEDED" == cloud.run(cloud.machine(states, start, read))["status"]
