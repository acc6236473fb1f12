"""RedriveExecution: an execution that failed goes on at the step that failed, under its own name.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html. DescribeExecution says whether a
redrive is possible.

ministack: has no redrive. It walks a definition from its `StartAt` with the execution's input. So a redriven execution
gets the failed step as its `StartAt`, and that step's input, while ministack reads the two. A Map that failed runs all
its children again.
"""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import stepfunctions

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

UNSUCCESSFUL = {"FAILED", "TIMED_OUT", "ABORTED"}
# The values that an execution has only while ministack reads its start.
OWN = "_before_redrive"


@seams.replaces(stepfunctions, "handle_request")
async def handle_request(
    original: Callable[..., Awaitable[Response]], method: str, path: str, headers: Json, body: bytes, query: Json
) -> Response:
    """Answer RedriveExecution, which ministack does not know."""
    if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
        return redrive(json.loads(body))
    return await original(method, path, headers, body, query)


def redrive(data: Json) -> Response:
    """Run an execution again from the step that failed."""
    execution = stepfunctions._executions.get(data["executionArn"])
    if execution is None:
        return _error("ExecutionDoesNotExist", f"Execution Does Not Exist: '{data['executionArn']}'")
    if execution["status"] not in UNSUCCESSFUL:
        return _error("ExecutionNotRedrivable", f"Execution is {execution['status']} and cannot be redriven")
    machine = stepfunctions._state_machines[execution["stateMachineArn"]]
    definition = json.loads(machine["definition"])
    # An execution that was stopped at once has entered no state.
    entered = {"name": definition["StartAt"], "input": execution["input"]}
    for event in execution["events"]:
        entered = event.get("stateEnteredEventDetails", entered)
    definition["StartAt"] = entered["name"]
    alias = f"{execution['stateMachineArn']}-{new_uuid()}"
    stepfunctions._state_machines[alias] = {**machine, "definition": json.dumps(definition)}
    execution[OWN] = {"stateMachineArn": execution["stateMachineArn"], "input": execution["input"]}
    execution.update(status="RUNNING", stopDate=None, output=None, stateMachineArn=alias, input=entered["input"])
    execution["redriveCount"] = execution.get("redriveCount", 0) + 1
    for name in ("error", "cause"):
        execution.pop(name, None)
    aws.in_background(_run, execution["executionArn"], alias)
    answer: Response = json_response({"redriveDate": time.time()})
    return answer


def _run(arn: str, alias: str) -> None:
    try:
        stepfunctions._run_execution(arn)
    finally:
        del stepfunctions._state_machines[alias]


@seams.replaces(stepfunctions, "_add_event")
def add_event(original: Callable[..., Any], execution: Json, *event: Any) -> Any:
    """Give an execution its own machine and input back, once ministack has read where to begin."""
    execution.update(execution.pop(OWN, {}))
    return original(execution, *event)


@seams.replaces(stepfunctions, "_describe_execution")
def describe_execution(original: Callable[[Json], Response], data: Json) -> Response:
    """Say how often an execution was redriven, and whether it can be."""
    status, headers, body = original(data)
    execution = stepfunctions._executions.get(data.get("executionArn"))
    if execution is None:
        return status, headers, body
    can = execution["status"] in UNSUCCESSFUL
    said = {
        "redriveCount": execution.get("redriveCount", 0),
        "redriveStatus": "REDRIVABLE" if can else "NOT_REDRIVABLE",
    }
    if not can:
        said["redriveStatusReason"] = f"Execution is {execution['status']} and cannot be redriven"
    own = execution.get(OWN, {})
    return status, headers, json.dumps({**json.loads(body), **own, **said}).encode()


def _error(code: str, message: str) -> Response:
    response: Response = error_response_json(code, message, 400)
    return response
