"""Starting executions, also by version or alias.

AWS: the name of a Standard execution is an idempotency key. The same name with the same input, while the first one
runs, returns the first one; any other reuse is `ExecutionAlreadyExists`. Names and inputs are validated. A start by
version or alias needs the permission for the unqualified machine.

ministack: refuses every reuse, checks no name and no input, may start two executions of one name when two threads ask
at once, and asks for a permission on the version or alias. A stopped execution whose task then fails turns FAILED.
"""

import json
import re
import threading
from collections.abc import Callable

from ministack.core import iam_actions
from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import stepfunctions

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

MAX_NAME = 80
MAX_INPUT = 262_144  # bytes
ILLEGAL_IN_NAME = re.compile(r'[\s\x00-\x1f\x7f-\x9f<>{}\[\]?*"#%\\^|~`$&,;:/]')

# The name is taken in a check and a write; deliveries come from many threads.
_starting = threading.RLock()


@seams.replaces(stepfunctions, "_start_execution")
def start_execution(original: Callable[[Json], Response], data: Json) -> Response:
    """Answer StartExecution."""
    requested = data.get("stateMachineArn", "")
    machine_arn = stepfunctions._resolve_state_machine_arn(requested)
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
            return original(data)
    if existing["status"] == "RUNNING" and existing["input"] == data["input"]:
        running: Response = json_response({"executionArn": arn, "startDate": existing["startDate"]})
        return running
    return _error("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")


def _invalid(name: str, text: str) -> Response | None:
    if not 1 <= len(name) <= MAX_NAME or ILLEGAL_IN_NAME.search(name):
        return _error("InvalidName", f"Invalid Name: '{name}'")
    if len(text.encode()) > MAX_INPUT:
        return _error("InvalidExecutionInput", f"Invalid State Machine Execution Input: longer than {MAX_INPUT} bytes")
    try:
        json.loads(text)
    except ValueError as error:
        return _error("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'")
    return None


@seams.replaces(iam_actions, "extract_resource_arn")
def resource_arn(
    original: Callable[..., str], service: str, method: str, path: str, headers: Json, body: bytes, *more: object
) -> str:
    """Return the ARN that a caller needs the permission for: a machine's without its version or alias, or a Map Run's.

    https://docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html
    """
    arn = original(service, method, path, headers, body, *more)
    if service == "states" and arn == "*":
        return str(json.loads(body or b"{}").get("mapRunArn", arn))
    return ":".join(arn.split(":")[:7]) if ":stateMachine:" in arn else arn


@seams.replaces(stepfunctions, "_fail_execution")
def fail_execution(original: Callable[..., None], execution: Json, error: str, cause: str) -> None:
    """Keep the status of an execution that was stopped while its task ran."""
    if execution["status"] == "RUNNING":
        original(execution, error, cause)


def _error(code: str, message: str) -> Response:
    response: Response = error_response_json(code, message, 400)
    return response
