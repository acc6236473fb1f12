"""Metrics that functions log, and alarms on them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.emulator.conftest import Cloud, allow, until


def _embedded(**members: Any) -> str:
    directive = {
        "Namespace": "Arrivals",
        "Dimensions": [["service"], ["service", "reason"]],
        "Metrics": [{"Name": "Skipped", "Unit": "Count"}, {"Name": "Latency", "Unit": "Milliseconds"}],
    }
    line = {"_aws": {"Timestamp": int(datetime.now(UTC).timestamp() * 1000), "CloudWatchMetrics": [directive]}}
    return f"def handler(event, context):\n    print({json.dumps(line | members)!r})"


def _sum(cloud: Cloud, name: str, namespace: str = "Arrivals", **dimensions: str) -> float:
    now = datetime.now(UTC)
    points = cloud.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(minutes=5),
        EndTime=now + timedelta(minutes=5),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_embedded_metrics_are_recorded_once_a_dimension_set(cloud: Cloud) -> None:
    """A value or a list of values, under each set of dimensions."""
    function = cloud.function(_embedded(service="s", reason="folder", Skipped=1, Latency=[2, 3.5]))
    cloud.invoke(function)

    assert (1, 1) == (_sum(cloud, "Skipped", service="s"), _sum(cloud, "Skipped", service="s", reason="folder"))
    assert 5.5 == _sum(cloud, "Latency", service="s")
    [found] = cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=[
            {
                "Id": "skipped",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "Arrivals",
                        "MetricName": "Skipped",
                        "Dimensions": [{"Name": "service", "Value": "s"}],
                    },
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
        ],
        StartTime=datetime.now(UTC) - timedelta(minutes=5),
        EndTime=datetime.now(UTC) + timedelta(minutes=5),
    )["MetricDataResults"]
    assert [1.0] == found["Values"]


def test_a_dimension_without_value_or_a_line_of_other_json_is_harmless(cloud: Cloud) -> None:
    """What can be recorded is."""
    function = cloud.function(_embedded(service="s", Skipped=1))

    assert "FunctionError" not in cloud.invoke(function)
    assert 1 == _sum(cloud, "Skipped", service="s")
    assert "FunctionError" not in cloud.invoke(cloud.function("def handler(e, c): print('{\"_aws\": 1}')"))


def test_an_alarm_watches_one_set_of_dimensions(cloud: Cloud) -> None:
    """A value under another set does not move it; missing data counts as it is told to."""
    cloudwatch = cloud.client("cloudwatch")
    for name, service in (("mine", "s"), ("other", "t")):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="Arrivals",
            MetricName="Skipped",
            Dimensions=[{"Name": "service", "Value": service}],
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )
    cloud.invoke(cloud.function(_embedded(service="s", reason="folder", Skipped=1)))

    until(lambda: {"mine": "ALARM", "other": "OK"} == _states(cloud))


def test_an_alarm_tells_its_topic_of_a_waiting_failure(cloud: Cloud) -> None:
    """SQS reports the depth of its queues."""
    topic = cloud.client("sns").create_topic(Name="topic")["TopicArn"]
    heard, heard_arn = cloud.queue(sender="sns.amazonaws.com")
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=heard_arn)
    url, arn = cloud.queue()
    cloud.client("cloudwatch").put_metric_alarm(
        AlarmName="failures",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": arn.rsplit(":", 1)[-1]}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="failed")
    [message] = cloud.messages(heard)

    assert "ALARM" in message["Body"]


def test_workflows_are_counted(cloud: Cloud) -> None:
    """By machine and outcome, and by the service that they call."""
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "Parameters": {"JobName": "none"}}
    machine = cloud.machine({"Run": task | {"End": True}}, allow("*", "*"))
    cloud.run(machine)

    states = "AWS/States"
    assert 1 == _sum(cloud, "ExecutionsStarted", states, StateMachineArn=machine)
    assert 1 == _sum(cloud, "ExecutionsFailed", states, StateMachineArn=machine)
    resource = task["Resource"]
    assert 1 == _sum(cloud, "ServiceIntegrationsFailed", states, ServiceIntegrationResourceArn=str(resource))


def _states(cloud: Cloud) -> dict[str, str]:
    alarms = cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms}
