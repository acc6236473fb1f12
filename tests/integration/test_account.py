"""`make e2e`, on the local cloud: which stacks it leaves alone, what it says beforehand, and that it works and cleans up."""

import os
import re
import subprocess
import sys

import pytest

from local import stack as local_stack
from local.emulator import process
from local.emulator.process import REPOSITORY
from local.stack import Stack
from tests.integration import account
from tests.integration.account import Description
from tests.integration.stacks import Arrivals

pytestmark = pytest.mark.local_only("runs the suite inside the suite")

GOOD = Description(
    {"StartExecutionFunctionName": "f", "SourceBucketName": "b"}, {"purpose": "e2e"}, set(account.OWN), [], 0
)


@pytest.fixture(scope="module")
def made_for_it(arrivals: Arrivals) -> Stack:
    """Deploy a stack with the tag."""
    return local_stack.again(arrivals.stack, "for-e2e", {"JobName": "for-e2e"}, purpose="e2e")


def e2e(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    """Run what `make e2e` runs, one test of it and one that needs the local cloud."""
    tests = [
        f"tests/integration/test_arrivals.py::{name}"
        for name in (
            "test_an_upload_starts_the_workflow_once_with_the_workshops_parameters",
            "test_both_events_of_one_upload_start_it_once",
        )
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "--stack", stack.name, *options, *tests],
        cwd=REPOSITORY,
        env={**os.environ, **stack.cloud.environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        # With YES=1 too; and nothing is uploaded.
        ("glueworkshop", "is left alone:.*no tag purpose=e2e: deploy one for this"),
        ("nowhere", "^Stack nowhere: .*does not exist$"),
    ],
)
def test_a_stack_that_was_not_made_for_it_is_left_alone(arrivals: Arrivals, name: str, says: str) -> None:
    """In words, no traceback."""
    with pytest.raises(pytest.exit.Exception) as ended:
        account.confirm(Stack(name, arrivals.stack.cloud, {}), agreed=True)

    assert 1 == ended.value.returncode
    assert re.search(says, str(ended.value), re.DOTALL)


def test_without_a_yes_it_only_says_what_it_would_do(made_for_it: Stack) -> None:
    """Stack, account, region, what it does, costs, deletes and leaves."""
    ran = e2e(made_for_it)

    assert 1 == ran.returncode
    for words in (f"Stack for-e2e in {process.ACCOUNT}, {process.REGION}", "costs", "deletes", "leaves", "YES=1"):
        assert words in ran.stdout + ran.stderr
    assert [] == account.versions(made_for_it, made_for_it.outputs["SourceBucketName"])


def test_with_a_yes_it_runs_and_cleans_up(made_for_it: Stack) -> None:
    """A test passes, one that needs the local cloud is left out with its reason, and no object stays."""
    ran = e2e(made_for_it, "--yes")

    assert 0 == ran.returncode, ran.stdout
    assert "1 passed, 1 skipped" in ran.stdout
    assert "needs the local cloud: " in ran.stdout
    assert "1 objects and versions deleted" in ran.stdout
    assert [] == account.versions(made_for_it, made_for_it.outputs["SourceBucketName"])
    machine = made_for_it.outputs["StateMachineArn"]
    assert 1 == len(made_for_it.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"tags": {}}, "no tag purpose=e2e"),
        ({"tags": {"purpose": "prod"}}, "no tag purpose=e2e"),
        ({"outputs": {"SourceBucketName": "b"}}, "not this application's"),
        ({"resources": {"Workflow", "GlueJob"}}, "SourceBucket not its own"),
        ({"resources": {"SourceBucket"}}, "Workflow, GlueJob not its own"),
        ({"foreign_keys": ["sales.csv"]}, "its bucket holds what no test wrote, such as ['sales.csv']"),
        ({"messages": 3}, "3 messages are in its failure queue"),
    ],
)
def test_each_sign_of_somebody_else_is_a_reason(changes: dict[str, object], reason: str | None) -> None:
    """Only a stack with the tag, of its own, and empty is tested."""
    found = account.objections(Description(**(vars(GOOD) | changes)))

    assert [] == found if reason is None else reason in "; ".join(found)


def test_what_others_wrote_is_seen(made_for_it: Stack) -> None:
    """Also under the source prefix, and a version that was deleted."""
    s3, bucket = made_for_it.client("s3"), made_for_it.outputs["SourceBucketName"]
    key = "input/lab2/eventdriven/sales.csv"
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_object(Bucket=bucket, Key=key)

    assert {key} == set(account.describe(made_for_it).foreign_keys)
