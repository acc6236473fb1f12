"""The deployed template, through AWS APIs only: on the local cloud, or with `--stack NAME` in an account."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import stack as local_stack
from local.emulator import process
from local.stack import Stack
from tests import waiting
from tests.integration import account

PREFIX = account.OURS[0]


@dataclass
class Pace:
    """How long things take, in seconds: to wait for what must happen and for what must not, to look again, to settle."""

    patience: float = 60
    quiet: float = 1.5
    pause: float = 0.1
    # What AWS takes to apply a changed permission or rule everywhere.
    settle: float = 0
    # What an archive lags behind.
    archive: float = 0
    # Files that a backfill has to find, and the batches that they make: several where files cost nothing.
    many: int = 80
    batches: int = 2


PACE = Pace()
# What each execution was started with: an input never changes.
VALUES: dict[str, str] = {}
DECISIONS = {"started", "duplicate", "coalesced", "waiting", "skipped", "failed"}


@dataclass(frozen=True)
class Arrivals:
    """A deployed stack, and what tests do with it."""

    stack: Stack

    @property
    def bucket(self) -> str:
        """The source bucket."""
        return self.stack.outputs["SourceBucketName"]

    @property
    def machine(self) -> str:
        """The workflow."""
        return self.stack.outputs["StateMachineArn"]

    def client(self, service: str) -> Any:
        """Return the boto3 client for the local cloud."""
        return self.stack.client(service)

    def put(self, key: str, content: bytes = b"a,b\n1,2\n", run_seconds: float | None = None) -> dict[str, Any]:
        """Upload an object, and say how long its emulated Glue run takes if that matters."""
        metadata = {"run-seconds": str(run_seconds)} if run_seconds else {}
        answer: dict[str, Any] = self.client("s3").put_object(
            Bucket=self.bucket, Key=key, Body=content, Metadata=metadata
        )
        return answer

    def decided(self, key: str, count: int = 1, quiet: float | None = None) -> list[str]:
        """Wait for that many decisions on a key, and a moment for one too many; give them as words."""
        until(lambda: len(self.log(key)) >= count)
        time.sleep((PACE.quiet if count else 2 * PACE.quiet) if quiet is None else quiet)
        return sorted(
            f"{line['message']} {line['reason']}" if "reason" in line else line["message"] for line in self.log(key)
        )

    def log(self, key: str) -> list[dict[str, Any]]:
        """Read the function's decisions on a key."""
        return [line for line in self.lines() if line.get("key") == key and line.get("message") in DECISIONS]

    def lines(self) -> list[dict[str, Any]]:
        """Read all the JSON lines of the function's log: decisions, and metrics in Embedded Metric Format."""
        group = f"/aws/lambda/{self.stack.name}-start-execution"
        pages = self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        messages = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(message) for message in messages if message.startswith("{")]

    def can(self, role: str, action: str, resource: str) -> bool:
        """Return whether a role of the stack, by logical id, may do something, by the policies that were deployed."""
        return self.stack.can(role, action, resource)

    def executions(self, key: str) -> list[dict[str, Any]]:
        """Describe the executions of a key."""
        return self.described(self.machine, "SRC_PREFIX", key)

    def described(self, machine: str, name: str, value: str) -> list[dict[str, Any]]:
        """Describe the executions of a state machine whose input has that value; ask for each other one once only."""
        sfn = self.client("stepfunctions")
        pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
        found = []
        for arn in [one["executionArn"] for page in pages for one in page["executions"]]:
            if VALUES.get(arn, value) == value:
                one = sfn.describe_execution(executionArn=arn)
                VALUES[arn] = json.loads(one["input"])[name]
                found += [one] if VALUES[arn] == value else []
        return found

    def invoke(self, event: object) -> Any:
        """Invoke the function and give its answer, or its error."""
        function = self.stack.outputs["StartExecutionFunctionName"]
        answer = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
        return json.loads(answer["Payload"].read())

    def native_event(self, key: str, version_id: str | None = None) -> dict[str, Any]:
        """Make the native event of an object in the source bucket."""
        found = {"key": key} | ({"version-id": version_id} if version_id else {})
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": self.machine.split(":")[4],
            "time": "2026-11-24T05:20:03Z",
            "region": self.machine.split(":")[3],
            "resources": [],
            "detail": {"bucket": {"name": self.bucket}, "object": found, "reason": "PutObject"},
        }

    def failures(self) -> list[dict[str, Any]]:
        """Take all messages out of the failure queue."""
        sqs, url = self.client("sqs"), self.stack.outputs["FailureQueueUrl"]
        taken: list[dict[str, Any]] = []
        while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
            "Messages"
        ):
            for message in found:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            taken += found
        return taken

    def until_a_failure(self) -> None:
        """Wait until a message is in the failure queue, and leave it there."""
        sqs, url = self.client("sqs"), self.stack.outputs["FailureQueueUrl"]
        asked = ["ApproximateNumberOfMessages"]
        until(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"][asked[0]] != "0")

    def failure(self) -> dict[str, Any]:
        """Wait for the one message of the failure queue and take it."""
        taken: list[dict[str, Any]] = []

        def look() -> bool:
            taken.extend(self.failures())
            return bool(taken)

        until(look)
        [message] = taken
        return message

    def run(self, machine: str, request: object) -> dict[str, Any]:
        """Start an execution and wait for its end, as long as it goes on."""
        states = self.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=machine, input=json.dumps(request))["executionArn"]

        def ended() -> bool:
            return bool(states.describe_execution(executionArn=arn)["status"] != "RUNNING")

        def steps() -> object:
            """Return how far it came: its last event, and the batches that are done."""
            runs = states.list_map_runs(executionArn=arn)["mapRuns"]
            done = [states.describe_map_run(mapRunArn=one["mapRunArn"])["executionCounts"] for one in runs]
            return states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"], done

        waiting.until(ended, PACE.patience, PACE.pause, steps)
        described: dict[str, Any] = states.describe_execution(executionArn=arn)
        return described

    def backfill(self, **request: object) -> dict[str, Any]:
        """Run a backfill and give its report."""
        ended = self.run(self.stack.outputs["BackfillStateMachineArn"], request)
        assert ended["status"] == "SUCCEEDED", ended
        report: dict[str, Any] = json.loads(ended["output"])
        return report

    def batches(self) -> int:
        """Return how many batches the latest backfill had."""
        states = self.client("stepfunctions")
        machine = self.stack.outputs["BackfillStateMachineArn"]
        latest = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"][0]
        [run] = states.list_map_runs(executionArn=latest["executionArn"])["mapRuns"]
        counts: dict[str, int] = states.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"]
        return counts["total"]


