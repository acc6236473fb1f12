"""What should have come: the deployed check called again and again, where a quarter of an hour is seconds."""

import json
import time
from datetime import UTC, datetime

import pytest

from local import stack as local_stack
from tests.integration.commands import data
from tests.integration.duty import DAY, PASSED
from tests.integration.stacks import Arrivals, until

pytestmark = pytest.mark.local_only("deploys a stack of its own")


def check(duty: Arrivals) -> list[str]:
    name = duty.stack.outputs["CheckExpectationsFunctionName"]
    answer = duty.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    assert "FunctionError" not in answer
    found: list[str] = json.loads(answer["Payload"].read())["overdue"]
    return sorted(found)


def incidents(duty: Arrivals) -> dict[str, str]:
    machine = duty.stack.outputs["OverdueStateMachineArn"]
    found = duty.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return {one["name"]: one["status"] for one in found}


def told(duty: Arrivals, inbox: str, count: int) -> dict[str, str]:
    mails = [json.loads(one["Body"]) for one in duty.received(inbox, count)]
    return {one["Subject"]: one["Message"] for one in mails}


def test_one_incident_one_message_and_one_more_when_it_has_come(duty: Arrivals) -> None:
    """However often it is checked; what is there, paused or not yet expected is never told; waived stays waived."""
    inbox = local_stack.subscribe_queue(duty.stack, "expecting-inbox", "AlarmTopic")
    duty.put(f"raw/there/{DAY}/a.csv")
    duty.put("raw/same/x/a.csv")
    duty.put(f"raw/two/{DAY}/a.csv")
    duty.put(f"raw/two/{DAY}/empty.csv", b"")
    duty.put(f"raw/late/{PASSED:%Y-%m-%d}/tomorrow.csv")
    late, never, two = overdue = [f"{name}-{PASSED:%Y%m%dT%H%M%SZ}" for name in ("late", "never", "two")]

    assert [overdue] * 3 == [check(duty) for _ in range(3)]
    assert dict.fromkeys(overdue, "RUNNING") == incidents(duty)
    missing = told(duty, inbox, 3)
    assert {f"Missing: {name}, data of {DAY}" for name in ("late", "never", "two")} == missing.keys()
    text = missing[f"Missing: late, data of {DAY}"]
    assert f"s3://{duty.bucket}/raw/late/{DAY}/{{file}}.csv" in text
    assert "{" not in text.replace("{file}", "")

    table = {one["route"]: one for one in data(duty, "expected")}
    assert {name: one["arrived"].split()[0] for name, one in table.items()} == {
        **dict.fromkeys(("late", "never", "two"), "MISSING"),
        **dict.fromkeys(("there", "same"), f"{datetime.now(UTC):%Y-%m-%d}"),
        "asleep": "paused:",
        "later": "not",
    }
    assert (DAY, f"{PASSED:%Y-%m-%d %H:%M} UTC") == (table["there"]["data_date"], table["there"]["deadline"])

    sfn = duty.client("stepfunctions")
    machine = duty.stack.outputs["OverdueStateMachineArn"].replace(":stateMachine:", ":execution:")
    sfn.stop_execution(executionArn=f"{machine}:{never}")
    duty.put(f"raw/late/{DAY}/a.csv")
    assert [never, two] == check(duty)
    until(lambda: incidents(duty)[late] == "SUCCEEDED")
    duty.put(f"raw/two/{DAY}/b.csv")
    until(lambda: incidents(duty)[two] == "SUCCEEDED")
    # Longer than a quarter of an hour.
    time.sleep(3)

    come = told(duty, inbox, 2)
    assert {f"Arrived: {name}, data of {DAY}" for name in ("late", "two")} == come.keys()
    assert all(" after the deadline" in one for one in come.values())
    # Waived, and still counted.
    assert [never] == check(duty)
    assert {late: "SUCCEEDED", never: "ABORTED", two: "SUCCEEDED"} == incidents(duty)
    assert json.loads(sfn.describe_execution(executionArn=f"{machine}:{late}")["output"])["arrived"] is True
