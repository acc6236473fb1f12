"""Functions and topics: errors, retries, logs and environments, and how an event gets from a rule to them."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import QUIET, Cloud, allow, policy, until

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
TRACE = "import os\ndef handler(event, context): return os.environ.get('_X_AMZN_TRACE_ID', '')[:7]"


def fail_over(cloud: Cloud, code: str, **options: Any) -> tuple[str, str]:
    """Make a function whose failures go to a queue; return its ARN and the queue's URL."""
    url, queue = cloud.queue()
    function = cloud.function(code, cloud.role(allow("sqs:SendMessage", queue)))
    options["DestinationConfig"] = {"OnFailure": {"Destination": queue}}
    cloud.client("lambda").put_function_event_invoke_config(FunctionName=function, **options)
    return function, url


def test_an_event_is_tried_under_one_request_id(cloud: Cloud) -> None:
    """Three times, each logged, and then its destination is told that id."""
    code = "def handler(event, context):\n    print(context.aws_request_id)\n    raise KeyError(event)"
    function, url = fail_over(cloud, code)
    cloud.send(function, "b")
    [message] = cloud.messages(url)
    record, lines = json.loads(message["Body"]), cloud.log(function)

    assert (3, 3) == (lines.count(record["requestContext"]["requestId"]), lines.count("[ERROR] KeyError: 'b'")), lines
    assert {"errorType": "KeyError", "errorMessage": "'b'"}.items() <= record["responsePayload"].items()


def test_a_throttled_event_is_tried_until_there_is_room(cloud: Cloud) -> None:
    """A throttle is no attempt and no failure."""
    code = "import time\ndef handler(event, context):\n    time.sleep(.15)\n    print('done', event)"
    function, url = fail_over(cloud, code, MaximumRetryAttempts=0)
    cloud.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    for number in range(4):
        cloud.send(function, number)

    until(lambda: 4 == sum(line.startswith("done") for line in cloud.log(function)))
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=url)


def test_the_environment_survives_the_handlers_own_errors(cloud: Cloud) -> None:
    """They have a type, a message and a stack; a crash and a timeout end it, and the next invocation has a new one."""
    code = """
import os, time
def handler(event, context):
    if event == "raise":
        raise ValueError("no")
    if event == "crash":
        os._exit(1)
    if event == "sleep":
        time.sleep(5)
    return os.getpid()
"""
    function = cloud.function(code, Timeout=1)
    first, failed, again = (cloud.invoke(function, event) for event in (None, "raise", None))
    crashed, late = (cloud.invoke(function, event)["Payload"] for event in ("crash", "sleep"))

    said = failed["Payload"]
    assert ("Unhandled", "ValueError", "no") == (failed["FunctionError"], said["errorType"], said["errorMessage"])
    assert "line 5, in handler" in said["stackTrace"][0]
    assert ("Runtime.ExitError", "Sandbox.Timedout") == (crashed["errorType"], late["errorType"])
    assert "Task timed out after 1.00 seconds" in late["errorMessage"]
    assert first["Payload"] == again["Payload"], "the second invocation had another process"
    assert isinstance(cloud.invoke(function)["Payload"], int)


@pytest.mark.parametrize(
    ("code", "options", "answer"),
    [
        (TRACE, {"TracingConfig": {"Mode": "Active"}}, "Root=1-"),
        (TRACE, {}, ""),
        # What the artifact lacks is missed: functions do not see the packages of the emulator.
        ("import ministack\ndef handler(event, context): pass", {}, "Runtime.ImportModuleError"),
    ],
    ids=["traced", "untraced", "a package of the emulator"],
)
def test_a_function_sees_what_is_its_own(cloud: Cloud, code: str, options: dict[str, Any], answer: str) -> None:
    """Its trace if it is traced, and the packages of its artifact."""
    said = cloud.invoke(cloud.function(code, **options))["Payload"]

    assert answer == (said["errorType"] if isinstance(said, dict) else said), said


def test_the_log_goes_where_the_function_says(cloud: Cloud) -> None:
    """Each printed line is an event, in its order, also of an asynchronous invocation."""
    cloud.client("logs").create_log_group(logGroupName="mine")
    code = "def handler(event, context):\n    for number in range(50): print('line', number)"
    cloud.send(cloud.function(code, LoggingConfig={"LogGroup": "mine"}), None)

    expected = [f"line {number}" for number in range(50)]
    until(lambda: expected == [line for line in cloud.log("mine") if line.startswith("line")])


def test_invocations_run_side_by_side_up_to_a_few(cloud: Cloud) -> None:
    """More of them wait instead of starting a process each."""
    function = cloud.function(
        "import os, time\ndef handler(event, context):\n    time.sleep(.3)\n    return os.getpid()"
    )
    with ThreadPoolExecutor(8) as pool:
        workers = {one["Payload"] for one in pool.map(lambda _: cloud.invoke(function), range(8))}

    assert 2 <= len(workers) <= 4, workers


# ---- From a rule to its target ----


def code_of_letter(cloud: Cloud, url: str) -> str:
    """Wait for a dead letter, and return why it is one."""
    [message] = cloud.messages(url)
    code: str = message["MessageAttributes"]["ERROR_CODE"]["StringValue"]
    return code


@pytest.mark.parametrize("code", ["NO_RESOURCE", "NO_PERMISSIONS"])
def test_an_event_that_reaches_no_function_is_a_dead_letter(cloud: Cloud, code: str) -> None:
    """At once, where the queue lets the rule: there is no function, or its policy names another rule."""
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

    assert code == code_of_letter(cloud, url)
    time.sleep(QUIET)
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=closed)


def test_a_topic_whose_policy_has_a_condition_is_not_told(cloud: Cloud) -> None:
    """EventBridge tells a topic no source; the event ends in the dead-letter queue, whose policy may name it."""
    sns, (url, queue) = cloud.client("sns"), cloud.queue()
    topic = sns.create_topic(Name="topic")["TopicArn"]
    _, rule = cloud.listen(CREATED, Arn=topic, DeadLetterConfig={"Arn": queue})
    ours = {"Principal": {"Service": "events.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": rule}}}
    told, written = (policy(allow(*what) | ours) for what in (("sns:Publish", topic), ("sqs:SendMessage", queue)))
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=told)
    cloud.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": written})
    cloud.client("s3").put_object(Bucket=cloud.bucket(), Key="key")

    assert "NO_PERMISSIONS" == code_of_letter(cloud, url)


def test_a_topic_takes_short_ascii_subjects_only(cloud: Cloud) -> None:
    """By the API and by a workflow's task alike; a message without a subject is fine."""
    sns, states = cloud.client("sns"), {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}
    topic = sns.create_topic(Name="topic")["TopicArn"]
    for subject, taken in {
        "a" * 99: True,
        "a" * 100: False,
        "Zürich": False,
        "a\nb": False,
        " a": False,
        "": True,
    }.items():
        given = {"TopicArn": topic, "Message": "m"} | ({"Subject": subject} if subject else {})
        try:
            said = "SUCCEEDED" if sns.publish(**given) else ""
        except ClientError as error:
            said = "FAILED" if "Subject" in str(error) else str(error)
        ran = cloud.run(cloud.machine({"Publish": states | {"Parameters": given}}))["status"]
        assert ["SUCCEEDED" if taken else "FAILED"] * 2 == [said, ran], subject
