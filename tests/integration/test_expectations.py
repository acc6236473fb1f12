"""What should have come: the deployed check called again and again, on a local cloud whose quarter of an hour is seconds."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from artifact.route_files import packed_module, read_routes
from local import stack as local_stack
from local.emulator import process
from tests.integration.conftest import Arrivals, until
from tools.deployed import read_deployed
from tools.expected import ask

pytestmark = pytest.mark.local_only("deploys a stack of its own")

# A deadline of a moment ago, and of the same moment a day before.
PASSED = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
BY = f"{PASSED.minute} {PASSED.hour} * * *"
DAY = (PASSED - timedelta(days=1)).strftime("%Y-%m-%d")
ROUTE = 'job_name = "expecting-jb"\ntarget = "curated/{name}"\nmatch = "raw/{name}/{{dt}}/{{file}}.csv"\n'
EXPECT = f'[expect]\ncaptures = {{ dt = "%Y-%m-%d" }}\nby = "{BY}"\nlag = "P1D"\n'
ROUTES = {
    "late": EXPECT,
    "there": EXPECT,
    "two": EXPECT + "at_least = 2\n",
    "asleep": "paused = true\n" + EXPECT,
    "same": f'[expect]\nby = "{BY}"\n',
    "later": EXPECT + f"since = {datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}\n",
    "never": EXPECT,
}


class Expecting(Arrivals):
    """A stack with expectations."""

    def check(self) -> list[str]:
        """Call the deployed check, as the schedule does, and give the names of what is overdue."""
        name = self.stack.outputs["CheckExpectationsFunctionName"]
        answer = self.client("lambda").invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer
        found: dict[str, list[str]] = json.loads(answer["Payload"].read())
        return found["overdue"]

    def incidents(self) -> dict[str, str]:
        """Give name and status of all incidents."""
        found = self.client("stepfunctions").list_executions(stateMachineArn=self.overdue)["executions"]
        return {one["name"]: one["status"] for one in found}

    @property
    def overdue(self) -> str:
        """The machine of the incidents."""
        return self.stack.outputs["OverdueStateMachineArn"]

    def told(self, inbox: str) -> list[dict[str, Any]]:
        """Take the messages that the alarm topic sent."""
        taken = []
        while found := self.client("sqs").receive_message(QueueUrl=inbox, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                self.client("sqs").delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
                taken.append(json.loads(message["Body"]))
        return taken


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the route files."""
    made = tmp_path_factory.mktemp("routes")
    for name, text in ROUTES.items():
        (made / f"{name}.toml").write_text(ROUTE.format(name=name) + text)
    return made


@pytest.fixture(scope="module")
def expecting(folder: Path) -> Iterator[Expecting]:
    """Deploy a stack to a local cloud of its own, where a quarter of an hour takes 4.5 seconds."""
    with process.start(log=Path(".local") / "expectations.log", settings={"SFN_WAIT_SCALE": "0.005"}) as cloud:
        parameters = {"SourcePrefix": "raw/", "JobName": "expecting-jb"}
        yield Expecting(local_stack.deploy(cloud, "expecting", parameters, routes=packed_module(read_routes(folder))))


@pytest.fixture(autouse=True)
def nothing_failed_before() -> None:
    """Need no other stack."""


def incident(route: str) -> str:
    """Name the incident of a route."""
    return f"{route}-{PASSED:%Y%m%dT%H%M%SZ}"


def test_one_incident_one_message_and_one_more_when_it_has_come(
    expecting: Expecting, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is checked; what is there, paused or not yet expected is never told; a waived one stays waived."""
    inbox = local_stack.subscribe_queue(expecting.stack, "expecting-inbox", "AlarmTopic")
    expecting.put(f"raw/there/{DAY}/a.csv")
    expecting.put("raw/same/x/a.csv")
    expecting.put(f"raw/two/{DAY}/a.csv")
    expecting.put(f"raw/two/{DAY}/empty.csv", b"")
    expecting.put(f"raw/late/{PASSED:%Y-%m-%d}/tomorrow.csv")
    overdue = [incident(name) for name in ("late", "never", "two")]

    for _ in range(4):
        assert overdue == sorted(expecting.check())
    assert dict.fromkeys(overdue, "RUNNING") == expecting.incidents()
    until(
        lambda: (
            expecting.client("sqs").get_queue_attributes(
                QueueUrl=inbox, AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]["ApproximateNumberOfMessages"]
            == "3"
        )
    )
    missing = {one["Subject"]: one["Message"] for one in expecting.told(inbox)}
    assert {f"Missing: {name}, data of {DAY}" for name in ("late", "never", "two")} == missing.keys()
    text = missing[f"Missing: late, data of {DAY}"]
    assert f"s3://{expecting.bucket}/raw/late/{DAY}/{{file}}.csv" in text
    assert "{" not in text.replace("{file}", "")

    cloud: Any = SimpleNamespace(client=expecting.client, stack=expecting.stack.name)
    table = {one.route: one for one in ask(cloud, read_deployed(cloud))}
    assert ROUTES.keys() == table.keys()
    assert {name: one[3].split()[0] for name, one in table.items()} == {
        **dict.fromkeys(("late", "never", "two"), "MISSING"),
        **dict.fromkeys(("there", "same"), f"{datetime.now(UTC):%Y-%m-%d}"),
        "asleep": "paused:",
        "later": "not",
    }
    assert ("there", DAY, f"{PASSED:%Y-%m-%d %H:%M} UTC") == table["there"][:3]

    sfn = expecting.client("stepfunctions")
    arn = f"{expecting.overdue.replace(':stateMachine:', ':execution:')}:{incident('never')}"
    sfn.stop_execution(executionArn=arn)
    expecting.put(f"raw/late/{DAY}/a.csv")
    assert [incident("never"), incident("two")] == sorted(expecting.check())
    until(lambda: expecting.incidents()[incident("late")] == "SUCCEEDED")
    expecting.put(f"raw/two/{DAY}/b.csv")
    until(lambda: expecting.incidents()[incident("two")] == "SUCCEEDED")
    time.sleep(6)

    come = {one["Subject"]: one["Message"] for one in expecting.told(inbox)}
    assert {f"Arrived: {name}, data of {DAY}" for name in ("late", "two")} == come.keys()
    assert all(" after the deadline" in one for one in come.values())
    # Waived, and still counted.
    assert [incident("never")] == expecting.check()
    assert {"late": "SUCCEEDED", "never": "ABORTED", "two": "SUCCEEDED"} == {
        name.split("-")[0]: status for name, status in expecting.incidents().items()
    }
    ended = sfn.describe_execution(executionArn=arn.replace("never", "late"))
    assert json.loads(ended["output"])["arrived"] is True


def test_the_check_may_list_what_it_must_and_no_more(expecting: Expecting) -> None:
    """By the policies that were deployed."""
    bucket = f"arn:aws:s3:::{expecting.bucket}"

    assert not expecting.can("CheckExpectationsFunctionRole", "s3:GetObject", f"{bucket}/raw/late/a.csv")
    assert expecting.can("CheckExpectationsFunctionRole", "states:StartExecution", expecting.overdue)
    assert not expecting.can("LookAgainFunctionRole", "states:StartExecution", expecting.overdue)
