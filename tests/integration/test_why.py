"""`arrivals why` on the deployed template: what became of an object, and what to do."""

import json
import shutil
import subprocess

from local.emulator.process import REPOSITORY
from tests.integration.commands import environment, run
from tests.integration.stacks import Arrivals, until


def make_why(arrivals: Arrivals, key: str, stack: str) -> subprocess.CompletedProcess[str]:
    """Run `make why` as an operator does, with the key in the environment."""
    # What another make hands down would win over the environment.
    inherited = {name: value for name, value in environment(arrivals).items() if not name.startswith("MAKE")}
    command = [shutil.which("make") or "make", "-s", "why"]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**inherited, "KEY": key, "STACK": stack},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_became_of_each_is_told(arrivals: Arrivals, key: str) -> None:
    """From S3, the execution, and the log; however odd the key is."""
    odd = key.replace("green_tripdata.csv", 'it\'s a "quote" + $HOME (été) 🚕.csv')
    empty, deleted, silent, never = (f"{key}.{name}" for name in ("empty", "deleted", "silent", "never"))
    arrivals.put(odd)
    arrivals.put(deleted)
    arrivals.put(empty, b"")
    arrivals.decided({odd: ["started"], deleted: ["started"], empty: ["skipped"]}, quiet=0)
    arrivals.client("s3").delete_object(Bucket=arrivals.bucket, Key=deleted)
    with arrivals.unannounced():
        arrivals.put(silent)
    arrivals.until_ended(odd, "SUCCEEDED")
    [execution] = arrivals.executions(odd)

    for asked, wanted in {
        odd: [
            f"execution {execution['name']} is ",
            f"#/v2/executions/details/{execution['executionArn']}",
            f"started (native): {execution['name']}",
            "To do   Nothing: it was started once and it succeeded.",
        ],
        empty: [
            "starts nothing: empty_object",
            "skipped (native): empty_object",
            "To do   If it should have content, upload it again.",
        ],
        deleted: ["S3      deleted 20", "started (native)"],
        silent: [
            "Log     nothing about this key",
            "To do   Look again in some minutes: its event has not come yet.",
        ],
        never: ["S3      no such object", "Log     nothing about this key"],
    }.items():
        _, told, error = run(arrivals, "why", asked)
        assert [] == [words for words in wanted if words not in told], told + error
    made = make_why(arrivals, odd, arrivals.stack.name)
    assert (0, True) == (made.returncode, f"started (native): {execution['name']}" in made.stdout), made.stderr


def test_a_missing_permission_ends_in_the_failure_queue_and_a_backfill_heals_it(arrivals: Arrivals, key: str) -> None:
    """Why tells the error of the message, which is still there for whoever comes next."""
    with arrivals.denied("StartExecutionFunction", "states:StartExecution"):
        arrivals.put(key)
        until(lambda: arrivals.waits()[0])
    url = arrivals.stack.outputs["FailureQueueUrl"]
    [message] = arrivals.client("sqs").receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]

    _, told, error = run(arrivals, "why", key)

    for words in (
        "no execution green_tripdata-",
        "RetryableCallError: StartExecution on ",
        "Queue   1 of 1 messages",
        "To do   Fix what the failure queue says (docs/runbook.md#failurequeuealarm), then: arrivals backfill ",
    ):
        assert words in told, told + error
    assert 1 == sum(arrivals.waits())
    record = json.loads(message["Body"])
    assert key == record["requestPayload"]["detail"]["object"]["key"]
    assert "RetryableCallError" == record["responsePayload"]["errorType"]
    assert "Check the function's role" in record["responsePayload"]["errorMessage"]
    assert [] == arrivals.executions(key)
    assert 1 == arrivals.backfill(prefix=key, dry_run=False)["started"]
    assert 1 == len(arrivals.executions(key))
