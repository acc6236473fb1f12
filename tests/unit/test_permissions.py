"""Each role can do what the tables of permissions.py say, and no more."""

import pytest

from tests.unit.permissions import (
    ANY,
    BUCKET,
    MAY,
    MUST,
    MUST_NOT,
    RESOURCES,
    SCRIPT,
    allowed,
    listed,
    statements,
)

OWNERS = [
    name
    for name, one in RESOURCES.items()
    if one["Type"] in {"AWS::IAM::Role", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"}
]


@pytest.mark.parametrize("owner", OWNERS)
def test_a_role_can_do_what_it_must_and_no_more(owner: str) -> None:
    """Or the first file of a new stack would fail, or a bug in one function could harm what belongs to another."""
    assert [] == [row for row in MUST if row[0] == owner and not allowed(*row)]
    assert [] == [row for row in MUST_NOT if row[0] == owner and allowed(*row)]


@pytest.mark.parametrize("owner", OWNERS)
def test_every_granted_action_is_needed(owner: str) -> None:
    """Each has a row in the table; only log delivery and tracing know no narrower resource than all."""
    narrow = [one for one in statements(owner) if one.get("Sid") != "DeliverLogsAndTraces"]
    granted = {action for one in narrow for action in listed(one["Action"])}
    needed = {action for action, what in MAY[owner].items() if what != [ANY]}

    assert needed == granted - {"glue:GetJobRuns"}
    assert [] == [one for one in narrow if ANY in listed(one["Resource"])]
    # It would be none of these statements, and AWS's own for Glue allows glue:* on everything.
    assert "ManagedPolicyArns" not in RESOURCES[owner]["Properties"]


@pytest.mark.parametrize(
    ("owner", "action", "resource", "request_", "may"),
    [
        *(
            (f"{name}Function", "s3:ListBucket", BUCKET, {"s3:prefix": prefix}, False)
            for name in ("CheckExpectations", "LookAgain", "CollectWindow")
            for prefix in ("private/", "")
        ),
        ("CheckExpectationsFunction", "s3:ListBucket", BUCKET, {}, False),
        ("LookAgainFunction", "s3:ListBucket", BUCKET, {}, False),
        # A HEAD says no prefix: without that permission a member that is missing would look like a denial.
        ("CollectWindowFunction", "s3:ListBucket", BUCKET, {}, True),
        *(
            ("GlueJobRole", action, resource, request, False)
            for action, resource in (("s3:GetObject", SCRIPT), ("s3:ListBucket", SCRIPT.rpartition("/")[0]))
            for request in ({"s3:ResourceAccount": "999999999999"}, {})
        ),
    ],
)
def test_a_condition_keeps_out_what_it_is_for(
    owner: str, action: str, resource: str, request_: dict[str, str], *, may: bool
) -> None:
    """What the table allows is refused in other words, or without any."""
    assert may == allowed(owner, action, resource, request_)


def test_a_topics_policy_has_no_condition() -> None:
    """EventBridge can't satisfy one, and would never publish."""
    [statement] = RESOURCES["FailureTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert "Condition" not in statement
