"""Each alarm and each metric of the dashboard watches what the services really emit."""

import json
import re
from typing import Any, NamedTuple

import pytest

from shared.gates import telemetry
from tests.docs.pages import read, rows
from tests.unit.resolved import PARAMETERS
from tools.template import deployed

# What the services emit, with the dimensions they emit it under; ours is the table of docs/observability.md.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
OURS = {name: cell.split(" · ") for name, _, cell, _ in rows(read("docs/observability.md"), "metric")}
SERVICE = "glueworkshop"
QUEUE, FUNCTION, MACHINE = "AWS::SQS::Queue", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"
# With region and account; the ARN of a definition, which has neither, would find no data and never alarm.
GLUE_RUNS = "arn:aws:states:us-east-2:123456789012:glue:startJobRun.sync"
# Namespace, dimensions, and whose: a resource of the stack of this type, or this text; the metrics.
EMITTED: dict[tuple[str, str, str], set[str]] = {
    ("AWS/SQS", "QueueName", QUEUE): {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ("AWS/Lambda", "FunctionName", FUNCTION): {"AsyncEventAge", "AsyncEventsDropped", "Errors", "Throttles"},
    ("AWS/States", "StateMachineArn", MACHINE): {
        "ExecutionThrottled",
        *(f"Executions{end}" for end in ("Aborted", "Failed", "Redriven", "Started", "Succeeded", "TimedOut")),
    },
    ("AWS/States", "ServiceIntegrationResourceArn", GLUE_RUNS): {
        f"ServiceIntegrations{end}" for end in ("Failed", "Scheduled", "Started", "Succeeded")
    },
    **{
        (telemetry.NAMESPACE, dimensions, SERVICE): {name for name, known in OURS.items() if dimensions in known}
        for dimensions in ("service", "service, reason", "service, route")
    },
}
RESOURCES = deployed(NoArrivalHours=24)["Resources"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
WIDGETS = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
SEARCH = re.compile(r"^SEARCH\('\{(\w+),([\w,]+)\} MetricName=\"(\w+)\" service=\"(\w+)\"', '(\w+)', 300\)$")


class Watched(NamedTuple):
    """A metric that an alarm or a widget of the dashboard watches."""

    by: str
    metric: str
    statistic: str
    of: tuple[str, str, str]


def whose(value: str) -> str:
    name = value.rpartition(":")[2].split(".")[0]
    return str(RESOURCES[name]["Type"]) if name in RESOURCES else value


def drawn(properties: dict[str, Any], row: list[Any]) -> Watched:
    """Read a row of a widget."""
    *words, more = row if isinstance(row[-1], dict) else [*row, {}]
    if words:
        namespace, metric, dimensions, value = words
        statistic = more.get("stat", properties["stat"])
    else:
        found = SEARCH.search(more["expression"])
        assert found, more
        namespace, dimensions, metric, value, statistic = found.groups()
    return Watched(properties["title"], metric, statistic, (namespace, dimensions.replace(",", ", "), whose(value)))


WATCHED = [
    *(
        Watched(name, one["MetricName"], one["Statistic"], (one["Namespace"], each["Name"], whose(each["Value"])))
        for name, one in ALARMS.items()
        for each in one["Dimensions"]
    ),
    *(drawn(one["properties"], row) for one in WIDGETS for row in one["properties"].get("metrics", [])),
]


def test_what_is_watched_is_emitted() -> None:
    """A misspelt metric, or one of something else, would never alarm; one of ours that nobody sees needs no writing."""
    assert [] == [one for one in WATCHED if one.metric not in EMITTED.get(one.of, ())]
    assert OURS.keys() == {one.metric for one in WATCHED if one.of[0] == telemetry.NAMESPACE}


def test_an_age_and_a_number_of_messages_are_never_added_up() -> None:
    """All else is; a latency is shown by its percentiles."""
    gauge = re.compile(r"^Approximate|Age$|^Overdue$")

    assert {("ArrivalLatency", "p50"), ("ArrivalLatency", "p99")} == {
        (one.metric, one.statistic)
        for one in WATCHED
        if one.statistic != ("Maximum" if gauge.search(one.metric) else "Sum")
    }


@pytest.mark.parametrize("hours", [0, 1])
def test_the_dashboard_shows_every_alarm(hours: int) -> None:
    resources = deployed(NoArrivalHours=hours)["Resources"]
    widgets = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    [shown] = [one["properties"]["alarms"] for one in widgets if one["type"] == "alarm"]

    made = {name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert made == {arn.removesuffix(".Arn") for arn in shown}


def test_every_alarm_has_its_runbook_section() -> None:
    """And every section its alarm; the description says where to look."""
    sections = re.findall(r"^## (\w+Alarm)$", read("docs/runbook.md"), re.MULTILINE)

    assert sorted(sections) == sorted(ALARMS)
    assert {name: f"docs/runbook.md#{name.lower()}" for name in ALARMS} == {
        name: one["AlarmDescription"].split()[-1] for name, one in ALARMS.items()
    }


def test_a_storm_is_no_incident_and_silence_is_one_in_time() -> None:
    """100,000 files wait 13 minutes at 20 environments, and Glue refuses them until their turn."""
    minutes = ALARMS["EventAgeAlarm"]["Threshold"] / 60_000
    lost = RESOURCES["StartExecutionFunction"]["Properties"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"] / 60

    assert not {one["MetricName"] for one in ALARMS.values()} & {"Throttles", "ServiceIntegrationsFailed"}
    assert 2 * 13 < minutes < lost / 2, "EventAgeAlarm"
    # CloudWatch looks back for seven days at most.
    assert PARAMETERS["NoArrivalHours"]["MaxValue"] * ALARMS["NoArrivalAlarm"]["Period"] == 7 * 86_400, "seconds"


def test_saved_queries_look_for_words_that_are_logged() -> None:
    """Another word would find nothing; each is in one order."""
    texts = [one["Properties"].get("QueryString", "") for one in RESOURCES.values()]
    logged = re.findall(r'logger\.\w+\("(\w+)"', read("src/shared/gates/telemetry.py"))
    words = re.findall(r'message = "(\w+)"', "\n".join(texts))

    assert words
    assert set() == {*words} - {*logged}
    assert ["@timestamp", "skips desc", "latency_ms desc", "@timestamp"] == re.findall(
        r"\| sort (.+)", "\n".join(texts)
    )
