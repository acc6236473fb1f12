"""`make why` on the deployed template: what became of an object, and what to do."""

import json
import os
import shutil
import subprocess

from local.emulator.process import REPOSITORY
from tests.integration.conftest import Arrivals, settle, until


def run(arrivals: Arrivals, key: str, stack: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, with the key in the environment."""
    # What another make hands down would win over the environment.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {**inherited, **arrivals.stack.cloud.environment, "KEY": key, "STACK": stack}
    command = [shutil.which("make") or "make", "-s", "why"]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def why(arrivals: Arrivals, key: str) -> str:
    """Return the answer."""
    ran = run(arrivals, key, arrivals.stack.name)
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


def test_it_was_started(arrivals: Arrivals, key: str) -> None:
    """Name and status of its execution, and the line of the log, however odd the key is."""
    odd = key.replace("green_tripdata.csv", 'it\'s a "quote" + $HOME (été) 🚕.csv')
    arrivals.put(odd)
    arrivals.decided(odd)
    until(lambda: ["SUCCEEDED"] == [one["status"] for one in arrivals.executions(odd)])
    [execution] = arrivals.executions(odd)

    told = why(arrivals, odd)

    assert f"execution {execution['name']} is " in told
    assert f"#/v2/executions/details/{execution['executionArn']}" in told
    assert f"started (native): {execution['name']}" in told
    assert "To do   Nothing: it was started once and it succeeded." in told


def test_it_was_skipped(arrivals: Arrivals, key: str) -> None:
    """The reason, from the decision and from the log."""
    arrivals.put(key, b"")
    arrivals.decided(key)

    told = why(arrivals, key)

    assert "starts nothing: empty_object" in told
    assert "skipped (native): empty_object" in told
    assert "To do   If it should have content, upload it again." in told


def test_it_failed_and_waits_in_the_failure_queue(arrivals: Arrivals, key: str) -> None:
    """The error that the message holds; and the message is still there for whoever comes next."""
    functions, iam = arrivals.client("lambda"), arrivals.client("iam")
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    role = functions.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    deny = {"Effect": "Deny", "Action": "states:StartExecution", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=policy)
    settle()
    try:
        arrivals.put(key)
        arrivals.until_a_failure()
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")

    told = why(arrivals, key)

    assert "no execution green_tripdata-" in told
    assert "RetryableCallError: StartExecution on " in told
    assert "Queue   1 of 1 messages" in told
    assert (
        "To do   Fix what the failure queue says (docs/runbook.md#failurequeuealarm), then: arrivals backfill " in told
    )
    assert key == json.loads(arrivals.failure()["Body"])["requestPayload"]["detail"]["object"]["key"]


def test_its_event_never_came(arrivals: Arrivals, key: str) -> None:
    """An object is there, and nobody announced it."""
    rule = f"{arrivals.stack.name}-object-created"
    arrivals.client("events").disable_rule(Name=rule)
    settle()
    try:
        arrivals.put(key)
    finally:
        arrivals.client("events").enable_rule(Name=rule)

    told = why(arrivals, key)

    assert "Log     nothing about this key" in told
    assert "To do   Look again in some minutes: its event has not come yet." in told


def test_it_was_deleted(arrivals: Arrivals, key: str) -> None:
    """S3 still knows when."""
    arrivals.put(key)
    arrivals.decided(key)
    arrivals.client("s3").delete_object(Bucket=arrivals.bucket, Key=key)

    told = why(arrivals, key)

    assert "S3      deleted 20" in told
    assert "started (native)" in told


def test_it_was_never_there(arrivals: Arrivals, key: str) -> None:
    """No object, no log line, no message: the key is wrong."""
    told = why(arrivals, key)

    assert "S3      no such object" in told
    assert "Log     nothing about this key" in told


def test_a_stack_that_is_not_there(arrivals: Arrivals) -> None:
    """One line, no traceback."""
    ran = run(arrivals, "k", "nowhere")

    assert 0 != ran.returncode
    assert "No stack 'nowhere' in us-east-2: say --stack, --region or --profile." == ran.stderr.splitlines()[0]
