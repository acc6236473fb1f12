"""A deployed stack, and what tests do with it: through AWS APIs only, on the local cloud or in an account."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.emulator.process import REPOSITORY
from local.stack import Stack
from tests import waiting
from tests.integration.account import OURS

PREFIX = OURS[0]
# Seconds of a window, on the stack that has some.
SECONDS = 2
DECISIONS = {"started", "duplicate", "coalesced", "waiting", "skipped", "failed"}
# What each execution was started with: an input never changes.
VALUES: dict[str, str] = {}


@dataclass
class Pace:
    """How long things take, in seconds: to wait for what must happen and what must not, to look again, to settle."""

    patience: float = 60
    quiet: float = 1
    pause: float = 0.2
    # What AWS takes to apply a changed permission or rule everywhere.
    settle: float = 0
    # What an archive lags behind.
    archive: float = 0
    # Files that a backfill has to find, and the batches that they make: several where files cost nothing.
    many: int = 80
    batches: int = 2


PACE = Pace()


def until(holds: Callable[[], object]) -> None:
    waiting.until(holds, PACE.patience, PACE.pause)


def settle() -> None:
    time.sleep(PACE.settle)


@dataclass(frozen=True)
class Arrivals:
    stack: Stack

    @property
    def bucket(self) -> str:
        return self.stack.outputs["SourceBucketName"]

    @property
    def machine(self) -> str:
        return self.stack.outputs["StateMachineArn"]

    def client(self, service: str) -> Any:
        return self.stack.client(service)

    # ---- Uploads, and what is decided on them ----

    def put(self, key: str, content: bytes = b"a,b\n1,2\n", run_seconds: float | None = None) -> dict[str, Any]:
        """Upload an object, and say how long its emulated Glue run takes if that matters."""
        metadata = {"run-seconds": str(run_seconds)} if run_seconds else {}
        return dict(self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content, Metadata=metadata))

    def put_in_parts(self, key: str) -> None:
        s3, where = self.client("s3"), {"Bucket": self.bucket, "Key": key}
        upload = s3.create_multipart_upload(**where)["UploadId"]
        part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"a,b\n1,2\n")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)

    def decided(self, wanted: Mapping[str, list[str]], quiet: float | None = None) -> dict[str, list[str]]:
        """Wait for as many decisions on each key, and a moment for one too many; give them as words."""
        until(lambda: all(len(lines) >= len(wanted[key]) for key, lines in self.logs(wanted).items()))
        time.sleep(PACE.quiet if quiet is None else quiet)
        return {
            key: sorted(f"{line['message']} {line.get('reason', '')}".strip() for line in lines)
            for key, lines in self.logs(wanted).items()
        }

    def log(self, key: str) -> list[dict[str, Any]]:
        return self.logs([key])[key]

    def logs(self, keys: Mapping[str, object] | list[str]) -> dict[str, list[dict[str, Any]]]:
        lines = [line for line in self.lines() if line.get("message") in DECISIONS]
        return {key: [line for line in lines if line.get("key") == key] for key in keys}

    def lines(self) -> list[dict[str, Any]]:
        group = f"/aws/lambda/{self.stack.name}-start-execution"
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(message) for message in messages if message.startswith("{")]

    def invoke(self, event: object) -> Any:
        function = self.stack.outputs["StartExecutionFunctionName"]
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read())

    def native_event(self, key: str, version_id: str | None = None) -> dict[str, Any]:
        found = {"key": key} | ({"version-id": version_id} if version_id else {})
        event: dict[str, Any] = json.loads((REPOSITORY / "events" / "object-created-put.json").read_text())
        detail = {"bucket": {"name": self.bucket}, "object": found, "reason": "PutObject"}
        return event | {"id": str(uuid.uuid4()), "account": self.machine.split(":")[4], "detail": detail}

    # ---- What is taken from the stack for a while ----

    @contextmanager
    def denied(self, function: str, action: str, resource: str = "*") -> Iterator[None]:
        iam, role = self.client("iam"), self.stack.physical_id(f"{function}Role")
        deny = {"Effect": "Deny", "Action": action, "Resource": resource}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
        iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=policy)
        settle()
        try:
            yield
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="deny")
            settle()

    @contextmanager
    def unannounced(self) -> Iterator[None]:
        events, rule = self.client("events"), f"{self.stack.name}-object-created"
        events.disable_rule(Name=rule)
        settle()
        try:
            yield
            # An event is on its way for a moment.
            time.sleep(0.3)
            settle()
        finally:
            events.enable_rule(Name=rule)

    # ---- Executions ----

    def executions(self, key: str) -> list[dict[str, Any]]:
        return self.described(self.machine, "SRC_PREFIX", key)

    def inputs(self, key: str) -> list[dict[str, Any]]:
        found = sorted(self.executions(key), key=lambda one: one["startDate"])
        return [json.loads(one["input"]) for one in found]

    def described(self, machine: str, name: str, value: str) -> list[dict[str, Any]]:
        sfn = self.client("stepfunctions")
        pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
        found = []
        for arn in [one["executionArn"] for page in pages for one in page["executions"]]:
            if VALUES.get(arn, value) == value:
                one = sfn.describe_execution(executionArn=arn)
                VALUES[arn] = json.loads(one["input"]).get(name, "")
                found += [one] if VALUES[arn] == value else []
        return found

    def until_ended(self, key: str, *statuses: str) -> None:
        found = list[str]()

        def as_wanted() -> bool:
            found[:] = sorted(one["status"] for one in self.executions(key))
            return found == list(statuses)

        until(as_wanted)

    def run(self, machine: str, request: object) -> dict[str, Any]:
        states = self.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]

        def seen() -> dict[str, Any]:
            return dict(states.describe_execution(executionArn=arn))

        def steps() -> object:
            runs = states.list_map_runs(executionArn=arn)["mapRuns"]
            done = [states.describe_map_run(mapRunArn=one["mapRunArn"])["executionCounts"] for one in runs]
            return states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"], done

        waiting.until(lambda: seen()["status"] != "RUNNING", PACE.patience, PACE.pause, steps)
        return seen()

    def backfill(self, **request: object) -> dict[str, Any]:
        ended = self.run(self.stack.outputs["BackfillStateMachineArn"], request)
        assert ended["status"] == "SUCCEEDED", ended
        return dict(json.loads(ended["output"]))

    # ---- The failure queue ----

    def failures(self) -> list[dict[str, Any]]:
        return self.received(self.stack.outputs["FailureQueueUrl"])

    def failure(self, count: int = 1) -> list[dict[str, Any]]:
        return self.received(self.stack.outputs["FailureQueueUrl"], count)

    def waits(self) -> tuple[int, int]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        asked = {"QueueUrl": self.stack.outputs["FailureQueueUrl"], "AttributeNames": names}
        found = self.client("sqs").get_queue_attributes(**asked)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def forget_failures(self) -> None:
        """Empty the failure queue, of what is hidden as well."""
        # AWS does so once a minute only.
        if self.stack.cloud.endpoint_url:
            self.client("sqs").purge_queue(QueueUrl=self.stack.outputs["FailureQueueUrl"])
        until(lambda: not self.failures() and self.waits() == (0, 0))

    def received(self, url: str, count: int = 0, about: str = "") -> list[dict[str, Any]]:
        """Wait for so many messages in a queue, take all that are there, and fail if it is more.

        Only those `about` a key count: an execution of a test before this one may end just now.
        """
        sqs, taken = self.client("sqs"), list[dict[str, Any]]()

        def look() -> bool:
            asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
            while found := sqs.receive_message(**asked).get("Messages"):
                for message in found:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.extend(message for message in found if about in message["Body"])
            return len(taken) >= count

        until(look)
        assert not count or count == len(taken), taken
        return taken

    # ---- Windows and sets ----

    def windows(self, folder: str) -> list[dict[str, Any]]:
        return self.described(self.stack.physical_id("WindowStateMachine"), "folder", folder)

    def until_settled(self, *folders: str) -> None:

        def all_ended() -> bool:
            found = [one for folder in folders for one in (*self.windows(folder), *self.executions(folder))]
            return bool(found) and all(one["status"] != "RUNNING" for one in found)

        until(all_ended)

    def manifest(self, given: Mapping[str, Any]) -> bytes:
        bucket, _, key = given["manifest"].removeprefix("s3://").partition("/")
        return bytes(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def gathered(self, folder: str) -> Counter[str]:
        manifests = [json.loads(self.manifest(one)) for one in self.inputs(folder)]
        return Counter(file["key"] for manifest in manifests for file in manifest["files"])
