"""Each alarm and each metric of the dashboard watches what the services really emit."""

import json
import re
from typing import Any, NamedTuple

import pytest

from shared.gates import telemetry
from tests.unit.builders import REPOSITORY
from tests.unit.resolved import PARAMETERS
from tools.template import deployed

# What the services emit, with the dimensions they emit it under; ours is the table of docs/observability.md.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
OURS = re.findall(
    r"^\| (\w+) \| (?:Count|Milliseconds) \| ([^|]+) \|",
    (REPOSITORY / "docs" / "observability.md").read_text(),
    re.MULTILINE,
)
EMITTED: dict[tuple[str, str], set[str]] = {
    ("AWS/SQS", "QueueName"): {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ("AWS/Lambda", "FunctionName"): {"AsyncEventAge", "AsyncEventsDropped", "Errors", "Invocations", "Throttles"},
    ("AWS/States", "StateMachineArn"): {
        *(f"Executions{end}" for end in ("Aborted", "Failed", "Redriven", "Started", "Succeeded", "TimedOut")),
        *("ExecutionThrottled", "ExecutionTime"),
    },
    ("AWS/States", "ServiceIntegrationResourceArn"): {
        f"ServiceIntegrations{end}" for end in ("Failed", "Scheduled", "Started", "Succeeded")
    },
    **{
        (telemetry.NAMESPACE, dimensions): {name for name, cell in OURS if dimensions in cell.strip().split(" · ")}
        for dimensions in ("service", "service, reason", "service, route")
    },
}
# What a dimension names must be a resource of the stack of this type, or a text.
TYPES = {
    "QueueName": "AWS::SQS::Queue",
    "FunctionName": "AWS::Serverless::Function",
    "StateMachineArn": "AWS::Serverless::StateMachine",
}
# With region and account; the ARN of a definition, which has neither, would find no data and never alarm.
TEXTS = {
    "ServiceIntegrationResourceArn": "arn:aws:states:us-east-2:123456789012:glue:startJobRun.sync",
    "service": "glueworkshop",
}
RESOURCES = deployed(NoArrivalHours=24)["Resources"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
WIDGETS = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
SEARCH = re.compile(r"SEARCH\('\{(\w+),([\w,]+)\} MetricName=\"(\w+)\" service=\"(\w+)\"', '(\w+)', 300\)")


class Watched(NamedTuple):
    """A metric that an alarm or a widget of the dashboard watches."""

    by: str
    namespace: str
    metric: str
    dimensions: str
    value: str
    statistic: str


def drawn(widget: dict[str, Any], row: list[Any]) -> Watched:
    """Read a row of a widget."""
    properties = widget["properties"]
    *words, more = row if isinstance(row[-1], dict) else [*row, {}]
    if words:
        namespace, metric, dimension, value = words
        return Watched(properties["title"], namespace, metric, dimension, value, more.get("stat", properties["stat"]))
    search = SEARCH.fullmatch(more["expression"])
    assert search, more
    namespace, dimensions, metric, value, statistic = search.groups()
    return Watched(properties["title"], namespace, metric, dimensions.replace(",", ", "), value, statistic)


WATCHED = [
    *(
        Watched(name, one["Namespace"], one["MetricName"], dimension["Name"], dimension["Value"], one["Statistic"])
        for name, one in ALARMS.items()
        for dimension in one["Dimensions"]
    ),
    *(drawn(widget, row) for widget in WIDGETS for row in widget["properties"].get("metrics", [])),
]


def test_what_is_watched_is_emitted() -> None:
    """A misspelt metric would never alarm."""
    assert [] == [one for one in WATCHED if one.metric not in EMITTED.get((one.namespace, one.dimensions), ())]


def test_every_metric_of_ours_is_watched() -> None:
    """One that nobody sees needs not be written."""
    assert {name for name, _ in OURS} == {one.metric for one in WATCHED if one.namespace == telemetry.NAMESPACE}


def test_what_is_watched_is_the_stacks() -> None:
    """A resource of it by its own dimension, or its name."""
    for one in WATCHED:
        dimension = one.dimensions.split(", ")[0]
        if dimension in TEXTS:
            assert TEXTS[dimension] == one.value, one
        else:
            name = one.value.rpartition(":")[2].split(".")[0]
            assert TYPES[dimension] == RESOURCES[name]["Type"], one


def test_an_age_and_a_number_of_messages_are_never_added_up() -> None:
    """All else is; a latency is shown by its percentiles."""
    gauges = {name for names in EMITTED.values() for name in names if re.search(r"^Approximate|Age$|^Overdue$", name)}

    assert {"ArrivalLatency": {"p50", "p99"}} == {
        one.metric: {other.statistic for other in WATCHED if other.metric == one.metric}
        for one in WATCHED
        if one.statistic != ("Maximum" if one.metric in gauges else "Sum")
    }


@pytest.mark.parametrize("hours", [0, 1])
def test_the_dashboard_shows_every_alarm(hours: int) -> None:
    """Every alarm that the stack has, and no other."""
    resources = deployed(NoArrivalHours=hours)["Resources"]
    widgets = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    [shown] = [one["properties"]["alarms"] for one in widgets if one["type"] == "alarm"]

    made = {name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert made == {arn.removesuffix(".Arn") for arn in shown}


def test_every_alarm_has_its_runbook_section() -> None:
    """And every section its alarm; the description says where to look."""
    sections = re.findall(r"^## (\w+Alarm)$", (REPOSITORY / "docs" / "runbook.md").read_text(), re.MULTILINE)

    assert sorted(sections) == sorted(ALARMS)
    for name, alarm in ALARMS.items():
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#{name.lower()}")


def test_silence_is_watched_within_cloudwatchs_limit() -> None:
    """Periods of an hour may look back for seven days."""
    assert PARAMETERS["NoArrivalHours"]["MaxValue"] * ALARMS["NoArrivalAlarm"]["Period"] == 7 * 86_400


def test_a_storm_is_no_incident() -> None:
    """100,000 files wait 13 minutes at 20 environments, and Glue refuses them until their turn; a loss is told in time."""
    minutes = ALARMS["EventAgeAlarm"]["Threshold"] / 60_000
    lost = RESOURCES["StartExecutionFunction"]["Properties"]["EventInvokeConfig"]["MaximumEventAgeInSeconds"] / 60

    assert not {one["MetricName"] for one in ALARMS.values()} & {"Throttles", "ServiceIntegrationsFailed"}
    assert 2 * 13 < minutes < lost / 2


def test_saved_queries_look_for_words_that_are_logged() -> None:
    """Another word would find nothing; each is in one order."""
    source = (REPOSITORY / "src" / "shared" / "gates" / "telemetry.py").read_text()
    queries = [one["Properties"] for one in RESOURCES.values() if one["Type"] == "AWS::Logs::QueryDefinition"]
    words = {word for one in queries for word in re.findall(r'message = "(\w+)"', one["QueryString"])}

    assert words
    assert words <= set(re.findall(r'logger\.\w+\("(\w+)"', source))
    assert ["@timestamp", "@timestamp", "latency_ms desc", "skips desc"] == sorted(
        order for one in queries for order in re.findall(r"\| sort (.+)", one["QueryString"])
    )
