"""One emulator for all tests, emptied before each; everything goes through AWS APIs."""

import io
import json
import urllib.request
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
        """Return the boto3 client, as root unless credentials say otherwise."""
        return stack.client(self.emulator, service, **credentials)

    def role(self, *statements: dict[str, Any]) -> str:
        """Make a role that anyone may assume and return its ARN."""
        iam, name = self.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*", "Service": "*"}, "Action": "sts:AssumeRole"}
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy(*statements))
        arn: str = role["Role"]["Arn"]
        return arn

    def assume(self, role_arn: str) -> dict[str, str]:
        """Return the arguments of a client that acts with a role."""
        given = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="tester")["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def bucket(self, versioning: str | None = None) -> str:
        """Make a bucket that announces its objects."""
        name = f"bucket-{uuid.uuid4().hex[:8]}"
        stack.make_bucket(self.emulator, name)
        if versioning:
            self.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
        return name

    def queue(self, *, sender: str | None = None) -> tuple[str, str]:
        """Make a queue, for a service to send to, and return its URL and ARN."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if sender:
            statement = allow("sqs:SendMessage", arn) | {"Principal": {"Service": sender}}
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy(statement)})
        return url, arn

    def messages(self, url: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for that many messages and take them."""
        sqs, taken = self.client("sqs"), list[dict[str, Any]]()

        def look() -> bool:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
            taken.extend(answer.get("Messages", []))
            return len(taken) >= count

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
        lambda_ = self.client("lambda")
        created = lambda_.create_function(
            FunctionName=f"function-{uuid.uuid4().hex[:8]}",
            Runtime="python3.13",
            Handler="app.handler",
            Role=role_arn or self.role(),
            Code={"ZipFile": archive.getvalue()},
            **{"Timeout": 10, **options},
        )
        arn: str = created["FunctionArn"]
        return arn

    def invoke(self, function_arn: str, event: object = None) -> dict[str, Any]:
        """Invoke a function, wait, and return the answer with its payload decoded."""
        answer = self.client("lambda").invoke(FunctionName=function_arn, Payload=json.dumps(event).encode())
        return {**answer, "Payload": json.loads(answer["Payload"].read())}

    def log(self, group: str) -> list[str]:
        """Return the messages of a log group, or nothing while there is none."""
        logs = self.client("logs")
        try:
            events = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events]

    def machine(self, states: dict[str, Any], *statements: dict[str, Any], start: str | None = None) -> str:
        """Make a state machine that may do what the statements say, by default everything, and return its ARN."""
        definition = {"StartAt": start or next(iter(states)), "States": states}
        created = self.client("stepfunctions").create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn=self.role(*(statements or [allow("*", "*")])),
        )
        arn: str = created["stateMachineArn"]
        return arn

    def ended(self, execution_arn: str) -> dict[str, Any]:
        """Wait for the end of an execution and describe it."""
        states = self.client("stepfunctions")
        until(lambda: states.describe_execution(executionArn=execution_arn)["status"] != "RUNNING")
        described: dict[str, Any] = states.describe_execution(executionArn=execution_arn)
        return described

    def run(self, machine_arn: str, request: object = None) -> dict[str, Any]:
        """Start an execution and wait for its end."""
        started = self.client("stepfunctions").start_execution(stateMachineArn=machine_arn, input=json.dumps(request))
        return self.ended(started["executionArn"])


def allow(action: str | list[str], resource: str | list[str]) -> dict[str, Any]:
    """Make a statement of a policy."""
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def until(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until something holds, or fail."""
    waiting.until(holds, patience)


def policy(*statements: dict[str, Any]) -> str:
    """Write a policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture(scope="session")
def running() -> Iterator[process.Emulator]:
    """Run one emulator, quick where AWS is slow."""
    quick = {
        "CLOUDTRAIL_DELAY_SECONDS": "0",
        "GLUE_RUN_SECONDS": "0.15",
        "LAMBDA_ASYNC_RETRY_BASE_SECONDS": "0.05",
    }
    with process.start(log=Path(".local") / "emulator.log", settings=quick) as emulator:
        yield emulator


@pytest.fixture
def cloud(running: process.Emulator) -> Cloud:
    """Provide an empty cloud."""
    running.reset()
    return Cloud(running)


def post_form(form: dict[str, Any]) -> None:
    """Upload a file as a browser does."""
    boundary = uuid.uuid4().hex
    fields = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form["fields"].items()
    )
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--{boundary}--\r\n'
    request = urllib.request.Request(  # noqa: S310 - the loopback address
        form["url"],
        data=(fields + file).encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    with urllib.request.urlopen(request, timeout=QUIET * 10) as answer:  # noqa: S310 - likewise
        answer.read()
