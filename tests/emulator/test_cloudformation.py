"""A template's resources come out as they are described."""

import json
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.emulator.conftest import Cloud

BUS = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}
PATTERN = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "in/"}]}}}


def _deploy(cloud: Cloud, **resources: dict[str, Any]) -> dict[str, str]:
    """Create or update the stack and return the physical ids of its resources."""
    formation = cloud.client("cloudformation")
    body = json.dumps({"Resources": resources})
    exists = any(stack["StackName"] == "stack" for stack in formation.describe_stacks()["Stacks"])
    act = formation.update_stack if exists else formation.create_stack
    act(StackName="stack", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiter = formation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
    waiter.wait(StackName="stack", WaiterConfig={"Delay": 0.1, "MaxAttempts": 50})
    listed = formation.describe_stack_resources(StackName="stack")["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def test_archives_and_saved_queries_are_made_changed_and_removed(cloud: Cloud) -> None:
    """DescribeArchive shows it; a query keeps its id, and what it asks is kept by nobody."""
    events, topic = cloud.client("events"), _resource("SNS::Topic")
    archive = _resource("Events::Archive", SourceArn=BUS, EventPattern=PATTERN, RetentionDays=30)
    query = _resource("Logs::QueryDefinition", Name="skips", QueryString="fields @message")
    made = _deploy(cloud, Archive=archive, Query=query, Topic=topic)
    described = events.describe_archive(ArchiveName=made["Archive"])
    assert (30, PATTERN) == (described["RetentionDays"], json.loads(described["EventPattern"]))
    assert described["EventSourceArn"].endswith(":event-bus/default")

    archive["Properties"]["RetentionDays"] = 90
    query["Properties"]["Name"] = "all skips"
    assert made == _deploy(cloud, Archive=archive, Query=query, Topic=topic)
    assert 90 == events.describe_archive(ArchiveName=made["Archive"])["RetentionDays"]

    assert {"Topic": made["Topic"]} == _deploy(cloud, Topic=topic)
    assert [] == events.list_archives()["Archives"]


def test_an_invalid_pattern_fails_the_stack(cloud: Cloud) -> None:
    """As PutRule would refuse it."""
    rule = _resource("Events::Rule", EventPattern={"source": [{"nonesuch": "x"}]})

    with pytest.raises(WaiterError, match="ROLLBACK"):
        _deploy(cloud, Rule=rule)
