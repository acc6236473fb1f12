"""What a workflow's task may do, and when it is tried again.

AWS: a task acts with the state machine's role; what the role may not do fails with the service's own error. `Retry`
waits at most `MaxDelaySeconds` and, with `JitterStrategy: FULL`, a random part of that.

ministack: enforces no role, and ignores both fields. It waits a minute at most between two attempts, scaled by
`SFN_WAIT_SCALE` like every wait; that limit stays.
"""

import contextvars
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ministack.services import cloudwatch, stepfunctions

from local.emulator import aws, executions, roles, seams
from local.emulator.aws import Json


@dataclass(frozen=True, slots=True)
class Actor:
    """The role that a running task acts with; `session` is its session's name on AWS, the execution's name here."""

    role_arn: str
    session: str


_actor: contextvars.ContextVar[Actor | None] = contextvars.ContextVar("actor", default=None)


def actor_of(execution: Json) -> Actor | None:
    """Return the role of an execution's state machine; that of a Map Run's child is its parent's."""
    machine_arn = execution["stateMachineArn"].split("/")[0]
    machine = stepfunctions._state_machines.get(machine_arn)
    return Actor(machine["roleArn"], execution["name"][:64]) if machine and machine.get("roleArn") else None


def require(actor: Actor | None, error: str, action: str, resource: str) -> None:
    """Raise the error that the workflow sees if the role may not do this."""
    if actor and (message := roles.denial(actor.role_arn, action, resource, session=actor.session)):
        raise stepfunctions._ExecutionError(error, message)


@seams.replaces(stepfunctions, "_execute_task")
def execute_task(
    original: Callable[..., tuple[object, str | None]], state: Json, raw: object, execution: Json, context: Json
) -> tuple[object, str | None]:
    """Run the task on behalf of the state machine's role."""
    executions.remember_context(execution, context)
    token = _actor.set(actor_of(execution))
    try:
        return original(state, raw, execution, context)
    finally:
        _actor.reset(token)


@seams.replaces(stepfunctions, "_invoke_resource")
def invoke_resource(original: Callable[..., object], resource: str, parameters: Json) -> object:
    """Call the service if the role may."""
    if resource.startswith("arn:aws:states:::sns:publish") and not isinstance(parameters.get("Message", ""), str):
        # Step Functions serialises a message that is an object.
        parameters = {**parameters, "Message": aws.compact(parameters["Message"])}
    try:
        for error, action, target in _needs(resource, parameters):
            require(_actor.get(), error, action, target)
        result = original(resource, parameters)
    except stepfunctions._ExecutionError:
        _count("ServiceIntegrationsFailed", resource)
        raise
    _count("ServiceIntegrationsSucceeded", resource)
    return result


def _count(metric: str, resource: str) -> None:
    """Count a call in the metrics of AWS/States."""
    cloudwatch.record_metric("AWS/States", metric, 1, "Count", {"ServiceIntegrationResourceArn": resource})


def _needs(resource: str, parameters: Json) -> Iterator[tuple[str, str, str]]:
    """Yield error, action and resource of what a task does; AWS SDK integrations are not checked."""
    service = resource.removeprefix("arn:aws:states:::")
    if service.startswith("glue:startJobRun"):
        job = aws.arn("glue", f"job/{parameters.get('JobName', '')}")
        yield "Glue.AccessDeniedException", "glue:StartJobRun", job
        if service.endswith(".sync"):
            yield "Glue.AccessDeniedException", "glue:GetJobRun", job
    elif service.startswith("lambda:invoke"):
        yield "Lambda.AWSLambdaException", "lambda:InvokeFunction", _function_arn(parameters.get("FunctionName", ""))
    elif ":function:" in resource:
        yield "Lambda.AWSLambdaException", "lambda:InvokeFunction", resource
    elif service.startswith("sns:publish"):
        yield "SNS.AuthorizationErrorException", "sns:Publish", parameters.get("TopicArn", "*")
    elif service.startswith("sqs:sendMessage"):
        queue = parameters.get("QueueUrl", "").rsplit("/", 1)[-1]
        yield "SQS.AmazonSQSException", "sqs:SendMessage", aws.arn("sqs", queue)
    elif service.startswith("events:putEvents"):
        yield "EventBridge.AccessDeniedException", "events:PutEvents", aws.arn("events", "event-bus/default")
    elif service.startswith("states:startExecution"):
        machine = parameters.get("StateMachineArn", "*")
        yield "StepFunctions.AccessDeniedException", "states:StartExecution", machine


def _function_arn(reference: str) -> str:
    return reference if reference.startswith("arn:") else aws.arn("lambda", f"function:{reference}")


@seams.replaces(stepfunctions, "_find_matching_retrier")
def find_matching_retrier(
    original: Callable[..., tuple[Json | None, int]], retriers: list[Json], error: str, counts: dict[int, int]
) -> tuple[Json | None, int]:
    """Return a retrier whose interval is the delay itself; ministack multiplies interval and backoff, no more."""
    retrier, index = original(retriers, error, counts)
    if retrier is None:
        return retrier, index
    return {**retrier, "IntervalSeconds": delay(retrier, counts.get(index, 0)), "BackoffRate": 1}, index


def delay(retrier: Json, attempt: int) -> float:
    """Return the seconds before the next attempt, after so many retries."""
    grown: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** attempt
    longest = min(grown, retrier.get("MaxDelaySeconds", grown))
    # Jitter needs no secrecy.
    return random.uniform(0, longest) if retrier.get("JitterStrategy") == "FULL" else longest  # noqa: S311
