"""One file through a stack that is deployed in a real account; it costs one Glue run, about $0.015."""

import json
import os
import time
import uuid

import boto3
import pytest

from local.trips import green_trips

STACK = os.environ.get("STACK", "")
PATIENCE = 900

pytestmark = pytest.mark.skipif(not STACK, reason="names no stack: make e2e STACK=glueworkshop")


def test_a_file_runs_its_workflow_once() -> None:
    """Upload, execution, success; and nothing in the failure queue."""
    described = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    key = f"input/lab2/eventdriven/e2e-{uuid.uuid4().hex}.csv"
    boto3.client("s3").put_object(Bucket=outputs["SourceBucketName"], Key=key, Body=green_trips(1_000, seed=1).encode())
    states, deadline = boto3.client("stepfunctions"), time.monotonic() + PATIENCE
    found: list[str] = []
    while time.monotonic() < deadline:
        recent = states.list_executions(stateMachineArn=outputs["StateMachineArn"], maxResults=50)["executions"]
        described_ones = [states.describe_execution(executionArn=one["executionArn"]) for one in recent]
        found = [one["status"] for one in described_ones if json.loads(one["input"])["SRC_PREFIX"] == key]
        if found and "RUNNING" not in found:
            break
        time.sleep(10)

    assert ["SUCCEEDED"] == found
    queue = boto3.client("sqs").get_queue_attributes(
        QueueUrl=outputs["FailureQueueUrl"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert "0" == queue["Attributes"]["ApproximateNumberOfMessages"]
