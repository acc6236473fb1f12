"""Distributed Map: batches, results in S3, tolerated failures, roles."""

import json
from typing import Any

import pytest

from tests.emulator.conftest import Cloud, allow

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
    """Its input is BatchInput and Items, with paths resolved, and no longer than MaxInputBytesPerBatch."""
    passing = {"Pass": {"Type": "Pass", "End": True}}
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"label.$": "$.label", "fixed": 1}}
    machine = cloud.machine(_map(passing, ItemsPath="$.items", ItemBatcher=batcher))
    ended = cloud.run(machine, {"label": "x", "items": [1, 2, 3]})
    head = {"label": "x", "fixed": 1}
    assert [{"BatchInput": head, "Items": [1, 2]}, {"BatchInput": head, "Items": [3]}] == json.loads(ended["output"])
    assert 2 == _map_run(cloud, ended)["executionCounts"]["succeeded"]

    machine = cloud.machine(_map(passing, ItemsPath="$", ItemBatcher={"MaxInputBytesPerBatch": 100}))
    batches = json.loads(cloud.run(machine, ["é" * 20] * 7)["output"])
    sizes = [len(json.dumps(batch, separators=(",", ":"), ensure_ascii=False).encode()) for batch in batches]
    assert 7 == sum(len(batch["Items"]) for batch in batches)
    assert 100 >= max(sizes) > 50


@pytest.mark.parametrize(
    ("config", "content"),
    [
        (None, None),
        ({"Transformation": "COMPACT", "OutputType": "JSONL"}, "[1,2]\n[1,2]"),
        ({"Transformation": "FLATTEN", "OutputType": "JSONL"}, "1\n2\n1\n2"),
        ({"Transformation": "COMPACT", "OutputType": "JSON"}, "[[1,2],[1,2]]"),
    ],
)
def test_results_go_to_s3_and_only_their_place_comes_back(
    cloud: Cloud, config: dict[str, str] | None, content: str | None
) -> None:
    """A manifest names the files; without metadata, a success is its output alone, of what failed everything stays."""
    bucket = cloud.bucket()
    where = {"Parameters": {"Bucket": bucket, "Prefix": "results"}} | ({"WriterConfig": config} if config else {})
    writer = {"Resource": "arn:aws:states:::s3:putObject", **where}
    machine = cloud.machine(_map(FAIL_ON_BAD, ResultWriter=writer, ToleratedFailurePercentage=50))
    result = json.loads(cloud.run(machine, [[1, 2], "bad", [1, 2]])["output"])

    run_id, end = result["MapRunArn"].rsplit(":", 1)[-1], (config or {"OutputType": "JSON"})["OutputType"].lower()
    assert {"Bucket": bucket, "Key": f"results/{run_id}/manifest.json"} == result["ResultWriterDetails"]
    manifest = json.loads(_read(cloud, bucket, result["ResultWriterDetails"]["Key"]))
    assert (bucket, result["MapRunArn"]) == (manifest["DestinationBucket"], manifest["MapRunArn"])
    names = {kind: [one["Key"] for one in files] for kind, files in manifest["ResultFiles"].items()}
    expected = {kind: [f"results/{run_id}/{kind}_0.{end}"] for kind in ("FAILED", "SUCCEEDED")}
    assert {**expected, "PENDING": []} == names
    failed, succeeded = (_read(cloud, bucket, names[kind][0]) for kind in ("FAILED", "SUCCEEDED"))
    assert len(failed) == manifest["ResultFiles"]["FAILED"][0]["Size"]
    assert {"Input": '"bad"', "Status": "FAILED", "Error": "Bad"}.items() <= json.loads(failed.strip("[]")).items()
    if config:
        assert content == succeeded
    else:
        assert ["[1, 2]"] * 2 == [child["Output"] for child in json.loads(succeeded)]


@pytest.mark.parametrize("fields", [{"ItemBatcher": {"MaxItemPerBatch": 2}}, {"ResultWriter": {"Bucket": "b"}}])
def test_a_misspelt_field_fails_the_run(cloud: Cloud, fields: dict[str, Any]) -> None:
    """AWS refuses such a definition when it is made."""
    ended = cloud.run(cloud.machine(_map(FAIL_ON_BAD, **fields)), ["good"])

    assert "has unknown fields" in ended["cause"]


def test_more_failures_than_tolerated_fail_the_run(cloud: Cloud) -> None:
    """By default one is too many."""
    ended = cloud.run(cloud.machine(_map(FAIL_ON_BAD)), ["good", "bad"])

    assert ("FAILED", "States.ExceedToleratedFailureThreshold") == (ended["status"], ended["error"])
    assert "FAILED" == _map_run(cloud, ended)["status"]


def test_the_role_must_be_allowed_to_start_children_and_to_read(cloud: Cloud) -> None:
    """A Map Run needs states:StartExecution on its own machine, and the bucket."""
    bucket = cloud.bucket()
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": bucket}}
    states = _map({"Pass": {"Type": "Pass", "End": True}}, ItemReader=reader)
    start, read = allow("states:StartExecution", "*"), allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")

    assert "StepFunctions.AccessDeniedException" == cloud.run(cloud.machine(states, read))["error"]
    assert "States.ItemReaderFailed" == cloud.run(cloud.machine(states, start))["error"]
    assert "SUCCEEDED" == cloud.run(cloud.machine(states, start, read))["status"]


def _read(cloud: Cloud, bucket: str, key: str) -> str:
    text: str = cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    return text
