"""Each alarm and each metric of the dashboard watches what the services really emit."""

import json
import re
from typing import Any

import pytest

from shared.gates import telemetry
from tools.template import deployed

WORKFLOW = "arn:aws:states:us-east-2:123456789012:stateMachine:Workflow.Name"
FUNCTION = "StartExecutionFunction"
# Alarm: the metric that it watches, and whose. All that there are.
ALARMS: dict[str, tuple[str, str]] = {
    "FailureQueueAlarm": ("ApproximateNumberOfMessagesVisible", "FailureQueue.QueueName"),
    "FunctionErrorsAlarm": ("Errors", FUNCTION),
    "EventAgeAlarm": ("AsyncEventAge", FUNCTION),
    "ExecutionsFailedAlarm": ("ExecutionsFailed", WORKFLOW),
    "ExecutionsTimedOutAlarm": ("ExecutionsTimedOut", WORKFLOW),
    "ExecutionsAbortedAlarm": ("ExecutionsAborted", WORKFLOW),
    "ExecutionsThrottledAlarm": ("ExecutionThrottled", WORKFLOW),
    "BackfilledAlarm": ("Backfilled", "glueworkshop"),
    "UnreachableRoutesAlarm": ("UnreachableRoutes", "glueworkshop"),
    "BackfillFailedAlarm": ("ExecutionsFailed", "BackfillStateMachine"),
    "WindowFailedAlarm": ("ExecutionsFailed", "WindowStateMachine"),
    "WindowStuckAlarm": ("Errors", "CollectWindowFunction"),
    "OverdueAlarm": ("Overdue", "glueworkshop"),
    "NoArrivalAlarm": ("Received", "glueworkshop"),
}
# Those that wait before they ring; all others ring at the first of what they watch, within an hour.
PATIENT = {"EventAgeAlarm", "ExecutionsThrottledAlarm", "WindowStuckAlarm", "NoArrivalAlarm"}

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


def alarms() -> dict[str, dict[str, Any]]:
    """Return the alarms of a stack that has all of them."""
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def shown() -> list[tuple[str, str, tuple[str, ...]]]:
    """Return namespace, metric and dimensions (names and values in turn) of what the dashboard draws."""
    widgets = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    rows = [
        [part for part in row if isinstance(part, str)]
        for widget in widgets
        for row in widget["properties"].get("metrics", [])
    ]
    return [(namespace, metric, tuple(dimensions)) for namespace, metric, *dimensions in filter(None, rows)]


def test_an_alarm_watches_what_it_is_called_after() -> None:
    """And what a service emits: any other metric would never ring."""
    watched = {name: (one["MetricName"], one["Dimensions"][0]["Value"]) for name, one in alarms().items()}

    assert ALARMS == watched
    for name, one in alarms().items():
        [dimension] = one["Dimensions"]
        ours = one["Namespace"] == telemetry.NAMESPACE
        assert ours or one["MetricName"] in EMITTED[one["Namespace"], dimension["Name"]], name


def test_an_alarm_rings_at_the_first() -> None:
    """Of what it watches, however little; an age and a number of messages are never added up."""
    for name, one in alarms().items():
        assert ("Maximum" if gauge(one["MetricName"]) else "Sum") == one["Statistic"], name
        if name not in PATIENT:
            assert ("GreaterThanThreshold", 0, 1) == (
                *(one["ComparisonOperator"], one["Threshold"], one["EvaluationPeriods"]),
            ), name
            assert one["Period"] <= 3600, name


def gauge(metric: str) -> bool:
    """Tell whether a metric says how much there is, and not how much came."""
    return metric.startswith("Approximate") or metric.endswith("Age") or metric == "Overdue"


def test_a_throttled_and_a_stuck_hour_ring() -> None:
    """An hour without a pause is no storm any more; a collect that fails three times in half an hour does not recover."""
    throttled, stuck = alarms()["ExecutionsThrottledAlarm"], alarms()["WindowStuckAlarm"]

    assert 3600 == throttled["Period"] * throttled["EvaluationPeriods"]
    assert (3, 1800) == (stuck["DatapointsToAlarm"], stuck["Period"] * stuck["EvaluationPeriods"])


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
    assert {"NoArrivalAlarm": "breaching", "OverdueAlarm": "breaching"} == {
        name: one["TreatMissingData"] for name, one in alarms().items() if one["TreatMissingData"] != "notBreaching"
    }


def test_the_dashboard_draws_all_services() -> None:
    """The table of rows above is not empty by mistake."""
    assert {"AWS/Lambda", "AWS/SQS", "AWS/States", telemetry.NAMESPACE} <= {namespace for namespace, *_ in shown()}


def test_the_dashboard_adds_up_what_can_be_added() -> None:
    """By default; an age or a number of messages is shown at its most."""
    widgets = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    drawn = [one["properties"] for one in widgets if one["type"] == "metric"]
    rows = [([*row, {}] if isinstance(row[-1], str) else row) for one in drawn for row in one["metrics"]]
    assert {"Sum"} == {one["stat"] for one in drawn}

    for *words, more in rows:
        if words:
            wanted = "Maximum" if gauge(words[1]) else "Sum"
            assert words[1] == "ArrivalLatency" or wanted == more.get("stat", "Sum"), words
        else:
            wanted = "Maximum" if '"Overdue"' in more["expression"] else "Sum"
            ours = rf"SEARCH\('\{{FileArrival,.* service=\"glueworkshop\"', '{wanted}', 300\)"
            assert re.fullmatch(ours, more["expression"]), more


@pytest.mark.parametrize("attached", [False, True])
def test_saved_queries_read_groups_that_hold_it(*, attached: bool) -> None:
    """The words that functions log, in their groups; of an attached workflow the stack knows no log group."""
    given = {"StateMachineArn": "arn:aws:states:us-east-2:123456789012:stateMachine:Attached"} if attached else {}
    queries = {
        name: one["Properties"]
        for name, one in deployed(**given)["Resources"].items()
        if one["Type"] == "AWS::Logs::QueryDefinition"
    }
    groups = {name: set(one["LogGroupNames"]) for name, one in queries.items()}
    everything = {"StartExecutionLogGroup", "BackfillFunctionsLogGroup", "CollectWindowLogGroup"}
    everything |= set() if attached else {"WorkflowLogGroup"}

    assert everything == groups["StoryOfOneKeyQuery"] == groups["OneExecutionQuery"]
    assert {"StartExecutionLogGroup", "BackfillFunctionsLogGroup"} == groups["SkipsByReasonQuery"]
    assert {"StartExecutionLogGroup"} == groups["SlowestArrivalsQuery"]
    said = {word for one in queries.values() for word in re.findall(r'message = "(\w+)"', one["QueryString"])}
    assert {"skipped", "started"} == said
    assert all(one["QueryString"].count("| sort ") == 1 for one in queries.values())
