"""Each role can do what the tables of permissions.py say, and no more."""

import re

import pytest

from tests.unit.permissions import (
    ANY,
    BUCKET,
    DELIVERY,
    JOBS,
    MUST,
    MUST_NOT,
    OTHERS,
    REFUSED,
    RESOURCES,
    ROUTED,
    TRUST,
    allowed,
    listed,
    statements,
)
from tests.unit.resolved import stack


@pytest.mark.parametrize(("owner", "action", "resource"), MUST)
def test_a_role_can_do_what_it_must(owner: str, action: str, resource: str) -> None:
    """Or the first file of a new stack would fail."""
    assert allowed(owner, action, resource)


@pytest.mark.parametrize(("owner", "action", "resource"), MUST_NOT)
def test_a_role_can_do_no_more(owner: str, action: str, resource: str) -> None:
    """Or a bug in one function could harm what belongs to another."""
    assert not allowed(owner, action, resource)


@pytest.mark.parametrize(("owner", "action", "resource", "request_"), REFUSED)
def test_a_condition_keeps_out_what_it_is_for(owner: str, action: str, resource: str, request_: dict[str, str]) -> None:
    """What the table above allows is refused in other words, or without any."""
    assert allowed(owner, action, resource)
    assert not allowed(owner, action, resource, request_)
    assert not allowed(owner, action, resource, {})


@pytest.mark.parametrize(("prefix", "may"), [("private/", False), ("", False), (None, True)])
def test_the_collector_lists_below_the_prefix(prefix: str | None, may: bool) -> None:  # noqa: FBT001
    """A HEAD says no prefix: without that permission a member that is missing would look like a denial."""
    request = {} if prefix is None else {"s3:prefix": prefix}

    assert may == allowed("CollectWindowFunction", "s3:ListBucket", BUCKET, request)


@pytest.mark.parametrize(("owner", "action", "targets"), ROUTED)
def test_route_files_may_name_others(owner: str, action: str, targets: list[str]) -> None:
    """Each of the two lists, all of it and nothing besides; without the lists nothing."""
    given = {"RouteStateMachineArns": OTHERS, "RouteJobArns": JOBS}
    resources = stack(parameters=given)["Resources"]
    another = targets[0].replace("Sales", "Somebodys").replace("sales", "somebodys")

    assert [] == [one for one in targets if not allowed(owner, action, one, resources=resources)]
    assert not allowed(owner, action, another, resources=resources)
    assert [] == [one for one in targets if allowed(owner, action, one)]


@pytest.mark.parametrize("owner", ["Workflow", "WindowStateMachine", "BackfillStateMachine", "OverdueStateMachine"])
def test_logs_and_traces_are_delivered(owner: str) -> None:
    """By exactly the calls that AWS lists; they know no narrower resource."""
    [statement] = [one for one in statements(owner) if one.get("Sid") == "DeliverLogsAndTraces"]

    assert (DELIVERY, "*") == (statement["Action"], statement["Resource"])


def test_the_tables_see_all_that_is_granted() -> None:
    """A managed policy would be none of the statements above, and AWS's for Glue allows glue:* on everything."""
    assert [] == [name for name, one in RESOURCES.items() if "ManagedPolicyArns" in one.get("Properties", {})]


def test_every_granted_action_is_needed() -> None:
    """Each has a row above; what only log delivery and tracing need is one statement, the same everywhere."""
    for owner, one in RESOURCES.items():
        if one["Type"] not in {"AWS::IAM::Role", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"}:
            continue
        granted = {
            action
            for statement in statements(owner)
            if statement.get("Sid") != "DeliverLogsAndTraces"
            for action in listed(statement["Action"])
        }
        needed = {action for role, action, resource in MUST if role == owner and resource != ANY}
        assert granted - {"glue:GetJobRuns"} == needed, owner


@pytest.mark.parametrize(("role", "service"), TRUST.items())
def test_only_its_service_assumes_a_role(role: str, service: str) -> None:
    """One statement, one service."""
    [statement] = RESOURCES[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    assert ("Allow", "sts:AssumeRole", {"Service": service}) == (
        statement["Effect"],
        statement["Action"],
        statement["Principal"],
    )


@pytest.mark.parametrize(
    ("policy", "says", "resources", "asks"),
    [
        (
            "FailureQueuePolicy",
            ("Allow", {"Service": "events.amazonaws.com"}, "sqs:SendMessage"),
            ["FailureQueue.Arn"],
            {"ArnEquals"},
        ),
        ("FailureTopicPolicy", ("Allow", {"Service": "events.amazonaws.com"}, "sns:Publish"), ["FailureTopic"], set()),
        ("SourceBucketPolicy", ("Deny", "*", "s3:*"), ["SourceBucket.Arn", "SourceBucket.Arn/*"], {"Bool"}),
    ],
)
def test_a_resource_lets_in_whom_it_must(
    policy: str, says: tuple[object, ...], resources: list[str], asks: set[str]
) -> None:
    """Who may send to the queue and the topic; the bucket refuses what is not encrypted on the way.

    EventBridge can't satisfy any condition in a topic's policy.
    """
    [statement] = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]

    assert says == (statement["Effect"], statement["Principal"], statement["Action"])
    assert resources == listed(statement["Resource"])
    assert asks == statement.get("Condition", {}).keys()
    assert {"aws:SecureTransport": "false"} == statement.get("Condition", {}).get(
        "Bool", {"aws:SecureTransport": "false"}
    )


@pytest.mark.parametrize(
    ("policy", "of"),
    [
        ("FailureQueuePolicy", {"Queues": ["FailureQueue"]}),
        ("FailureTopicPolicy", {"Topics": ["FailureTopic"]}),
        ("SourceBucketPolicy", {"Bucket": "SourceBucket"}),
    ],
)
def test_a_policy_is_the_resources_own(policy: str, of: dict[str, object]) -> None:
    """Attached elsewhere it would let in nobody; and a policy more would be one that no row above knows."""
    properties = RESOURCES[policy]["Properties"]

    assert of == {name: value for name, value in properties.items() if name != "PolicyDocument"}
    assert 3 == len([one for one in RESOURCES.values() if re.fullmatch(r"AWS::\w+::\w+Policy", one["Type"])])
