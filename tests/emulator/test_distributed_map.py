"""Distributed Map: batches, results in S3, tolerated failures, redrive."""

import json
import time
from typing import Any

from tests.emulator.conftest import Cloud, allow

COUNT = {"Type": "Pass", "Parameters": {"count.$": "States.ArrayLength($.Items)"}, "End": True}
FAIL_ON_BAD = {
    "Choose": {
        "Type": "Choice",
        "Choices": [{"Variable": "$", "StringEquals": "bad", "Next": "Fail"}],
        "Default": "Pass",
    },
    "Fail": {"Type": "Fail", "Error": "Bad"},
    "Pass": {"Type": "Pass", "End": True},
}


def _map(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor: dict[str, Any] = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    processor |= {"StartAt": next(iter(states)), "States": states}
    return {"Map": {"Type": "Map", "Label": "map", "ItemProcessor": processor, "End": True, **fields}}


def _map_run(cloud: Cloud, execution: dict[str, Any]) -> dict[str, Any]:
    states = cloud.client("stepfunctions")
    [run] = states.list_map_runs(executionArn=execution["executionArn"])["mapRuns"]
    described: dict[str, Any] = states.describe_map_run(mapRunArn=run["mapRunArn"])
    return described


def test_a_batch_is_one_child_with_its_items(cloud: Cloud) -> None:
    """Its input is BatchInput and Items, with paths resolved."""
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"label.$": "$.label", "fixed": 1}}
    machine = cloud.machine(_map({"Pass": {"Type": "Pass", "End": True}}, ItemsPath="$.items", ItemBatcher=batcher))
    ended = cloud.run(machine, {"label": "x", "items": [1, 2, 3]})

    head = {"label": "x", "fixed": 1}
    assert [{"BatchInput": head, "Items": [1, 2]}, {"BatchInput": head, "Items": [3]}] == json.loads(ended["output"])
    run = _map_run(cloud, ended)
    assert (3, 2) == (run["itemCounts"]["succeeded"], run["executionCounts"]["succeeded"])


def test_a_batch_is_limited_in_bytes(cloud: Cloud) -> None:
    """No child's input is longer than MaxInputBytesPerBatch."""
    machine = cloud.machine(
        _map({"Pass": {"Type": "Pass", "End": True}}, ItemsPath="$", ItemBatcher={"MaxInputBytesPerBatch": 100})
    )
    batches = json.loads(cloud.run(machine, ["é" * 20] * 7)["output"])

    sizes = [len(json.dumps(batch, separators=(",", ":"), ensure_ascii=False).encode()) for batch in batches]
    assert 7 == sum(len(batch["Items"]) for batch in batches)
    assert 100 >= max(sizes) > 50


def test_items_are_selected_from_a_bucket(cloud: Cloud) -> None:
    """ItemReader lists objects, ItemSelector sees each, and a numeric path gives the concurrency."""
    bucket = cloud.bucket()
    for key in ("in/a", "in/b", "out/c"):
        cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=b"xyz")
    reader = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket.$": "$.bucket", "Prefix": "in/"},
    }
    selector = {"key.$": "$$.Map.Item.Value.Key", "size.$": "$$.Map.Item.Value.Size", "label.$": "$.label"}
    fields = {"ItemReader": reader, "ItemSelector": selector, "MaxConcurrencyPath": "$.at_once"}
    machine = cloud.machine(_map({"Pass": {"Type": "Pass", "End": True}}, **fields))
    ended = cloud.run(machine, {"bucket": bucket, "label": "x", "at_once": 2})

    expected = [{"key": "in/a", "size": 3, "label": "x"}, {"key": "in/b", "size": 3, "label": "x"}]
    assert expected == json.loads(ended["output"])
    assert 2 == _map_run(cloud, ended)["maxConcurrency"]


def test_results_go_to_s3_and_only_their_place_comes_back(cloud: Cloud) -> None:
    """A manifest names the files of succeeded and failed children."""
    bucket = cloud.bucket()
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "results"}}
    machine = cloud.machine(_map(FAIL_ON_BAD, ResultWriter=writer, ToleratedFailurePercentage=50))
    result = json.loads(cloud.run(machine, ["good", "bad", "fine"])["output"])

    run_id = result["MapRunArn"].rsplit(":", 1)[-1]
    assert {"Bucket": bucket, "Key": f"results/{run_id}/manifest.json"} == result["ResultWriterDetails"]
    manifest = _read(cloud, bucket, result["ResultWriterDetails"]["Key"])
    assert (bucket, result["MapRunArn"]) == (manifest["DestinationBucket"], manifest["MapRunArn"])
    files = manifest["ResultFiles"]
    assert [[f"results/{run_id}/FAILED_0.json"], [], [f"results/{run_id}/SUCCEEDED_0.json"]] == [
        [file["Key"] for file in files[kind]] for kind in ("FAILED", "PENDING", "SUCCEEDED")
    ]
    [failed] = _read(cloud, bucket, files["FAILED"][0]["Key"])
    assert ('"bad"', "FAILED", "Bad") == (failed["Input"], failed["Status"], failed["Error"])
    succeeded = _read(cloud, bucket, files["SUCCEEDED"][0]["Key"])
    assert ['"good"', '"fine"'] == [child["Output"] for child in succeeded]
    size = cloud.client("s3").head_object(Bucket=bucket, Key=files["FAILED"][0]["Key"])["ContentLength"]
    assert size == files["FAILED"][0]["Size"]


