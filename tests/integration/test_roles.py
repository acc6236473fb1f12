"""What each role may and may not do, by the policies that were deployed: the table of tests/unit/permissions.py."""

import re

import pytest

from local.emulator.process import ACCOUNT
from local.stack import Stack
from tests.integration.stacks import Arrivals
from tests.unit.permissions import MUST, MUST_NOT

# The local cloud's simulator hears nothing of a request's words; tests of windows list folders for real.
CONDITIONAL = {
    (owner, "s3:ListBucket") for owner in ("CollectWindowFunction", "CheckExpectationsFunction", "LookAgainFunction")
}
OWNERS = sorted({owner for owner, action, _ in MUST if (owner, action) not in CONDITIONAL})


@pytest.fixture(scope="module")
def physical(arrivals: Arrivals) -> dict[str, tuple[str, str]]:
    stack = arrivals.stack
    found = stack.client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
    return {one["LogicalResourceId"]: (one["ResourceType"], one["PhysicalResourceId"]) for one in found}


def real(stack: Stack, physical: dict[str, tuple[str, str]], resource: str) -> str:
    """Return a resource of the table, which has the resolver's names, as the stack has it."""
    _, _, _, region, account, *_ = stack.outputs["StateMachineArn"].split(":")

    def name(found: re.Match[str]) -> str:
        kind, one = physical[found[1]]
        if found[2] == ".Name":
            return one.rsplit(":", 1)[-1]
        prefix = {
            "AWS::S3::Bucket": "arn:aws:s3:::",
            "AWS::Lambda::Function": f"arn:aws:lambda:{region}:{account}:function:",
        }
        return prefix.get(kind, "") + one if found[2] == ".Arn" else one

    known = "|".join(sorted(physical, key=len, reverse=True))
    resource = resource.replace("us-east-2", region).replace(ACCOUNT, account).replace("glueworkshop", stack.name)
    return re.sub(rf"\b({known})(\.Arn|\.Name)?(?![\w-])", name, resource)


@pytest.mark.parametrize(("table", "allowed"), [(MUST, True), (MUST_NOT, False)], ids=["must", "must not"])
@pytest.mark.parametrize("owner", OWNERS)
def test_a_role_can_do_what_it_must_and_no_more(
    arrivals: Arrivals,
    physical: dict[str, tuple[str, str]],
    owner: str,
    table: list[tuple[str, str, str]],
    *,
    allowed: bool,
) -> None:
    """Every row of its own, each a call to AWS's simulator, on the stack's real names."""
    role = owner if owner.endswith("Role") else f"{owner}Role"
    rows = [row[1:] for row in table if row[0] == owner and row[:2] not in CONDITIONAL]
    answers = {
        (action, resource): arrivals.stack.can(role, action, real(arrivals.stack, physical, resource))
        for action, resource in rows
    }

    assert rows
    assert [] == [row for row, decision in answers.items() if decision != allowed]
