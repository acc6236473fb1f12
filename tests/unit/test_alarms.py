"""Each alarm and each metric of the dashboard watches what the services really emit."""

import json
from typing import Any

import pytest

from local.template import deployed
from shared.gates import telemetry

WORKFLOW = "arn:aws:states:us-east-2:123456789012:stateMachine:Workflow.Name"
BACKFILL = "BackfillStateMachine"
FUNCTION = {"FunctionName": "StartExecutionFunction"}
SERVICE = {"service": "glueworkshop"}

# Logical id: namespace, metric, dimensions, statistic, rings when, seconds a period, periods (where not all of them have
# to ring: "how many of them"). All that there are.
ALARMS: dict[str, tuple[object, ...]] = {
    "FailureQueueAlarm": (
        *("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "FailureQueue.QueueName"}),
        *("Maximum", "> 0", 60, 1),
    ),
    "FunctionErrorsAlarm": ("AWS/Lambda", "Errors", FUNCTION, "Sum", "> 0", 300, 1),
    # An hour; the metric is in milliseconds.
    "EventAgeAlarm": ("AWS/Lambda", "AsyncEventAge", FUNCTION, "Maximum", "> 3600000", 300, 1),
    "ExecutionsFailedAlarm": ("AWS/States", "ExecutionsFailed", {"StateMachineArn": WORKFLOW}, "Sum", "> 0", 300, 1),
    "ExecutionsTimedOutAlarm": (
        *("AWS/States", "ExecutionsTimedOut", {"StateMachineArn": WORKFLOW}),
        *("Sum", "> 0", 300, 1),
    ),
    "ExecutionsAbortedAlarm": ("AWS/States", "ExecutionsAborted", {"StateMachineArn": WORKFLOW}, "Sum", "> 0", 300, 1),
    # An hour of it: a storm is no incident.
    "ExecutionsThrottledAlarm": (
        *("AWS/States", "ExecutionThrottled", {"StateMachineArn": WORKFLOW}),
        *("Sum", "> 0", 300, 12),
    ),
    "BackfilledAlarm": (telemetry.NAMESPACE, "Backfilled", SERVICE, "Sum", "> 0", 3600, 1),
    "UnreachableRoutesAlarm": (telemetry.NAMESPACE, "UnreachableRoutes", SERVICE, "Sum", "> 0", 3600, 1),
    "BackfillFailedAlarm": ("AWS/States", "ExecutionsFailed", {"StateMachineArn": BACKFILL}, "Sum", "> 0", 300, 1),
    "WindowFailedAlarm": (
        *("AWS/States", "ExecutionsFailed", {"StateMachineArn": "WindowStateMachine"}),
        *("Sum", "> 0", 300, 1),
    ),
    # Three of the last six: one try that fails is none.
    "WindowStuckAlarm": (
        *("AWS/Lambda", "Errors", {"FunctionName": "CollectWindowFunction"}),
        *("Sum", "> 0", 300, "3 of 6"),
    ),
    "NoArrivalAlarm": (telemetry.NAMESPACE, "Received", SERVICE, "Sum", "< 1", 3600, 24),
}

# What the services emit, with the dimensions they emit it under.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
EMITTED = {
    ("AWS/SQS", "QueueName"): {
        *("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesNotVisible"),
        *("ApproximateNumberOfMessagesVisible", "NumberOfMessagesDeleted", "NumberOfMessagesSent"),
    },
    ("AWS/Lambda", "FunctionName"): {
        *("AsyncEventAge", "AsyncEventsDropped", "AsyncEventsReceived", "ConcurrentExecutions"),
        *("DestinationDeliveryFailures", "Duration", "Errors", "Invocations", "Throttles"),
    },
    ("AWS/States", "StateMachineArn"): {
        *("ExecutionThrottled", "ExecutionTime", "ExecutionsAborted", "ExecutionsFailed", "ExecutionsRedriven"),
        *("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsTimedOut"),
    },
    ("AWS/States", "ServiceIntegrationResourceArn"): {
        *("ServiceIntegrationRunTime", "ServiceIntegrationTime", "ServiceIntegrationsFailed"),
        *("ServiceIntegrationsScheduled", "ServiceIntegrationsStarted", "ServiceIntegrationsSucceeded"),
    },
    ("AWS/Events", "RuleName"): {
        *("DeadLetterInvocations", "FailedInvocations", "Invocations", "InvocationsFailedToBeSentToDlq"),
        *("InvocationsSentToDlq", "MatchedEvents", "ThrottledRules", "TriggeredRules"),
    },
}
# What a dimension names must be a resource of the stack of this type, by its `Ref` or an attribute.
TYPES = {"QueueName": "SQS::Queue", "FunctionName": "Function", "StateMachineArn": "StateMachine", "RuleName": ""}

RESOURCES = deployed(NoArrivalHours=24)["Resources"]
COMPARED = {"GreaterThanThreshold": ">", "LessThanThreshold": "<"}


def alarms() -> dict[str, dict[str, Any]]:
    """Return the alarms of a stack that has all of them."""
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def watched(alarm: dict[str, Any]) -> tuple[object, ...]:
    """Return what an alarm watches, as the table has it."""
    periods = int(alarm["EvaluationPeriods"])
    return (
        alarm["Namespace"],
        alarm["MetricName"],
        {one["Name"]: one["Value"] for one in alarm["Dimensions"]},
        alarm["Statistic"],
        f"{COMPARED[alarm['ComparisonOperator']]} {alarm['Threshold']}",
        int(alarm["Period"]),
        f"{alarm['DatapointsToAlarm']} of {periods}" if "DatapointsToAlarm" in alarm else periods,
    )


def shown() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return namespace, metric and dimensions (names and values in turn) of what the dashboard draws."""
    widgets = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    rows = [
        [part for part in row if isinstance(part, str)]
        for widget in widgets
        for row in widget["properties"].get("metrics", [])
    ]
    return [(namespace, metric, tuple(dimensions)) for namespace, metric, *dimensions in filter(None, rows)]


def test_every_alarm_is_in_the_table() -> None:
    """And every row has its alarm."""
    assert ALARMS.keys() == alarms().keys()


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_what_it_says(name: str) -> None:
    """Metric, dimensions with their values, statistic, threshold and period."""
    assert ALARMS[name] == watched(alarms()[name])


@pytest.mark.parametrize("name", [name for name, row in ALARMS.items() if row[0] != telemetry.NAMESPACE])
def test_an_alarm_watches_what_a_service_emits(name: str) -> None:
    """A metric that nobody emits would never ring."""
    alarm = alarms()[name]
    [dimension] = alarm["Dimensions"]

    assert alarm["MetricName"] in EMITTED[alarm["Namespace"], dimension["Name"]]


@pytest.mark.parametrize("row", [row for row in shown() if row[0].startswith("AWS/")], ids=str)
def test_the_dashboard_draws_what_a_service_emits(row: tuple[str, str, tuple[str, ...]]) -> None:
    """Of a resource of this stack, named by its own dimension."""
    namespace, metric, (dimension, value) = row

    assert metric in EMITTED[namespace, dimension]
    if dimension in TYPES and not value.startswith("arn:"):
        found = RESOURCES.get(value.split(".")[0])
        assert found is None or TYPES[dimension] in found["Type"]
        assert found or value.startswith("glueworkshop-")


def test_an_alarm_has_no_more_than_that() -> None:
    """Nothing turns its actions off, changes its unit or fills its gaps in another way."""
    known = {
        *("AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "ComparisonOperator", "Threshold"),
        *("Period", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData", "AlarmActions", "OKActions"),
    }

    assert {} == {name: extra for name, one in alarms().items() if (extra := one.keys() - known)}
    assert {"NoArrivalAlarm": "breaching"} == {
        name: one["TreatMissingData"] for name, one in alarms().items() if one["TreatMissingData"] != "notBreaching"
    }


FUNNEL = ["Received", "Started", "Duplicates", "Coalesced", "Skipped", "Failed"]
ENDS = [("ExecutionsStarted", "started"), ("ExecutionsSucceeded", "succeeded"), ("ExecutionsFailed", "failed")]
# Widget: what it draws, each metric with its own statistic (the widget's: Sum) and its label, where it has one.
WIDGETS: dict[str, list[tuple[str, str, str]]] = {
    "The funnel: received, and where each went": [(name, "Sum", "") for name in FUNNEL],
    "Arrivals": [(name, "Sum", "") for name in FUNNEL],
    "Workflow: started, and how it ended": [
        *((metric, "Sum", label) for metric, label in ENDS),
        ("ExecutionsTimedOut", "Sum", "timed out"),
        ("ExecutionsAborted", "Sum", "aborted"),
    ],
    "Workflow": [(metric, "Sum", label) for metric, label in ENDS],
    "From upload to start (ms)": [("ArrivalLatency", "p50", "p50"), ("ArrivalLatency", "p99", "p99")],
    "Failure queue": [
        ("ApproximateNumberOfMessagesVisible", "Maximum", "events waiting"),
        ("ApproximateAgeOfOldestMessage", "Maximum", "oldest (s)"),
    ],
    "Function": [("Errors", "Sum", ""), ("Throttles", "Sum", ""), ("AsyncEventAge", "Maximum", "oldest event (ms)")],
    "Glue runs that workflows wait for": [
        (f"ServiceIntegrations{end}", "Sum", end.lower()) for end in ("Started", "Succeeded", "Failed")
    ],
    "Backfill": [("Backfilled", "Sum", ""), ("Reprocessed", "Sum", "")],
    "Windows": [
        ("ExecutionsStarted", "Sum", "opened"),
        ("ExecutionsSucceeded", "Sum", "collected"),
        ("ExecutionsFailed", "Sum", "failed"),
        ("Errors", "Sum", "tries that failed"),
    ],
}
# Widget: whose metrics it draws, where the dimension leaves a choice.
WHOSE = {
    "Workflow: started, and how it ended": {WORKFLOW},
    "Workflow": {WORKFLOW},
    "Failure queue": {"FailureQueue.QueueName"},
    "Function": {"StartExecutionFunction"},
    "Windows": {"WindowStateMachine", "CollectWindowFunction"},
}
SEARCHED = {
    "Skipped, by reason": '{FileArrival,service,reason} MetricName="Skipped"',
    "Failed, by cause": '{FileArrival,service,reason} MetricName="Failed"',
    "Started, by route (where there are route files)": '{FileArrival,service,route} MetricName="Started"',
}


def drawn() -> dict[str, list[list[Any]]]:
    """Return the rows of each widget that draws metrics, by its title."""
    widgets = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    assert all(one["properties"]["stat"] == "Sum" for one in widgets if one["type"] == "metric")
    return {one["properties"]["title"]: one["properties"]["metrics"] for one in widgets if one["type"] == "metric"}


def test_every_widget_is_in_a_table() -> None:
    """And every row has its widget."""
    assert drawn().keys() == WIDGETS.keys() | SEARCHED.keys()


@pytest.mark.parametrize("title", WIDGETS)
def test_a_widget_draws_what_its_title_says(title: str) -> None:
    """Each metric under the label that is its own; an age or a number of messages is never added up."""
    rows = [([*row, {}] if isinstance(row[-1], str) else row) for row in drawn()[title]]

    assert WIDGETS[title] == [
        (str(metric), more.get("stat", "Sum"), more.get("label", "")) for _, metric, *_, more in rows
    ]
    assert WHOSE.get(title, {row[3] for row in rows}) == {row[3] for row in rows}


@pytest.mark.parametrize("title", SEARCHED)
def test_a_search_finds_this_stacks(title: str) -> None:
    """Of the stack's own service, as sums of five minutes."""
    [[row]] = drawn()[title]

    assert f"SEARCH('{SEARCHED[title]} service=\"glueworkshop\"', 'Sum', 300)" == row["expression"]


ALL_FUNCTIONS = ["StartExecutionLogGroup", "BackfillFunctionsLogGroup"]
EVERYTHING = [*ALL_FUNCTIONS, "CollectWindowLogGroup", "WorkflowLogGroup"]
# Saved query: the log groups it reads, and what it picks and how it sorts.
QUERIES = {
    "StoryOfOneKeyQuery": (
        EVERYTHING,
        'filter @message like "input/lab2/eventdriven/green_tripdata.csv"',
        "@timestamp",
    ),
    "SkipsByReasonQuery": (ALL_FUNCTIONS, 'filter message = "skipped"', "skips desc"),
    "SlowestArrivalsQuery": (
        *(["StartExecutionLogGroup"], 'filter message = "started" and ispresent(latency_ms)', "latency_ms desc"),
    ),
    "OneExecutionQuery": (
        *(EVERYTHING, 'filter @message like "green_tripdata-0123456789abcdef0123456789abcdef"', "@timestamp"),
    ),
}


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("name", QUERIES)
def test_a_saved_query_finds_what_it_is_for(name: str, *, attached: bool) -> None:
    """In every group that may hold it; of an attached workflow the stack knows no log group."""
    given = {"StateMachineArn": "arn:aws:states:us-east-2:123456789012:stateMachine:Attached"} if attached else {}
    query = deployed(**given)["Resources"][name]["Properties"]
    groups, picked, order = QUERIES[name]

    assert [one for one in groups if one != "WorkflowLogGroup" or not attached] == query["LogGroupNames"]
    lines = [line.removeprefix("| ") for line in query["QueryString"].splitlines()]
    assert [picked] == [line for line in lines if line.startswith("filter ")]
    assert [f"sort {order}"] == [line for line in lines if line.startswith("sort ")]


def test_the_dashboard_draws_all_services() -> None:
    """The table of rows above is not empty by mistake."""
    assert {"AWS/Lambda", "AWS/SQS", "AWS/States", telemetry.NAMESPACE} <= {namespace for namespace, *_ in shown()}
