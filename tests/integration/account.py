"""A real stack for the integration tests: what they will do and cost, and which stacks they leave alone.

`make e2e STACK=glueworkshop-e2e` prints the plan; with YES=1 it runs. Profile, region and endpoint are those of any AWS
tool. The stack must be made for it (`sam deploy --config-env e2e`): it is told by a tag, it must own its bucket and its
workflow, and both bucket and failure queue must hold nothing of anybody else's.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from local.stack import Stack

# What `sam deploy --config-env e2e` tags the stack with; nobody tags a stack so by accident.
TAG = ("purpose", "e2e")
OWN = ("SourceBucket", "Workflow", "GlueJob")
# Keys that the tests and the jobs they start write.
OURS = ("input/lab2/eventdriven/e2e/", "staging/", "elsewhere/", "target/event-transformed")
# EventBridge hears a bucket some five minutes after it was turned on.
DEAF = timedelta(minutes=5)
# Estimates, by the tests that are not local_only; nobody has measured them. A Glue run bills two DPUs for a minute.
RUNS, MINUTES, DOLLARS = 40, 60, 1

PLAN = f"""\
Stack {{name}} in {{account}}, {{region}} (bucket {{bucket}}):
  does     uploads some forty small files under {OURS[0]} and takes what comes of them; takes away what
           the function and the rules may do, and gives it back; turns a rule off and on; empties the failure queue
  costs    some {RUNS} Glue runs of a minute, about ${DOLLARS} in all; takes some {MINUTES} minutes
  deletes  all its objects, with their versions, and the queue it makes
  leaves   executions, log lines and Glue runs: AWS keeps them for 90 days or as long as the stack says
"""


@dataclass(frozen=True)
class Account:
    """Wherever boto3 goes by itself: what `local.stack` asks of a cloud."""

    endpoint_url: str | None = None
    credentials: dict[str, str] = field(default_factory=dict, hash=False)
    environment: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Description:
    outputs: dict[str, str]
    tags: dict[str, str]
    resources: set[str]
    foreign_keys: list[str]
    messages: int
    made: datetime = field(default_factory=lambda: datetime.now(UTC))


def describe(stack: Stack) -> Description:
    formation = stack.client("cloudformation")
    described = formation.describe_stacks(StackName=stack.name)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    pages = formation.get_paginator("list_stack_resources").paginate(StackName=stack.name)
    messages, foreign = 0, list[str]()
    if {"SourceBucketName", "FailureQueueUrl"} <= outputs.keys():
        foreign = [
            one["Key"] for one in versions(stack, outputs["SourceBucketName"]) if not one["Key"].startswith(OURS)
        ]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = stack.client("sqs").get_queue_attributes(QueueUrl=outputs["FailureQueueUrl"], AttributeNames=names)
        messages = sum(int(asked["Attributes"][name]) for name in names)
    return Description(
        outputs,
        {one["Key"]: one["Value"] for one in described.get("Tags", [])},
        {one["LogicalResourceId"] for page in pages for one in page["StackResourceSummaries"]},
        foreign,
        messages,
        described["CreationTime"],
    )


def objections(description: Description) -> list[str]:
    """Return why a stack must not be tested, all reasons at once; none means that it may be."""
    tag, value = TAG
    missing = [name for name in OWN if name not in description.resources]
    checks = [
        (description.tags.get(tag) == value, f"it has no tag {tag}={value}: sam deploy --config-env e2e makes one"),
        ("StartExecutionFunctionName" in description.outputs, "it is not this application's: its function is missing"),
        (not missing, f"it is attached to what others use: {', '.join(missing)} not its own"),
        (not description.foreign_keys, f"its bucket holds what no test wrote: {description.foreign_keys[:1]}"),
        (not description.messages, f"the tests would take the {description.messages} messages in its failure queue"),
    ]
    return [reason for holds, reason in checks if not holds]


def confirm(stack: Stack, *, agreed: bool) -> None:
    try:
        description = describe(stack)
    except (BotoCoreError, ClientError) as error:
        pytest.exit(f"Stack {stack.name}: {error}", returncode=1)
    if reasons := objections(description):
        pytest.exit("\n  ".join([f"Stack {stack.name} is left alone:", *reasons]), returncode=1)
    print(plan(stack, description), flush=True)
    if not agreed:
        pytest.exit(f"Nothing was done. To do it: make e2e STACK={stack.name} YES=1", returncode=1)
    if not is_local():
        time.sleep(max(0.0, (description.made + DEAF - datetime.now(UTC)).total_seconds()))


def is_local() -> bool:
    return urlsplit(boto3.client("s3").meta.endpoint_url).hostname in {"127.0.0.1", "localhost"}


def open_stack(name: str) -> Stack:
    return Stack(name, Account(), describe(Stack(name, Account(), {})).outputs)


def plan(stack: Stack, description: Description) -> str:
    who = stack.client("sts").get_caller_identity()["Account"]
    region = stack.client("sts").meta.region_name
    return PLAN.format(name=stack.name, account=who, region=region, bucket=description.outputs["SourceBucketName"])


def versions(stack: Stack, bucket: str, prefix: str = "") -> list[dict[str, Any]]:
    pages = stack.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return [one for page in pages for kind in ("Versions", "DeleteMarkers") for one in page.get(kind, [])]


def clean(stack: Stack) -> int:
    bucket, deleted = stack.outputs["SourceBucketName"], 0
    for prefix in OURS:
        found = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions(stack, bucket, prefix)]
        for begin in range(0, len(found), 1_000):
            stack.client("s3").delete_objects(Bucket=bucket, Delete={"Objects": found[begin : begin + 1_000]})
        deleted += len(found)
    return deleted