def test_more_failures_than_tolerated_fail_the_run(cloud: Cloud) -> None:
    """By default one is too many."""
    ended = cloud.run(cloud.machine(_map(FAIL_ON_BAD)), ["good", "bad"])

    assert ("FAILED", "States.ExceedToleratedFailureThreshold") == (ended["status"], ended["error"])
    assert "FAILED" == _map_run(cloud, ended)["status"]


def test_a_child_is_an_execution_of_its_own(cloud: Cloud) -> None:
    """Its context object names itself, and it is listed under the Map Run."""
    context = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id", "input.$": "$$.Execution.Input"}, "End": True}
    ended = cloud.run(cloud.machine(_map({"Pass": context})), ["x"])
    [output] = json.loads(ended["output"])
    arn = _map_run(cloud, ended)["mapRunArn"]
    [child] = cloud.client("stepfunctions").list_executions(mapRunArn=arn)["executions"]

    assert {"id": child["executionArn"], "input": "x"} == output


def test_a_redrive_runs_only_what_failed_again(cloud: Cloud) -> None:
    """The failed child keeps its name; the others are not run a second time."""
    glue = cloud.client("glue")
    glue.create_job(Name="there", Role="role", Command={"Name": "glueetl"}, ExecutionProperty={"MaxConcurrentRuns": 9})
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "Parameters": {"JobName.$": "$"}}
    machine = cloud.machine(_map({"Run": task | {"End": True}}, MaxConcurrency=3))
    failed = cloud.run(machine, ["there", "there", "missing"])
    states = cloud.client("stepfunctions")
    run_arn = _map_run(cloud, failed)["mapRunArn"]
    before = states.list_executions(mapRunArn=run_arn)["executions"]

    glue.create_job(Name="missing", Role="role", Command={"Name": "glueetl"})
    states.redrive_execution(executionArn=failed["executionArn"])
    again = cloud.ended(failed["executionArn"])

    assert "SUCCEEDED" == again["status"]
    assert 2 == len(glue.get_job_runs(JobName="there")["JobRuns"])
    after = states.list_executions(mapRunArn=run_arn)["executions"]
    assert {one["executionArn"] for one in before} == {one["executionArn"] for one in after}
    run = _map_run(cloud, again)
    assert ("SUCCEEDED", 3, 0, 1) == (
        run["status"],
        run["itemCounts"]["succeeded"],
        run["itemCounts"]["failed"],
        run["redriveCount"],
    )


def test_the_role_must_be_allowed_to_start_children_and_to_read(cloud: Cloud) -> None:
    """A Map Run needs states:StartExecution on its own machine, and the bucket."""
    bucket = cloud.bucket()
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": bucket}}
    states = _map({"Pass": {"Type": "Pass", "End": True}}, ItemReader=reader)
    start, read = allow("states:StartExecution", "*"), allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")

    assert "StepFunctions.AccessDeniedException" == cloud.run(cloud.machine(states, read))["error"]
    assert "States.ItemReaderFailed" == cloud.run(cloud.machine(states, start))["error"]
    assert "SUCCEEDED" == cloud.run(cloud.machine(states, start, read))["status"]


def test_twenty_thousand_items_are_no_problem(cloud: Cloud) -> None:
    """In batches of a hundred, within seconds."""
    machine = cloud.machine(
        _map(
            {"Count": COUNT},
            ItemsPath="$.items",
            ItemSelector={"n.$": "$$.Map.Item.Value"},
            ItemBatcher={"MaxItemsPerBatch": 100},
        )
    )
    begin = time.monotonic()
    ended = cloud.run(machine, {"items": list(range(20_000))})

    assert [{"count": 100}] * 200 == json.loads(ended["output"])
    assert time.monotonic() - begin < 8


def _read(cloud: Cloud, bucket: str, key: str) -> Any:
    return json.loads(cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
