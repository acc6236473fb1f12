"""Functions: errors, retries, logs and environments."""

import json
from concurrent.futures import ThreadPoolExecutor

from tests.emulator.conftest import Cloud, allow, until


def _group(function: str) -> str:
    return f"/aws/lambda/{function.rsplit(':', 1)[-1]}"


def test_an_event_is_tried_under_one_request_id(cloud: Cloud) -> None:
    """Three times, each logged, and then its destination is told that id."""
    url, queue = cloud.queue()
    code = "def handler(event, context):\n    print(context.aws_request_id)\n    raise KeyError(event)"
    function = cloud.function(code, cloud.role(allow("sqs:SendMessage", queue)))
    cloud.client("lambda").put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b'"b"')
    [message] = cloud.messages(url)
    record, lines = json.loads(message["Body"]), cloud.log(_group(function))

    assert (3, 3) == (lines.count(record["requestContext"]["requestId"]), lines.count("[ERROR] KeyError: 'b'"))
    assert ("KeyError", "'b'") == (record["responsePayload"]["errorType"], record["responsePayload"]["errorMessage"])


def test_a_throttled_event_is_tried_until_there_is_room(cloud: Cloud) -> None:
    """A throttle is no attempt and no failure."""
    url, queue = cloud.queue()
    code = "import time\ndef handler(event, context):\n    time.sleep(.15)\n    print('done', event)"
    function = cloud.function(code, cloud.role(allow("sqs:SendMessage", queue)))
    lambda_ = cloud.client("lambda")
    lambda_.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)
    lambda_.put_function_event_invoke_config(
        FunctionName=function, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": queue}}
    )
    for number in range(4):
        lambda_.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(number).encode())

    until(lambda: 4 == sum(line.startswith("done") for line in cloud.log(_group(function))))
    assert "Messages" not in cloud.client("sqs").receive_message(QueueUrl=url)


def test_errors_are_named_and_the_environment_survives_its_handlers_own(cloud: Cloud) -> None:
    """With type, message and stack; a crash and a timeout end it, and the next invocation has a new one."""
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

    assert "Unhandled" == failed["FunctionError"]
    assert ("ValueError", "no") == (failed["Payload"]["errorType"], failed["Payload"]["errorMessage"])
    assert "line 5, in handler" in failed["Payload"]["stackTrace"][0]
    assert ("Runtime.ExitError", "Sandbox.Timedout") == (crashed["errorType"], late["errorType"])
    assert "Task timed out after 1.00 seconds" in late["errorMessage"]
    assert first["Payload"] == again["Payload"]
    assert isinstance(cloud.invoke(function)["Payload"], int)


def test_what_the_artifact_lacks_is_missed(cloud: Cloud) -> None:
    """Functions do not see the packages of the emulator."""
    failed = cloud.invoke(cloud.function("import ministack\ndef handler(event, context): pass"))["Payload"]

    assert "Runtime.ImportModuleError" == failed["errorType"]
    assert "No module named 'ministack'" in failed["errorMessage"]


def test_a_traced_function_sees_its_trace(cloud: Cloud) -> None:
    """And one that is not traced sees none."""
    code = "import os\ndef handler(event, context): return os.environ.get('_X_AMZN_TRACE_ID')"
    traced = cloud.function(code, TracingConfig={"Mode": "Active"})

    assert cloud.invoke(traced)["Payload"].startswith("Root=1-")
    assert cloud.invoke(cloud.function(code))["Payload"] is None


def test_the_log_goes_where_the_function_says(cloud: Cloud) -> None:
    """Each printed line is an event, in its order, also of an asynchronous invocation."""
    cloud.client("logs").create_log_group(logGroupName="mine")
    code = "def handler(event, context):\n    for number in range(50): print('line', number)"
    function = cloud.function(code, LoggingConfig={"LogGroup": "mine"})
    cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b"null")

    expected = [f"line {number}" for number in range(50)]
    until(lambda: expected == [line for line in cloud.log("mine") if line.startswith("line")])


def test_invocations_run_side_by_side_up_to_a_few(cloud: Cloud) -> None:
    """More of them wait instead of starting a process each."""
    function = cloud.function(
        "import os, time\ndef handler(event, context):\n    time.sleep(.3)\n    return os.getpid()"
    )
    with ThreadPoolExecutor(8) as pool:
        workers = {one["Payload"] for one in pool.map(lambda _: cloud.invoke(function), range(8))}

    assert 2 <= len(workers) <= 4
