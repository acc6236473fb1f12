"""The demo: a CSV arrives and becomes Parquet, once; then six awkward situations go well.

It builds the application, starts the local cloud, deploys template.yaml, and uses only AWS APIs. The Glue job's script
runs on Spark.
"""

import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from glue.ny_taxi_transformed import target_path
from local import stack
from local.emulator import process
from local.stack import Stack
from local.trips import green_trips

PREFIX = "input/lab2/eventdriven/"
KEY = f"{PREFIX}green_tripdata.csv"
ODD_KEY = f'{PREFIX}dt=2026-11-24/it\'s a "green" + 100% 🚕.csv'
TARGET = "target/event-transformed"
JOB = "ny-taxi-transformed-console-jb"
TRIPS = 1_000
PATIENCE = 60
# Some columns of the trips, because a line must fit.
SHOWN = ("lpep_pickup_datetime", "PULocationID", "trip_distance", "total_amount", "payment_type")
LOG = Path(".local") / "demo.log"
SPARK = Path(".venv", "spark", "bin", "python")
DECISIONS = {"started", "duplicate", "skipped", "failed"}


@dataclass
class Demo:
    """A deployed stack, the lines of its log so far, and the differences found."""

    stack: Stack
    seen: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    inbox: str = ""

    def put(self, key: str, content: bytes) -> None:
        """Upload a file to the stack's bucket."""
        self.stack.client("s3").put_object(Bucket=self.stack.outputs["SourceBucketName"], Key=key, Body=content)

    def decisions(self, expected: int) -> Iterator[dict[str, Any]]:
        """Read the function's log as it grows, until so many new decisions have come."""
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

    def notifications(self) -> Iterator[tuple[str, str]]:
        """Wait for messages of the topics, and return the subject and text of each."""
        sqs = self.stack.client("sqs")
        for message in sqs.receive_message(QueueUrl=self.inbox, WaitTimeSeconds=10).get("Messages", []):
            sqs.delete_message(QueueUrl=self.inbox, ReceiptHandle=message["ReceiptHandle"])
            notification = json.loads(message["Body"])
            yield notification.get("Subject") or "no subject", notification["Message"]

    def parquet(self, key: str) -> dict[str, Any]:
        """Read the Parquet of a source back: place, rows, columns and first lines."""
        s3, bucket = self.stack.client("s3"), self.stack.outputs["SourceBucketName"]
        folder = target_path(bucket, TARGET, key)
        prefix = folder.removeprefix(f"s3://{bucket}/") + "/"
        listed = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
        keys = [found for found in listed if found.endswith(".parquet")]
        if not keys:
            return {"folder": folder, "keys": [], "rows": 0, "columns": {}, "first": []}
        with tempfile.TemporaryDirectory() as scratch:
            files = [str(Path(scratch, str(number))) for number, _ in enumerate(keys)]
            for file, found in zip(files, keys, strict=True):
                s3.download_file(bucket, found, file)
            command = [str(SPARK), "-m", "local.spark.parquet", "3", *files]
            read = subprocess.run(command, capture_output=True, check=True, text=True)  # noqa: S603 - our own program
        return {"folder": folder, "keys": keys, **json.loads(read.stdout)}

    def expect(self, what: str, expected: object, actual: object) -> None:
        """Note a difference between the promise of this demo and the result."""
        if expected != actual:
            self.failures.append(f"{what}: expected {expected!r}, got {actual!r}")


def main() -> int:
    """Run the demo; exit code 0 means that everything happened as promised."""
    # This comes first: Spark starts while the application is built.
    say("Starting", "the local cloud (no Docker, no account), and Spark for its Glue")
    with process.start(log=LOG, settings={"GLUE_RUNS": "spark"}) as cloud:
        say("Building", "sam build")
        stack.build()
        say("Deploying", "sam deploy of template.yaml")
        demo = Demo(stack.deploy(cloud))
        # The workshop has a trail, so both kinds of events come.
        stack.start_trail(demo.stack, "workshop")
        demo.inbox = stack.subscribe_queue(demo.stack, "inbox", "SuccessTopic", "FailureTopic")
        try:
            arrival(demo)
            broken(demo)
            situations(demo)
        except StoppedError as stopped:
            demo.failures.append(str(stopped))
    for failure in demo.failures:
        say("✗", failure)
    if demo.failures:
        say("FAILED", f"the local cloud's log is {LOG}")
        return 1
    say("SUCCESS", "one execution for each upload, and a reason for everything else. Nothing is left running.")
    return 0


