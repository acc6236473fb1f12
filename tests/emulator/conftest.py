"""One emulator for all tests, emptied before each; everything goes through AWS APIs."""

import contextlib
import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import stack
from local.emulator import process
from tests import waiting

PATIENCE = 10
# Seconds to wait for what must not happen.
QUIET = 0.6


@dataclass(frozen=True)
class Cloud:
    """The running emulator, and how tests make things in it."""

    emulator: process.Emulator

    def client(self, service: str, **credentials: str) -> Any:
        return stack.client(self.emulator, service, **credentials)

    def role(self, *statements: dict[str, Any]) -> str:
        iam, name = self.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*", "Service": "*"}, "Action": "sts:AssumeRole"}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy(*statements))
        return str(role["Role"]["Arn"])

    def assume(self, role_arn: str) -> dict[str, str]:
        given = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="tester")["Credentials"]
        names = {
            "access_key_id": "AccessKeyId",
            "secret_access_key": "SecretAccessKey",
            "session_token": "SessionToken",
        }
        return {f"aws_{name}": given[theirs] for name, theirs in names.items()}

    def bucket(self, versioning: str | None = None) -> str:
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        stack.make_bucket(self.emulator, name)
        if versioning:
            self.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        return name

    def queue(self, *, sender: str | None = None) -> tuple[str, str]:
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if sender:
            statement = allow("sqs:SendMessage", arn) | {"Principal": {"Service": sender}}
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(statement)})
        return url, arn

    def messages(self, url: str) -> list[dict[str, Any]]:
        asked, taken = {"QueueUrl": url, "MessageAttributeNames": ["All"]}, list[dict[str, Any]]()

        def look() -> bool:
            taken.extend(self.client("sqs").receive_message(**asked).get("Messages", []))
            return bool(taken)

        until(look)
        return taken

    def listen(self, pattern: dict[str, Any], **target: Any) -> tuple[str, str]:
        """Send the events of a pattern to a queue, or to another target; return the queue's URL and the rule's ARN."""
        events, name = self.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
        url, arn = self.queue()
        rule_arn = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        events.put_targets(Rule=name, Targets=[{"Id": "target", "Arn": arn} | target])
        return url, rule_arn

    def function(self, code: str, role_arn: str | None = None, **options: Any) -> str:
        """Make a Python function whose handler is `handler` in the code, and return its ARN."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as written:
            written.writestr("app.py", code)
        given = {"Runtime": "python3.13", "Handler": "app.handler", "Role": role_arn or self.role(), "Timeout": 10}
        given |= {"FunctionName": f"function-{uuid.uuid4().hex[:8]}", "Code": {"ZipFile": archive.getvalue()}} | options
        return str(self.client("lambda").create_function(**given)["FunctionArn"])

    def invoke(self, function_arn: str, event: object = None) -> dict[str, Any]:
        answer = self.client("lambda").invoke(FunctionName=function_arn, Payload=json.dumps(event).encode())
        return {**answer, "Payload": json.loads(answer["Payload"].read())}

    def send(self, function_arn: str, event: object) -> None:
        payload = json.dumps(event).encode()
        self.client("lambda").invoke(FunctionName=function_arn, InvocationType="Event", Payload=payload)

    def log(self, group: str) -> list[str]:
        """Return the messages of a log group, or of a function's own."""
        logs, group = self.client("logs"), re.sub("^arn:.*:", "/aws/lambda/", group)
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
            return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        return []

    def machine(self, states: dict[str, Any], *statements: dict[str, Any]) -> str:
        """Make a state machine that may do what the statements say, by default everything, and return its ARN."""
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        given = {"name": f"machine-{uuid.uuid4().hex[:8]}", "roleArn": self.role(*(statements or [allow("*", "*")]))}
        created = self.client("stepfunctions").create_state_machine(**given, definition=definition)
        return str(created["stateMachineArn"])

    def ended(self, execution_arn: str) -> dict[str, Any]:
        states = self.client("stepfunctions")
        until(lambda: states.describe_execution(executionArn=execution_arn)["status"] != "RUNNING")
        return dict(states.describe_execution(executionArn=execution_arn))

    def run(self, machine_arn: str, request: object = None) -> dict[str, Any]:
        started = self.client("stepfunctions").start_execution(stateMachineArn=machine_arn, input=json.dumps(request))
        return self.ended(started["executionArn"])


def allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def until(holds: Callable[[], object]) -> None:
    waiting.until(holds, PATIENCE)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="session")
def running() -> Iterator[process.Emulator]:
    """Run one emulator, quick where AWS is slow."""
    quick = {"CLOUDTRAIL_DELAY_SECONDS": "0", "GLUE_RUN_SECONDS": "0.15", "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.05"}
    with process.start(log=Path(".local") / "emulator.log", settings=quick) as emulator:
        yield emulator


@pytest.fixture
def cloud(running: process.Emulator) -> Cloud:
    running.reset()
    return Cloud(running)
