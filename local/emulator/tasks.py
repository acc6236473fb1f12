"""Permissions of a workflow's tasks.

AWS: a task acts with the state machine's role; a call that the role may not make fails with the service's own error.

ministack: enforces no role. It also ignores `JitterStrategy` and `MaxDelaySeconds` and waits a minute at most between
two attempts, scaled by `SFN_WAIT_SCALE` like every wait; that stays.
"""

import contextvars
from collections.abc import Callable, Iterator

from ministack.services import stepfunctions

from local.emulator import aws, roles, seams
from local.emulator.aws import Json

_execution: contextvars.ContextVar[Json | None] = contextvars.ContextVar("execution", default=None)


def require(execution: Json, error: str, action: str, resource: str) -> None:
    """Raise the error that the workflow sees if its machine's role may not do this."""
    # The machine of a Map Run's child is its parent's, with the label of the Map state.
    machine = stepfunctions._state_machines[execution["stateMachineArn"].split("/")[0]]
    if message := roles.denial(machine["roleArn"], action, resource, session=execution["name"][:64]):
        raise stepfunctions._ExecutionError(error, message)


@seams.replaces(stepfunctions, "_execute_task")
def execute_task(
    original: Callable[..., tuple[object, str | None]], state: Json, raw: object, execution: Json, context: Json
) -> tuple[object, str | None]:
    """Remember whose task it is while it runs."""
    token = _execution.set(execution)
    try:
        return original(state, raw, execution, context)
    finally:
        _execution.reset(token)


@seams.replaces(stepfunctions, "_invoke_resource")
def invoke_resource(original: Callable[..., object], resource: str, parameters: Json) -> object:
    """Call the service if the role may."""
    execution = _execution.get()
    for error, action, target in _needs(resource.removeprefix("arn:aws:states:::"), parameters):
        assert execution
        require(execution, error, action, target)
    return original(resource, parameters)


def _needs(service: str, parameters: Json) -> Iterator[tuple[str, str, str]]:
    """Yield error, action and resource of each call of a task; calls to other services are not checked."""
    if service.startswith("glue:startJobRun"):
        job = aws.arn("glue", f"job/{parameters.get('JobName', '')}")
        yield "Glue.AccessDeniedException", "glue:StartJobRun", job
        if service.endswith(".sync"):
            yield "Glue.AccessDeniedException", "glue:GetJobRun", job
    elif service.startswith("lambda:invoke"):
        name = parameters.get("FunctionName", "")
        function = name if name.startswith("arn:") else aws.arn("lambda", f"function:{name}")
        yield "Lambda.AWSLambdaException", "lambda:InvokeFunction", function
    elif service.startswith("sns:publish"):
        yield "SNS.AuthorizationErrorException", "sns:Publish", parameters.get("TopicArn", "*")
