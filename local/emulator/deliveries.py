"""Delivery of an event to the target of a rule.

AWS: EventBridge invokes a function asynchronously, so Lambda retries, and only if the function's policy names the rule.
It publishes to a topic only if the topic's policy allows it without a condition. An event that cannot be delivered goes
to the target's dead-letter queue, if the queue's policy allows it, with the cause in the message's attributes. No rule
of ours has a state machine as its target, and ministack itself runs schedules.

ministack: calls the function once, checks no policy, and has no dead letters.
"""

import contextvars
import json
from collections.abc import Callable
from dataclasses import dataclass

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import eventbridge, lambda_svc, sns, sqs

from local.emulator import aws, seams
from local.emulator.aws import Json

NO_PERMISSIONS, NO_RESOURCE = "NO_PERMISSIONS", "NO_RESOURCE"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to a target of a rule."""

    target: Json
    rule: Json
    event: Json


_current: contextvars.ContextVar[Delivery | None] = contextvars.ContextVar("delivery", default=None)


@seams.replaces(eventbridge, "_invoke_target")
def invoke_target(original: Callable[..., None], target: Json, event: Json, rule: Json, view: object = None) -> None:
    """Remember the delivery while the target is invoked by the service, not by the caller who caused the event."""

    def deliver() -> None:
        # ministack hands schedules over as rules.
        _current.set(None if ":schedule/" in rule.get("Arn", "") else Delivery(target, rule, event))
        original(target, event, rule, view)

    aws.as_service(deliver)


@seams.replaces(eventbridge, "_dispatch_to_lambda")
def dispatch_to_lambda(_original: object, arn: str, payload: str) -> None:
    """Invoke the function asynchronously, or say why not."""
    delivery = _current.get()
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        _give_up(delivery, NO_RESOURCE, f"Function not found: {arn}")
    elif delivery and not _allows(function.get("policy") or {}, "lambda:InvokeFunction", arn, delivery.rule["Arn"]):
        _give_up(delivery, NO_PERMISSIONS, "Lack of permissions to invoke cross account target.")
    else:
        record = lambda_svc._execution_record_for_config(function, config)
        lambda_svc.invoke_async_with_retry(record, json.loads(payload))


@seams.replaces(eventbridge, "_dispatch_to_sns")
def dispatch_to_sns(original: Callable[[str, str], None], arn: str, payload: str) -> None:
    """Publish to the topic if its policy lets EventBridge without a condition.

    "You can't use Condition blocks in Amazon SNS topic policies for EventBridge":
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
    """
    delivery, topic = _current.get(), sns._topics.get(arn)
    policy: Json = json.loads(topic["attributes"]["Policy"]) if topic else {"Statement": []}
    usable = [one for one in policy["Statement"] if one["Effect"] == "Deny" or not one.get("Condition")]
    if topic is None:
        _give_up(delivery, NO_RESOURCE, f"Topic does not exist: {arn}")
    elif not _allows({**policy, "Statement": usable}, "sns:Publish", arn):
        _give_up(delivery, NO_PERMISSIONS, f"User is not authorized to perform: SNS:Publish on resource: {arn}")
    else:
        original(arn, payload)


def _allows(policy: Json, action: str, resource: str, source: str | None = None) -> bool:
    """Return whether a resource's policy lets EventBridge act on behalf of a rule."""
    context = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context={"aws:sourcearn": source, "aws:sourceaccount": get_account_id()} if source else {},
    )
    decision = iam_evaluator.evaluate_resource_policy(policy, context, service="events.amazonaws.com").decision
    return bool(decision == "Allow")


def _give_up(delivery: Delivery | None, code: str, message: str) -> None:
    """Send the event to the target's dead-letter queue; without one it is lost, as on AWS."""
    queue_arn = delivery.target.get("DeadLetterConfig", {}).get("Arn") if delivery else None
    if delivery is None or queue_arn is None:
        return
    if not sqs.queue_policy_allows(queue_arn, "events.amazonaws.com", delivery.rule["Arn"], get_account_id()):
        return
    attributes = {
        "RULE_ARN": delivery.rule["Arn"],
        "TARGET_ARN": delivery.target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
        "RETRY_ATTEMPTS": "0",
    }
    send(queue_arn, aws.compact(eventbridge._pattern_event_view(delivery.event).event_with_detail()), attributes)


def send(queue_arn: str, body: str, attributes: dict[str, str] | None = None) -> None:
    """Put a message into a queue."""
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
    queue = sqs._queue_by_arn(queue_arn)
    if queue:
        sqs._act_send_message({"MessageBody": body, "MessageAttributes": typed}, queue["url"])