def until(holds: Callable[[], object], patience: float | None = None) -> None:
    """Wait until something holds, or fail."""
    waiting.until(holds, patience or PACE.patience, PACE.pause)


def settle() -> None:
    """Let a changed permission or rule take effect; on the local cloud it has."""
    time.sleep(PACE.settle)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Choose an account's stack instead of the local cloud; see account.py."""
    parser.addoption("--stack", default="", help="a stack in your account, made for these tests: make e2e STACK=…")
    parser.addoption("--yes", action="store_true", help="do what the plan says")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a stack that is not made for this; say what will be done and cost, and ask."""
    if name := session.config.getoption("--stack"):
        account.confirm(Stack(name, account.Account(), {}), agreed=session.config.getoption("--yes"))
        vars(PACE).update(patience=1_200, quiet=30, pause=5, settle=60, archive=600, many=5, batches=1)
        if account.is_local():
            vars(PACE).update(vars(Pace()) | {"many": 5, "batches": 1})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the local cloud, with the reason."""
    if config.getoption("--stack"):
        for item in items:
            if mark := item.get_closest_marker("local_only"):
                item.add_marker(pytest.mark.skip(reason=f"needs the local cloud: {mark.args[0]}"))


@pytest.fixture(scope="session")
def cloud() -> Iterator[process.Emulator]:
    """Run one local cloud for all tests."""
    with process.start(log=Path(".local") / "integration.log") as running:
        yield running


@pytest.fixture(scope="session")
def arrivals(request: pytest.FixtureRequest) -> Iterator[Arrivals]:
    """Deploy the template that `sam build` made, with its defaults; or take the stack that was named, and clean up."""
    if name := request.config.getoption("--stack"):
        stack = account.open_stack(name)
        yield Arrivals(stack)
        print(f"\n{account.clean(stack)} objects and versions deleted; executions and log lines stay.")
    else:
        yield Arrivals(local_stack.deploy(request.getfixturevalue("cloud")))


@pytest.fixture(autouse=True)
def nothing_failed_before(arrivals: Arrivals) -> None:
    """Begin each test with an empty failure queue."""
    arrivals.failures()


@pytest.fixture
def key() -> str:
    """Provide a key of the test's own."""
    return f"{PREFIX}{uuid.uuid4().hex}/green_tripdata.csv"


@pytest.fixture
def trail(arrivals: Arrivals) -> Iterator[None]:
    """Log S3 data events while a test runs."""
    name = uuid.uuid4().hex
    local_stack.start_trail(arrivals.stack, name)
    yield
    arrivals.client("cloudtrail").delete_trail(Name=name)


@pytest.fixture(
    params=["native", pytest.param("cloudtrail", marks=pytest.mark.local_only("CloudTrail may take many minutes"))]
)
def source(request: pytest.FixtureRequest, arrivals: Arrivals) -> Iterator[str]:
    """Bring events by one of the two rules only, and name the source."""
    if request.param == "native":
        yield "native"
        return
    rule = f"{arrivals.stack.name}-object-created"
    request.getfixturevalue("trail")
    arrivals.client("events").disable_rule(Name=rule)
    settle()
    yield "cloudtrail"
    arrivals.client("events").enable_rule(Name=rule)
    settle()


@pytest.fixture
def inbox(arrivals: Arrivals) -> Iterator[str]:
    """Subscribe a queue of the test's own to the failure topic."""
    yield from _subscribed(arrivals, "FailureTopic", "inbox")


@pytest.fixture
def good_news(arrivals: Arrivals) -> Iterator[str]:
    """Subscribe a queue of the test's own to the success topic."""
    yield from _subscribed(arrivals, "SuccessTopic", "good-news")


def _subscribed(arrivals: Arrivals, logical_id: str, queue: str) -> Iterator[str]:
    name = f"{arrivals.stack.name}-{queue}"
    url = local_stack.subscribe_queue(arrivals.stack, name, logical_id)
    yield url
    sns, topic = arrivals.client("sns"), arrivals.stack.physical_id(logical_id)
    for one in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        if one["Endpoint"].endswith(f":{name}"):
            sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
    arrivals.client("sqs").delete_queue(QueueUrl=url)
