"""From a rule to its target."""

import json
import time
from typing import Any

import pytest

from tests.emulator.conftest import QUIET, Cloud, allow, policy

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}


def _letter(cloud: Cloud, url: str) -> tuple[dict[str, Any], dict[str, str]]:
    [message] = cloud.messages(url)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    return json.loads(message["Body"]), attributes


@pytest.mark.parametrize("code", ["NO_RESOURCE", "NO_PERMISSIONS"])
def test_an_event_that_reaches_no_function_is_a_dead_letter_where_the_queue_lets_the_rule(
    cloud: Cloud, code: str
) -> None:
    """At once, without retries: there is no function, or its policy names another rule."""
    (url, queue), (closed, closed_arn) = cloud.queue(sender="events.amazonaws.com"), cloud.queue()
    function = "arn:aws:lambda:us-east-2:123456789012:function:none"
    if code == "NO_PERMISSIONS":
        function = cloud.function("def handler(event, context): pass")
        _, another = cloud.listen({"source": ["nobody"]})
        permission = {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com", "SourceArn": another}
        cloud.client("lambda").add_permission(FunctionName=function, StatementId="another", **permission)
    for one in (closed_arn, queue):
        cloud.listen(CREATED, Arn=function, DeadLetterConfig={"Arn": one})
    cloud.client("s3").put_object(Bucket=cloud.bucket(), Key="key")

    assert code == _letter(cloud, url)[1]["ERROR_CODE"]
    time.sleep(QUIET)
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=closed)


@pytest.mark.parametrize("condition", [{}, {"ArnEquals": {"aws:SourceArn": "RULE"}}], ids=["plain", "condition"])
def test_a_topic_is_told_unless_its_policy_has_a_condition(cloud: Cloud, condition: dict[str, Any]) -> None:
    """EventBridge tells a topic no source; the event ends in the dead-letter queue, whose policy may name it."""
    sns, (told, told_arn), (dead, dead_arn) = (
        cloud.client("sns"),
        cloud.queue(sender="sns.amazonaws.com"),
        cloud.queue(),
    )
    topic = sns.create_topic(Name="topic")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    _, rule = cloud.listen(CREATED, Arn=topic, DeadLetterConfig={"Arn": dead_arn})
    service = {"Principal": {"Service": "events.amazonaws.com"}}
    conditions = {"Condition": json.loads(json.dumps(condition).replace("RULE", rule))} if condition else {}
    sns.set_topic_attributes(
        TopicArn=topic,
        AttributeName="Policy",
        AttributeValue=policy(allow("sns:Publish", topic) | service | conditions),
    )
    statement = allow("sqs:SendMessage", dead_arn) | service | {"Condition": {"ArnEquals": {"aws:SourceArn": rule}}}
    cloud.client("sqs").set_queue_attributes(QueueUrl=dead, Attributes={"Policy": policy(statement)})
    cloud.client("s3").put_object(Bucket=cloud.bucket(), Key="key")

    if condition:
        assert "NO_PERMISSIONS" == _letter(cloud, dead)[1]["ERROR_CODE"]
    else:
        assert "key" in cloud.messages(told)[0]["Body"]
