"""The demo: a file arrives, its workflow runs once, and six things that go wrong elsewhere do not go wrong here.

It builds the application, starts the local cloud, deploys this very template, and goes through AWS APIs only.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local import stack
from local.emulator import process
from local.stack import Stack
from local.trips import green_trips

PREFIX = "input/lab2/eventdriven/"
KEY = f"{PREFIX}green_tripdata.csv"
ODD_KEY = f'{PREFIX}dt=2026-11-24/it\'s a "green" + 100% 🚕.csv'
TRIPS = 1_000
PATIENCE = 20
LOG = Path(".local") / "demo.log"
DECISIONS = {"started", "duplicate", "skipped", "failed"}


@dataclass
class Demo:
    """A deployed stack, what its log has said so far, and what went wrong."""

    stack: Stack
    seen: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def put(self, key: str, content: bytes) -> None:
        """Upload a file to the stack's bucket."""
        self.stack.client("s3").put_object(Bucket=self.stack.outputs["SourceBucketName"], Key=key, Body=content)

    def decisions(self, expected: int) -> Iterator[dict[str, Any]]:
        """Read the function's log as it grows, until that many decisions came that were not shown yet."""
        logs, group = self.stack.client("logs"), f"/aws/lambda/{self.stack.name}-start-execution"
        deadline = time.monotonic() + PATIENCE
        while expected and time.monotonic() < deadline:
            for event in logs.filter_log_events(logGroupName=group)["events"]:
                if event["message"].startswith('{"level"') and event["message"] not in self.seen:
                    self.seen.add(event["message"])
                    line = json.loads(event["message"])
                    if line["message"] in DECISIONS:
                        expected -= 1
                        yield line
            time.sleep(0.1)

    def expect(self, what: str, expected: object, actual: object) -> None:
        """Note a difference between what this demo promises and what happened."""
        if expected != actual:
            self.failures.append(f"{what}: expected {expected!r}, got {actual!r}")


def main() -> int:
    """Run the demo; exit code 0 means that everything happened as promised."""
    say("Building", "sam build")
    stack.build()
    say("Starting", "the local cloud (no Docker, no account)")
    with process.start(log=LOG) as cloud:
        say("Deploying", "sam deploy of template.yaml")
        demo = Demo(stack.deploy(cloud))
        # The workshop brings a trail, so that both kinds of events come.
        stack.start_trail(demo.stack, "workshop")
        inbox = stack.subscribe_queue(demo.stack, "inbox", "SuccessTopic", "FailureTopic")
        arrival(demo, inbox)
        situations(demo)
    for failure in demo.failures:
        say("✗", failure)
    if demo.failures:
        say("FAILED", f"the local cloud's log is {LOG}")
        return 1
    say("SUCCESS", "one execution an upload, and a reason for everything else. Nothing is left running.")
    return 0


def arrival(demo: Demo, inbox: str) -> None:
    """Upload the file and follow it through to the notification."""
    say("Uploading", f"{KEY} ({TRIPS:,} trips)")
    demo.put(KEY, green_trips(TRIPS, seed=1).encode())
    lines = list(demo.decisions(2))
    for line in lines:
        say("Event", f"{line['source']}, id {line['event_id']}")
        say("Decision", f"{line['message']} → {line['execution_name']}")
    demo.expect(
        "the native and the CloudTrail event", ["duplicate", "started"], sorted(line["message"] for line in lines)
    )
    if not lines:
        return
    arn = lines[0]["execution_arn"]
    say("Execution", arn)
    status = follow(demo.stack, arn)
    demo.expect("the execution", "SUCCEEDED", status)
    runs = demo.stack.client("glue").get_job_runs(JobName="ny-taxi-transformed-console-jb")["JobRuns"]
    for run in runs:
        say("Glue run", f"{run['Id'][:20]}… {run['JobRunState']} {json.dumps(run['Arguments'])}")
    say("", "(Spark itself does not run here: the emulated run checks that its source exists)")
    demo.expect("Glue runs", 1, len(runs))
    received = demo.stack.client("sqs").receive_message(QueueUrl=inbox, WaitTimeSeconds=5).get("Messages", [])
    for message in received:
        notification = json.loads(message["Body"])
        say("Notification", f"{notification['Subject']}: {notification['Message']}")
    demo.expect("notifications", 1, len(received))
    described = demo.stack.client("stepfunctions").describe_execution(executionArn=arn)
    say("Input", "of the execution:")
    print(json.dumps(json.loads(described["input"]), indent=2, ensure_ascii=False), flush=True)


