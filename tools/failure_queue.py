"""A look at the failure queue, which deletes no message and hides them only for some seconds."""

from dataclasses import dataclass
from typing import Any

from tools.reading import dig, read_json

# The most messages of a look, and the seconds for which it hides each from others.
MESSAGES = 100
HIDDEN = 10


@dataclass(frozen=True, slots=True)
class Message:
    """An event that could not be handled; `what` is the error's name; `key` is None if it names no object."""

    when: str
    what: str
    key: str | None
    version_id: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """The result of a look; `hidden` counts messages that somebody else looked at some seconds ago."""

    messages: list[Message]
    hidden: int

    @property
    def note(self) -> str:
        """The note about unseen messages; empty if all were seen."""
        if self.hidden:
            return (
                f"{self.hidden} more are hidden: they were looked at some seconds ago. Ask again in {HIDDEN} seconds."
            )
        return f"The first {MESSAGES} messages; there may be more." if len(self.messages) >= MESSAGES else ""


def count(sqs: Any, url: str) -> tuple[int, int]:
    """Return about how many messages are visible, and how many are hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    visible, hidden = (int(counts[name]) for name in names)
    return visible, hidden


def peek(sqs: Any, url: str) -> Look:
    """Look at the messages, at most MESSAGES of them."""
    _, hidden = count(sqs, url)
    seen: dict[str, Any] = {}
    while len(seen) < MESSAGES:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN, MessageAttributeNames=["All"]
        )
        fresh = {one["MessageId"]: one for one in answer.get("Messages", []) if one["MessageId"] not in seen}
        if not fresh:
            break
        seen |= fresh
    return Look([read_message(one) for one in seen.values()], hidden)


def read_message(message: dict[str, Any]) -> Message:
    """Read a message: Lambda's record of a failed invocation, or a rule's dead letter."""
    record = read_json(message["Body"])
    event = record.get("requestPayload", record)
    attributes = message.get("MessageAttributes", {})
    what = dig(record, "responsePayload", "errorType") or dig(attributes, "ERROR_CODE", "StringValue")
    why = (
        dig(record, "responsePayload", "errorMessage")
        or dig(attributes, "ERROR_MESSAGE", "StringValue")
        or dig(record, "requestContext", "condition")
    )
    return Message(
        (dig(event, "time") or "").replace("T", " ").removesuffix("Z"),
        what or "not handled",
        dig(event, "detail", "object", "key") or dig(event, "detail", "requestParameters", "key"),
        dig(event, "detail", "object", "version-id") or dig(event, "detail", "responseElements", "x-amz-version-id"),
        why or "",
    )
