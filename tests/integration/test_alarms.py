"""Every alarm of the deployed stack goes off when its metric does."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local import stack as local_stack
from local.emulator import process
from tests.integration.conftest import Arrivals, until

FED = [
    "FailureQueueAlarm",
    "FunctionErrorsAlarm",
    "EventAgeAlarm",
    "ExecutionsFailedAlarm",
    "ExecutionsTimedOutAlarm",
    "ExecutionsAbortedAlarm",
    "BackfilledAlarm",
    "BackfillFailedAlarm",
]


@pytest.fixture(scope="module")
def watched(cloud: process.Emulator) -> Arrivals:
    """Deploy a stack of its own, which expects arrivals and has somebody to tell."""
    parameters = {"NoArrivalHours": "24", "AlarmEmail": "on-call@example.com", "JobName": "watched-jb"}
    return Arrivals(local_stack.deploy(cloud, "watched", parameters))


def alarm_of(watched: Arrivals, logical_id: str) -> dict[str, Any]:
    """Describe an alarm by its logical id."""
    name = watched.stack.physical_id(logical_id)
    [alarm] = watched.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    described: dict[str, Any] = alarm
    return described


@pytest.mark.parametrize("logical_id", FED)
def test_an_alarm_goes_off_when_its_metric_does(watched: Arrivals, logical_id: str) -> None:
    """Fed one value beyond its threshold, it is in ALARM and tells the topic."""
    alarm = alarm_of(watched, logical_id)
    datum = {
        "MetricName": alarm["MetricName"],
        "Dimensions": alarm["Dimensions"],
        "Timestamp": datetime.now(UTC),
        "Value": alarm["Threshold"] + 1,
    }
    watched.client("cloudwatch").put_metric_data(Namespace=alarm["Namespace"], MetricData=[datum])

    until(lambda: alarm_of(watched, logical_id)["StateValue"] == "ALARM", patience=30)
    assert 1 == len(alarm["AlarmActions"])


def test_silence_is_an_alarm_too(watched: Arrivals) -> None:
    """Without an arrival for NoArrivalHours the missing data breaches."""
    alarm = alarm_of(watched, "NoArrivalAlarm")

    assert ("breaching", 24, 3600) == (alarm["TreatMissingData"], alarm["EvaluationPeriods"], alarm["Period"])
    until(lambda: alarm_of(watched, "NoArrivalAlarm")["StateValue"] == "ALARM", patience=30)


def test_dashboard_and_queries_are_there(watched: Arrivals) -> None:
    """One click away, under the stack's name."""
    queries = watched.client("logs").describe_query_definitions()["queryDefinitions"]
    mine = [one["name"] for one in queries if one["name"].startswith("watched/")]

    assert "watched" == watched.client("cloudwatch").get_dashboard(DashboardName="watched")["DashboardName"]
    assert 4 == len(mine)
    assert watched.stack.outputs["DashboardUrl"].endswith("dashboard/watched")
