"""Each alarm and each metric of the dashboard watches what the services really emit."""

import json
from typing import Any

import pytest

from local.template import deployed
from shared import telemetry

WORKFLOW = "arn:aws:states:us-east-2:123456789012:stateMachine:Workflow.Name"
BACKFILL = "BackfillStateMachine"
FUNCTION = {"FunctionName": "StartExecutionFunction"}
SERVICE = {"service": "glueworkshop"}

# Logical id: namespace, metric, dimensions, statistic, rings when, seconds a period, periods. All that there are.
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
        *("Sum", "> 0", 300, 6),
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
    return (
        alarm["Namespace"],
        alarm["MetricName"],
        {one["Name"]: one["Value"] for one in alarm["Dimensions"]},
        alarm["Statistic"],
        f"{COMPARED[alarm['ComparisonOperator']]} {alarm['Threshold']}",
        int(alarm["Period"]),
        int(alarm["EvaluationPeriods"]),
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


def test_the_dashboard_draws_all_services() -> None:
    """The table of rows above is not empty by mistake."""
    assert {"AWS/Lambda", "AWS/SQS", "AWS/States", telemetry.NAMESPACE} <= {namespace for namespace, *_ in shown()}