class StoppedError(Exception):
    """The story can't go on; the message says why."""


def arrival(demo: Demo) -> None:
    """Upload the file and follow it through to the Parquet."""
    text = green_trips(TRIPS, seed=1)
    say("Uploading", f"{KEY} ({len(text):,} bytes)")
    demo.put(KEY, text.encode())
    lines = list(demo.decisions(2))
    for line in lines:
        say("Event", f"{line['source']}, id {line['event_id']}")
        say("Decision", _said(line))
    arn = started(lines)
    # On a busy machine two cold starts may end in the same tenth of a second: then both say started, for one execution.
    said = [(line["message"] in {"started", "duplicate"}, line.get("execution_arn")) for line in lines]
    demo.expect("the native and the CloudTrail event", [(True, arn)] * 2, said)
    say("Execution", arn)
    demo.expect("the execution", "SUCCEEDED", follow(demo.stack, arn))
    runs = glue_runs(demo)
    for run in runs:
        say("Glue run", f"{run['Id'][:20]}… {run['JobRunState']} in {run['ExecutionTime']} s, on Spark")
        say("", f"{'':20}  {json.dumps(run['Arguments'], ensure_ascii=False)}")
    demo.expect("Glue runs", 1, len(runs))
    show(demo, KEY, text)
    told = list(demo.notifications())
    for subject, message in told:
        say("Notification", f"{subject}: {message}")
    demo.expect("notifications", 1, len(told))
    say("Input", "of the execution:")
    print(json.dumps(_input(demo.stack, arn), indent=2, ensure_ascii=False), flush=True)


def broken(demo: Demo) -> None:
    """Upload a file with a quote that is never closed: the run fails and says where, and the right file repairs it."""
    key = f"{PREFIX}green_tripdata_2024-01.csv"
    say("", "")
    say("Broken", f"{key}: a quote at the beginning of a value is never closed, and would hide all rows after it")
    header, first, *others = green_trips(TRIPS, seed=3).splitlines(keepends=True)
    demo.put(key, "".join([header, first, '"', *others]).encode())
    arn = started(list(demo.decisions(2)))
    demo.expect("the execution of the broken file", "FAILED", follow(demo.stack, arn))
    say("Glue run", glue_runs(demo)[0].get("ErrorMessage", "no error message"))
    told = list(demo.notifications())
    for _, message in told:
        detail = json.loads(message)["detail"]
        say("Failure topic", f"{detail['name']} {detail['status']}: {json.loads(detail['cause'])['ErrorMessage']}")
    demo.expect("the failure is told, with the key", True, any(key in message for _, message in told))  # noqa: FBT003
    demo.expect("Parquet of the broken file", 0, demo.parquet(key)["rows"])
    say("Repair", "the right file is uploaded under the same key: a new upload, so a new execution")
    text = green_trips(TRIPS, seed=3)
    demo.put(key, text.encode())
    again = started(list(demo.decisions(2)))
    demo.expect("another execution", True, again != arn)  # noqa: FBT003
    demo.expect("the repaired execution", "SUCCEEDED", follow(demo.stack, again))
    show(demo, key, text)
    list(demo.notifications())


def glue_runs(demo: Demo) -> list[dict[str, Any]]:
    """Return the job's runs, the latest first."""
    runs: list[dict[str, Any]] = demo.stack.client("glue").get_job_runs(JobName=JOB)["JobRuns"]
    return sorted(runs, key=lambda run: run["StartedOn"], reverse=True)


def started(lines: list[dict[str, Any]]) -> str:
    """Return the ARN of these decisions' execution; raise StoppedError if there is none."""
    for line in lines:
        if arn := line.get("execution_arn"):
            return str(arn)
    why = "; ".join(json.dumps(line, ensure_ascii=False) for line in lines) or "the function's log holds no decision"
    raise StoppedError(f"no execution started: {why}")


