"""`make e2e`, on the local cloud: which stacks it leaves alone, what it says, and that it works and cleans up."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from local import stack as local_stack
from local.emulator import process
from local.emulator.process import REPOSITORY
from local.stack import Stack
from tests.integration import account
from tests.integration.account import Description
from tests.integration.conftest import pytest_sessionstart
from tests.integration.stacks import Arrivals

pytestmark = pytest.mark.local_only("runs the suite inside the suite")

GOOD = Description(
    {"StartExecutionFunctionName": "f", "SourceBucketName": "b"}, {"purpose": "e2e"}, set(account.OWN), [], 0
)
TESTS = [
    f"tests/integration/test_arrivals.py::test_{name}"
    for name in (
        "an_upload_starts_the_workflow_once_with_the_workshops_parameters",
        "both_events_of_one_upload_start_it_once",
    )
]


@pytest.fixture(scope="module")
def made_for_it(arrivals: Arrivals) -> Stack:
    return local_stack.again(arrivals.stack, "for-e2e", {"JobName": "for-e2e"}, purpose="e2e")


@pytest.mark.parametrize(
    ("name", "yes", "says"),
    [
        # Nothing is uploaded.
        ("glueworkshop", True, "is left alone:.*no tag purpose=e2e: sam deploy"),
        ("nowhere", True, "^Stack nowhere: .*does not exist$"),
        ("for-e2e", False, "Nothing was done.*YES=1"),
    ],
)
@pytest.mark.usefixtures("made_for_it")
def test_it_does_not_begin(  # noqa: PLR0913, PLR0917 - two fixtures for what it says and where it asks
    arrivals: Arrivals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    yes: bool,  # noqa: FBT001 - a value of the table
    says: str,
) -> None:
    """With a stack that was not made for it, or without a yes: then it only says what it would do."""
    for variable, value in arrivals.stack.cloud.environment.items():
        monkeypatch.setenv(variable, value)
    options: dict[str, object] = {"--stack": name, "--yes": yes}
    session: Any = SimpleNamespace(config=SimpleNamespace(getoption=options.__getitem__))

    with pytest.raises(pytest.exit.Exception) as ended:
        pytest_sessionstart(session)

    assert 1 == ended.value.returncode
    assert re.search(says, str(ended.value), re.DOTALL)
    told = capsys.readouterr().out
    words = () if yes else (f"Stack {name} in {process.ACCOUNT}, {process.REGION}", "costs", "deletes", "leaves")
    assert [] == [one for one in words if one not in told], told


def test_with_a_yes_it_runs_and_cleans_up(made_for_it: Stack) -> None:
    """A test passes, one that needs the local cloud is left out with its reason, and no object stays."""
    assert [] == account.versions(made_for_it, made_for_it.outputs["SourceBucketName"])
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    ran = subprocess.run(
        [*command, "--stack", made_for_it.name, "--yes", *TESTS],
        cwd=REPOSITORY,
        env={**os.environ, **made_for_it.cloud.environment},
        capture_output=True,
        text=True,
        check=False,
    )

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
        ({"foreign_keys": ["sales.csv"]}, "its bucket holds what no test wrote: ['sales.csv']"),
        ({"messages": 3}, "the 3 messages in its failure queue"),
    ],
)
def test_each_sign_of_somebody_else_is_a_reason(changes: dict[str, object], reason: str | None) -> None:
    """Only a stack with the tag, of its own, and empty is tested."""
    found = account.objections(Description(**(vars(GOOD) | changes)))

    assert reason in "; ".join(found) if reason else not found, found


def test_what_others_wrote_is_seen(made_for_it: Stack) -> None:
    """Also under the source prefix, and a version that was deleted."""
    s3, bucket = made_for_it.client("s3"), made_for_it.outputs["SourceBucketName"]
    key = "input/lab2/eventdriven/sales.csv"
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    s3.delete_object(Bucket=bucket, Key=key)

    assert {key} == set(account.describe(made_for_it).foreign_keys)
