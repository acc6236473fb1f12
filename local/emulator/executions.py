"""Starting, describing and redriving executions.

AWS: the name of a Standard execution is an idempotency key. The same name with the same input, while the first one
runs, answers with the first one; any other reuse is `ExecutionAlreadyExists`. Names and inputs are validated. A failed
execution can be redriven from the state that failed, under the same ARN.

ministack: refuses every reuse, checks no name and no input, may start two executions of one name when two threads ask
at once, and knows neither redrive nor the trace header. A stopped execution whose task then fails turns FAILED.
"""

import json
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid, now_iso
from ministack.services import cloudwatch, stepfunctions

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

type Handler = Callable[[Json], Response]

MAX_NAME = 80
MAX_INPUT = 262_144  # bytes
ILLEGAL_IN_NAME = re.compile(r'[\s\x00-\x1f\x7f-\x9f<>{}\[\]?*"#%\\^|~`$&,;:/]')
REDRIVABLE = {"FAILED", "ABORTED", "TIMED_OUT"}

# The name is taken in a check and a write; deliveries come from many threads.
_starting = threading.RLock()


@seams.replaces(stepfunctions, "_start_execution")
def start_execution(original: Handler, data: Json) -> Response:
    """Answer StartExecution."""
    requested = data.get("stateMachineArn", "")
    machine_arn = stepfunctions._resolve_state_machine_arn(requested.split("#")[0])
    if machine_arn is None:
        return _error("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{requested}'")
    data = {**data, "name": data.get("name") or new_uuid(), "input": data.get("input", "{}")}
    if refusal := _invalid(data["name"], data["input"]):
        return refusal
    machine = stepfunctions._state_machines[machine_arn]
    arn = aws.arn("states", f"execution:{machine['name']}:{data['name']}")
    with _starting:
        existing = stepfunctions._executions.get(arn)
        if existing is None:
            response = original(data)
            stepfunctions._executions[arn]["traceHeader"] = data.get("traceHeader")
            return response
    if existing["status"] == "RUNNING" and existing["input"] == data["input"]:
        return _answer({"executionArn": arn, "startDate": existing["startDate"]})
    return _error("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")


def _invalid(name: str, text: str) -> Response | None:
    if not 1 <= len(name) <= MAX_NAME or ILLEGAL_IN_NAME.search(name):
        return _error("InvalidName", f"Invalid Name: '{name}'")
    if len(text.encode()) > MAX_INPUT:
        return _error("InvalidExecutionInput", f"Invalid State Machine Execution Input: longer than {MAX_INPUT} bytes")
    try:
        json.loads(text)
    except ValueError:
        return _error("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{_unrecognized(text)}'")
    return None


def _unrecognized(text: str) -> str:
    """Say what Jackson, the parser that AWS uses, says about a word that is no JSON."""
    word = re.match(r"\s*(\w+)", text)
    token = word[1] if word else text.strip()[:1]
    expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    return f"Unrecognized token '{token}': was expecting {expected}"


@seams.replaces(stepfunctions, "_describe_execution")
def describe_execution(original: Handler, data: Json) -> Response:
    """Add what ministack leaves out; a failed execution has no output."""
    response = original(data)
    execution = stepfunctions._executions.get(data.get("executionArn"))
    if execution is None:
        return _error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{data.get('executionArn')}'")
    status, redrivable = execution["status"], execution["status"] in REDRIVABLE
    described = aws.body(response) | {
        "redriveCount": execution.get("redriveCount", 0),
        "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
    }
    if not redrivable:
        described["redriveStatusReason"] = f"Execution is {status} and cannot be redriven"
    described |= {name: execution[name] for name in ("traceHeader", "redriveDate") if execution.get(name)}
    absent = set() if status == "SUCCEEDED" else {"output", "outputDetails"}
    return _answer({name: value for name, value in described.items() if name not in absent and value is not None})


@seams.replaces(stepfunctions, "handle_request")
async def handle_request(
    original: Callable[..., Awaitable[Response]],
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: Json,
) -> Response:
    """Answer RedriveExecution as well."""
    if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
        response: Response = stepfunctions._finalize_response(redrive_execution(json.loads(body)))
        return response
    return await original(method, path, headers, body, query)


def redrive_execution(data: Json) -> Response:
    """Continue a failed execution with the state that failed; what came before is not repeated."""
    arn = data.get("executionArn")
    execution = stepfunctions._executions.get(arn)
    if execution is None:
        return _error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    status = execution["status"]
    entered = [event for event in execution["events"] if event["type"].endswith("StateEntered")]
    if status not in REDRIVABLE or not entered:
        return _error("ExecutionNotRedrivable", f"Execution is {status} and cannot be redriven")
    failed: Json = entered[-1]["stateEnteredEventDetails"]
    execution.update(status="RUNNING", stopDate=None, output=None, redriveDate=now_iso())
    execution["redriveCount"] = execution.get("redriveCount", 0) + 1
    for name in ("error", "cause"):
        execution.pop(name, None)
    details = {"redriveCount": execution["redriveCount"]}
    stepfunctions._add_event(execution, "ExecutionRedriven", {"executionRedrivenEventDetails": details})
    stepfunctions._emit_execution_status_event(execution)
    aws.in_background(_continue, execution, failed["name"], json.loads(failed["input"]))
    return _answer({"redriveDate": execution["redriveDate"]})


def _continue(execution: Json, state: str, state_input: object) -> None:
    definition = json.loads(stepfunctions._state_machines[execution["stateMachineArn"]]["definition"])
    context = execution["_context"]
    context["Execution"]["RedriveCount"] = execution["redriveCount"]
    try:
        result = stepfunctions._run_sub_machine(definition["States"], state, state_input, execution, context)
    except stepfunctions._ExecutionError as error:
        stepfunctions._fail_execution(execution, error.error, error.cause)
        return
    if execution["status"] != "RUNNING":
        return
    output = json.dumps(result)
    execution.update(status="SUCCEEDED", output=output, stopDate=now_iso())
    details = {"executionSucceededEventDetails": {"output": output}}
    stepfunctions._add_event(execution, "ExecutionSucceeded", details)
    stepfunctions._emit_execution_status_event(execution)


@seams.replaces(stepfunctions, "_fail_execution")
def fail_execution(original: Callable[..., None], execution: Json, error: str, cause: str) -> None:
    """Leave an execution alone that was stopped while its task ran."""
    if execution["status"] == "RUNNING":
        original(execution, error, cause)


@seams.replaces(stepfunctions, "_emit_execution_status_event")
def emit_status(original: Callable[[Json], None], execution: Json) -> None:
    """Count the executions in the metrics of AWS/States, too."""
    original(execution)
    metric = "ExecutionsStarted" if execution["status"] == "RUNNING" else _metric_of[execution["status"]]
    dimensions = {"StateMachineArn": execution["stateMachineArn"]}
    cloudwatch.record_metric("AWS/States", metric, 1, "Count", dimensions)


_metric_of = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def remember_context(execution: Json, context: Json) -> None:
    """Keep the context object of a running execution, with its variables: a redrive needs it."""
    execution["_context"] = context


def _answer(content: dict[str, Any]) -> Response:
    response: Response = json_response(content)
    return response


def _error(code: str, message: str) -> Response:
    response: Response = error_response_json(code, message, 400)
    return response
