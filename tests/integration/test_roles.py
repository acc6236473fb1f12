"""What each role may do and what it may not, by the policies that were deployed."""

import pytest

from tests.integration.conftest import Arrivals

FILE = "arn:aws:s3:::{bucket}/input/lab2/eventdriven/a.csv"


@pytest.mark.parametrize(
    ("role", "action", "resource", "allowed"),
    [
        ("StartExecutionFunctionRole", "states:StartExecution", "{machine}", True),
        ("StartExecutionFunctionRole", "s3:GetObject", FILE, True),
        ("StartExecutionFunctionRole", "s3:PutObject", FILE, False),
    ],
)
def test_a_role_can_do_what_it_must_and_no_more(
    arrivals: Arrivals, role: str, action: str, resource: str, *, allowed: bool
) -> None:
    """One row a promise."""
    resource = resource.format(bucket=arrivals.bucket, machine=arrivals.machine)

    assert allowed == arrivals.can(role, action, resource)