def show(demo: Demo, key: str, text: str) -> None:
    """Show the CSV and the Parquet that the job made of it."""
    header, *rows = csv.reader(io.StringIO(text))
    found = demo.parquet(key)
    say("Rows in", f"{len(rows):,}, of {len(header)} columns of text")
    say("Rows out", f"{found['rows']:,}, of {len(found['columns'])} typed columns")
    for name in found["keys"]:
        say("Parquet", f"s3://{demo.stack.outputs['SourceBucketName']}/{name}")
    say("Schema", ", ".join(f"{name} {kind}" for name, kind in found["columns"].items()))
    say("First lines", "  ".join(SHOWN))
    for line in found["first"]:
        say("", f"{'':20}  " + "  ".join(str(line[name]).rjust(len(name)) for name in SHOWN))
    demo.expect(f"rows of {key}", len(rows), found["rows"])


def situations(demo: Demo) -> None:
    """Try the situations that lose or double files elsewhere."""
    say("", "")
    say("What else", "arrives in real life:")
    for title, act, expected in SITUATIONS:
        act(demo)
        lines = list(demo.decisions(len(expected)))
        outcomes = sorted(_said(line).partition(" → ")[0] for line in lines)
        for line in lines:
            say(f"  {title}", f"{_said(line)} ({line['source']})" + (f": {line['why']}" if "why" in line else ""))
        demo.expect(title, sorted(expected), outcomes)
    explain_the_odd_key(demo)
    sfn, machine = demo.stack.client("stepfunctions"), demo.stack.outputs["StateMachineArn"]
    deadline = time.monotonic() + PATIENCE
    while (found := sfn.list_executions(stateMachineArn=machine)["executions"]) and time.monotonic() < deadline:
        if all(one["status"] != "RUNNING" for one in found):
            break
        time.sleep(0.2)
    say("  executions", f"{len(found)} in all, for 5 uploads worth one; only the broken file failed")
    demo.expect("executions", ["FAILED"] + ["SUCCEEDED"] * 4, sorted(one["status"] for one in found))
    keys = {_input(demo.stack, one["executionArn"])["SRC_PREFIX"] for one in found}
    demo.expect("the odd key, byte for byte", True, ODD_KEY in keys)  # noqa: FBT003
    demo.expect("the odd key's rows", 1, demo.parquet(ODD_KEY)["rows"])


def explain_the_odd_key(demo: Demo) -> None:
    """Explain why a quote in a key breaks nothing."""
    bucket = demo.stack.outputs["SourceBucketName"]
    say(
        "",
        f"{'':20}  EventBridge's input transformer inserts values as they are into its template: a quote in the key ends",
    )
    say(
        "",
        f"{'':20}  the string, and the workflow never starts. Here the function reads the event as JSON and writes its",
    )
    say(
        "",
        f"{'':20}  input as JSON, so the key arrives byte for byte, also at Spark: {target_path(bucket, TARGET, ODD_KEY)}",
    )


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
    """Try to upload without the permission: CloudTrail records that call as well."""
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
    ("hidden file", lambda demo: demo.put(f"{PREFIX}.DS_Store", b"x"), ["skipped, hidden_file"] * 2),
    ("quote, plus, emoji", lambda demo: demo.put(ODD_KEY, b"a,b\n1,2\n"), ["duplicate", "started"]),
    ("failed call", denied, ["skipped, failed_call"]),
]


def follow(deployed: Stack, arn: str) -> str:
    """Show each state of an execution when it begins, and return the final status."""
    sfn, shown = deployed.client("stepfunctions"), 0
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        status: str = sfn.describe_execution(executionArn=arn)["status"]
        events = sfn.get_execution_history(executionArn=arn)["events"]
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
    if "reason" in line:
        return f"{line['message']}, {line['reason']}"
    return f"{line['message']} → {line['execution_name']}" if "execution_name" in line else str(line["message"])


def _input(deployed: Stack, arn: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(deployed.client("stepfunctions").describe_execution(executionArn=arn)["input"])
    return read


if __name__ == "__main__":
    sys.exit(main())