def situations(demo: Demo) -> None:
    """Try what loses or doubles files elsewhere."""
    say("", "")
    say("What else", "arrives in real life:")
    for title, act, expected in SITUATIONS:
        act(demo)
        lines = list(demo.decisions(len(expected)))
        outcomes = sorted(_said(line) for line in lines)
        for line in lines:
            say(f"  {title}", f"{_said(line)} ({line['source']})" + (f": {line['why']}" if "why" in line else ""))
        demo.expect(title, sorted(expected), outcomes)
    machine = demo.stack.outputs["StateMachineArn"]
    started = demo.stack.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    say("  executions", f"{len(started)} in all, for 3 files worth one")
    demo.expect("executions", 3, len(started))
    keys = {_input(demo.stack, one["executionArn"])["SRC_PREFIX"] for one in started}
    demo.expect("the odd key, byte for byte", True, ODD_KEY in keys)  # noqa: FBT003


def same_event_twice(demo: Demo) -> None:
    """Deliver an event of the first upload again, as EventBridge may."""
    bucket = demo.stack.outputs["SourceBucketName"]
    event = {
        "version": "0",
        "id": "again",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": process.ACCOUNT,
        "time": "2026-11-24T05:20:00Z",
        "detail": {"bucket": {"name": bucket}, "object": {"key": KEY}},
    }
    function = demo.stack.outputs["StartExecutionFunctionName"]
    demo.stack.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())


def multipart(demo: Demo) -> None:
    """Upload in parts, as the AWS CLI does from 8 MB on; the workshop's rule never sees it."""
    s3, bucket, key = demo.stack.client("s3"), demo.stack.outputs["SourceBucketName"], f"{PREFIX}large.csv"
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(
        Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=green_trips(TRIPS, seed=2).encode()
    )
    s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )


def denied(demo: Demo) -> None:
    """Try to upload without the permission: CloudTrail announces that call as well."""
    iam = demo.stack.client("iam")
    iam.create_user(UserName="intern")
    key = iam.create_access_key(UserName="intern")["AccessKey"]
    credentials = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    s3 = stack.client(demo.stack.cloud, "s3", **credentials)
    try:
        s3.put_object(Bucket=demo.stack.outputs["SourceBucketName"], Key=f"{PREFIX}forbidden.csv", Body=b"a,b\n")
    except ClientError as error:
        demo.expect("the intern's upload", "AccessDenied", error.response["Error"]["Code"])


SITUATIONS: list[tuple[str, Callable[[Demo], None], list[str]]] = [
    ("same event twice", same_event_twice, ["duplicate"]),
    ("multipart upload", multipart, ["duplicate", "started"]),
    ("folder marker", lambda demo: demo.put(PREFIX, b""), ["skipped, folder_marker"] * 2),
    ("quote, plus, emoji", lambda demo: demo.put(ODD_KEY, b"a,b\n1,2\n"), ["duplicate", "started"]),
    ("failed call", denied, ["skipped, failed_call"]),
]


def follow(deployed: Stack, arn: str) -> str:
    """Show each state of an execution as it is entered, and give the status it ends with."""
    states, shown = deployed.client("stepfunctions"), 0
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status: str = states.describe_execution(executionArn=arn)["status"]
        events = states.get_execution_history(executionArn=arn)["events"]
        for event in events[shown:]:
            if entered := event.get("stateEnteredEventDetails"):
                say("State", entered["name"])
        shown = len(events)
        if status != "RUNNING":
            say("Status", status)
            return status
        time.sleep(0.1)
    return "still running"


def say(what: str, more: str) -> None:
    """Print one line of the story."""
    print(f"{what:>20}  {more}" if what else more, flush=True)


def _said(line: dict[str, Any]) -> str:
    return f"{line['message']}, {line['reason']}" if "reason" in line else str(line["message"])


def _input(deployed: Stack, arn: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(deployed.client("stepfunctions").describe_execution(executionArn=arn)["input"])
    return read


if __name__ == "__main__":
    sys.exit(main())
