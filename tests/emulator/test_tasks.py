"""When a task is tried again."""

import itertools
import json
from typing import Any

from tests.emulator.conftest import Cloud


def _attempts(cloud: Cloud, **retry: Any) -> list[float]:
    """Return the seconds between attempts, of which the emulator waits a tenth."""
    retrier = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 3, **retry}
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun", "Parameters": {"JobName": "none"}}
    ended = cloud.run(cloud.machine({"Run": task | {"Retry": [retrier], "End": True}}))
    history = cloud.client("stepfunctions").get_execution_history(executionArn=ended["executionArn"])["events"]
    at = [event["timestamp"].timestamp() for event in history if event["type"] == "TaskScheduled"]
    return [later - earlier for earlier, later in itertools.pairwise(at)]


def test_the_delay_is_capped(cloud: Cloud) -> None:
    """MaxDelaySeconds limits what the backoff grew to."""
    delays = _attempts(cloud, IntervalSeconds=1, BackoffRate=100, MaxDelaySeconds=2)

    assert [0.1, 0.2, 0.2] == [round(delay, 1) for delay in delays]


def test_the_delay_is_jittered(cloud: Cloud) -> None:
    """With full jitter it is anything between nothing and the delay."""
    delays = _attempts(cloud, IntervalSeconds=3, BackoffRate=1, JitterStrategy="FULL")

    assert 3 == len({round(delay, 3) for delay in delays})
    assert all(delay < 0.4 for delay in delays)


def test_an_object_is_published_as_json(cloud: Cloud) -> None:
    """Step Functions serialises a message that is no string."""
    topic = cloud.client("sns").create_topic(Name="topic")["TopicArn"]
    url, arn = cloud.queue(sender="sns.amazonaws.com")
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    parameters = {"TopicArn": topic, "Message": {"a": 1}}
    task = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": parameters, "End": True}
    cloud.run(cloud.machine({"Tell": task}))
    [message] = cloud.messages(url)

    assert {"a": 1} == json.loads(json.loads(message["Body"])["Message"])
