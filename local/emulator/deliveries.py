"""Delivery of an event to the target of a rule or of a schedule.

AWS: EventBridge invokes a function asynchronously, so that Lambda retries, and only if the function's policy names the
rule. What cannot be delivered goes to the target's dead-letter queue, if the queue's policy lets it, with the cause in
the message's attributes. EventBridge Scheduler acts with the schedule's role and fills `<aws.scheduler.…>` into the
input.

ministack: calls the function once, asks no policy and no role, has no dead letters, and looks at schedules every ten
seconds.
"""

import contextvars
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, eventbridge, lambda_svc, scheduler, sns, sqs, stepfunctions

from local.emulator import aws, roles, seams, settings
from local.emulator.aws import Json

NO_PERMISSIONS, NO_RESOURCE = "NO_PERMISSIONS", "NO_RESOURCE"

seams.sets(scheduler, "_SCHEDULE_TICK_INTERVAL", settings.number("SCHEDULE_INTERVAL_SECONDS"))


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a target of a rule or, alike in ministack, of a schedule."""

    target: Json
    source: Json
    event: Json

    @property
    def is_scheduled(self) -> bool:
        """Whether EventBridge Scheduler sends it."""
        return ":schedule/" in self.source.get("Arn", "")

    def count(self, metric: str) -> None:
        """Count it in the metrics of the rule."""
        if not self.is_scheduled:
            cloudwatch.record_metric("AWS/Events", metric, 1, "Count", {"RuleName": self.source["Name"]})


_current: contextvars.ContextVar[Delivery | None] = contextvars.ContextVar("delivery", default=None)


@seams.replaces(eventbridge, "_invoke_target")
def invoke_target(original: Callable[..., None], target: Json, event: Json, source: Json, view: object = None) -> None:
    """Remember the delivery while the target is invoked, as the service and not as whoever caused the event."""
    delivery = Delivery(target, source, event)
    if delivery.is_scheduled:
        target = _filled(target, source)
    delivery.count("Invocations")

    def deliver() -> None:
        _current.set(delivery)
        original(target, event, source, view)

    aws.as_service(deliver)


def _filled(target: Json, schedule: Json) -> Json:
    """Fill the context attributes of EventBridge Scheduler into the input."""
    values = {
        "schedule-arn": schedule["Arn"],
        "scheduled-time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
    }
    text = target.get("Input", "{}")
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return {**target, "Input": text}


@seams.replaces(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(_original: object, arn: str, payload: str) -> None:
    """Invoke the function asynchronously, or say why not."""
    delivery = _current.get()
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        _give_up(delivery, NO_RESOURCE, f"Function not found: {arn}")
    elif delivery and (message := _refusal(delivery, arn, function)):
        _give_up(delivery, NO_PERMISSIONS, message)
    else:
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


def _refusal(delivery: Delivery, arn: str, function: Json) -> str | None:
    if delivery.is_scheduled:
        return _role_denies(delivery, "lambda:InvokeFunction", arn)
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action="lambda:InvokeFunction",
        resource_arn=arn,
        region=get_region(),
        service_context={"aws:sourcearn": delivery.source["Arn"], "aws:sourceaccount": get_account_id()},
    )
    policy = function.get("policy") or {}
    decision = iam_evaluator.evaluate_resource_policy(policy, context, service="events.amazonaws.com").decision
    return None if decision == "Allow" else "Lack of permissions to invoke cross account target."


@seams.replaces(eventbridge, "_dispatch_to_sns")
def dispatch_to_sns(original: Callable[[str, str], None], arn: str, payload: str) -> None:
    """Publish to the topic if its policy lets EventBridge without a condition.

    "You can't use Condition blocks in Amazon SNS topic policies for EventBridge":
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    """
    delivery, topic = _current.get(), sns._topics.get(arn)
    if topic is None:
        _give_up(delivery, NO_RESOURCE, f"Topic does not exist: {arn}")
    elif not _unconditionally_allowed(topic["attributes"]["Policy"], "sns:Publish", arn):
        _give_up(delivery, NO_PERMISSIONS, f"User is not authorized to perform: SNS:Publish on resource: {arn}")
    else:
        original(arn, payload)


def _unconditionally_allowed(policy: str, action: str, resource: str) -> bool:
    document: Json = json.loads(policy)
    statements = [one for one in document["Statement"] if one["Effect"] == "Deny" or not one.get("Condition")]
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    usable = {**document, "Statement": statements}
    decision = iam_evaluator.evaluate_resource_policy(usable, context, service="events.amazonaws.com").decision
    return bool(decision == "Allow")


@seams.replaces(eventbridge, "_dispatch_to_stepfunctions")
def dispatch_to_stepfunctions(original: Callable[[str, str], None], arn: str, payload: str) -> None:
    """Start the execution if the role of the rule's target or of the schedule may."""
    delivery = _current.get()
    if stepfunctions._resolve_state_machine_arn(arn) is None:
        _give_up(delivery, NO_RESOURCE, f"State Machine Does Not Exist: '{arn}'")
    elif delivery and (message := _role_denies(delivery, "states:StartExecution", arn)):
        _give_up(delivery, NO_PERMISSIONS, message)
    else:
        original(arn, payload)


def _role_denies(delivery: Delivery, action: str, resource: str) -> str | None:
    role = delivery.target.get("RoleArn")
    if not role:
        return "The target has no role"
    return roles.denial(role, action, resource, session=uuid.uuid4().hex)


def _give_up(delivery: Delivery | None, code: str, message: str) -> None:
    """Send the event to the target's dead-letter queue; without one it is lost, as on AWS."""
    if delivery is None:
        return
    delivery.count("FailedInvocations")
    queue_arn = delivery.target.get("DeadLetterConfig", {}).get("Arn")
    if not queue_arn:
        return
    if not _may_send(delivery, queue_arn):
        delivery.count("InvocationsFailedToBeSentToDlq")
        return
    sender = "SCHEDULE_ARN" if delivery.is_scheduled else "RULE_ARN"
    attributes = {
        sender: delivery.source["Arn"],
        "TARGET_ARN": delivery.target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
        "RETRY_ATTEMPTS": "0",
    }
    content = eventbridge._pattern_event_view(delivery.event).event_with_detail()
    body = delivery.target.get("Input", "{}") if delivery.is_scheduled else aws.compact(content)
    send(queue_arn, body, attributes)
    delivery.count("InvocationsSentToDlq")


def _may_send(delivery: Delivery, queue_arn: str) -> bool:
    if delivery.is_scheduled:
        return _role_denies(delivery, "sqs:SendMessage", queue_arn) is None
    allowed: bool = sqs.queue_policy_allows(queue_arn, "events.amazonaws.com", delivery.source["Arn"], get_account_id())
    return allowed


def send(queue_arn: str, body: str, attributes: dict[str, str] | None = None) -> None:
    """Put a message into a queue."""
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
    queue = sqs._queue_by_arn(queue_arn)
    if queue:
        sqs._act_send_message({"MessageBody": body, "MessageAttributes": typed}, queue["url"])
