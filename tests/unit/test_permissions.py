"""Each role is granted the actions of the table of permissions.py, and no more."""

import pytest

from tests.unit.permissions import ANY, MAY, RESOURCES, statements

OWNERS = [
    name
    for name, one in RESOURCES.items()
    if one["Type"] in {"AWS::IAM::Role", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"}
]


@pytest.mark.parametrize("owner", OWNERS)
def test_every_granted_action_is_needed(owner: str) -> None:
    """Each has a row in the table; only log delivery and tracing know no narrower resource than all."""
    narrow = [one for one in statements(owner) if one.get("Sid") != "DeliverLogsAndTraces"]
    granted = {
        action for one in narrow for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    needed = {action for action, what in MAY[owner].items() if what != [ANY]}

    assert needed == granted - {"glue:GetJobRuns"}
    assert [] == [one for one in narrow if one["Resource"] in (ANY, [ANY])]
    # It would be none of these statements, and AWS's own for Glue allows glue:* on everything.
    assert "ManagedPolicyArns" not in RESOURCES[owner]["Properties"]
