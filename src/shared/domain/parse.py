"""Parse any payload into one `Announcement`, and that into one `ObjectCreated`.

The parser checks the fields that a decision needs and ignores all others, so a new field of AWS's breaks nothing. The
models are our own: Powertools' S3 model requires fields that we don't read, and its size is a float.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.utilities.parser import BaseModel, ValidationError, parse
from pydantic import BeforeValidator, StringConstraints

from shared.domain.arrival import Announcement, ObjectCreated, Skip, SkipReason, Source, real_version
from shared.domain.errors import MalformedEventError

S3 = "aws.s3"
OBJECT_CREATED = "Object Created"
API_CALL = "AWS API Call via CloudTrail"
UPLOADS = frozenset({"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"})

# The path of every value that is read from an event.
ANY_EVENT = {
    "source": "source",
    "detail_type": "detail-type",
    "event_id": "id",
    "event_time": "time",
    "replay_name": "replay-name",
    "account": "account",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
S3_EVENT = ANY_EVENT | {
    "bucket": "detail.bucket.name",
    "key": "detail.object.key",
    "version_id": "detail.object.version-id",
}
# Bucket and key come only from `requestParameters`: `resources` also names the source of a copy. `errorCode` is there
# only if the call failed.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
CLOUDTRAIL_EVENT = ANY_EVENT | {
    "bucket": "detail.requestParameters.bucketName",
    "key": "detail.requestParameters.key",
    "version_id": "detail.responseElements.x-amz-version-id",
    "event_source": "detail.eventSource",
    "event_name": "detail.eventName",
    "error_code": "detail.errorCode",
}

# The length also makes pydantic refuse lone surrogates, which JSON can have and UTF-8 can't.
Text = Annotated[str, StringConstraints(min_length=1)]
VersionId = Annotated[Text | None, BeforeValidator(lambda value: None if value == "" else value)]


class AnnouncedObject(BaseModel):
    """The required fields of an event about its object."""

    account: Text
    bucket: Text
    key: Text
    version_id: VersionId = None


class ApiCall(BaseModel):
    """The required fields of a CloudTrail record about its call."""

    event_source: Text
    event_name: Text


def read_announcement(event: object) -> Announcement:
    """Read the facts of any payload; this never fails, so a payload that can't be parsed is logged and counted too."""
    paths = _paths(_find(event, "detail-type"))
    said = {name: found for name, path in paths.items() if (found := _find(event, path)) is not None}
    return Announcement(_source(said), said, event)


def parse_announcement(announcement: Announcement) -> ObjectCreated | Skip:
    """Parse an announcement into the object it announces, or the reason why it announces none.

    Raises MalformedEventError if the payload is no EventBridge event or lacks a field that the decision needs.
    """
    said = announcement.said
    if not all(isinstance(said.get(name), str) and said[name] for name in ("source", "detail_type")):
        raise MalformedEventError(_not_from_eventbridge(announcement))
    if announcement.source is Source.OTHER:
        why = f"{said['detail_type']!a} from {said['source']!a} announces no new object"
        return Skip(SkipReason.NOT_AN_ARRIVAL, why)
    try:
        if announcement.source is Source.CLOUDTRAIL and (skip := _no_upload(announcement)):
            return skip
        upload = parse(event=dict(said), model=AnnouncedObject)
    except ValidationError as error:
        raise MalformedEventError(_what_is_wrong(announcement, error)) from error
    return ObjectCreated(upload.bucket, upload.key, real_version(upload.version_id), upload.account)


def _no_upload(announcement: Announcement) -> Skip | None:
    call = parse(event=dict(announcement.said), model=ApiCall)
    if call.event_source != "s3.amazonaws.com" or call.event_name not in UPLOADS:
        return Skip(SkipReason.NOT_AN_ARRIVAL, f"{call.event_name!a} on {call.event_source!a} creates no object")
    if "error_code" in announcement.said:
        code = announcement.said["error_code"]
        return Skip(SkipReason.FAILED_CALL, f"{call.event_name} failed with {code!a}: nothing was uploaded")
    return None


def _find(event: object, path: str) -> object:
    found: Any = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _paths(detail_type: object) -> dict[str, str]:
    return CLOUDTRAIL_EVENT if detail_type == API_CALL else S3_EVENT


def _source(said: dict[str, object]) -> Source:
    if said.get("source") != S3:
        return Source.OTHER
    if said.get("detail_type") == OBJECT_CREATED:
        return Source.NATIVE
    return Source.CLOUDTRAIL if said.get("detail_type") == API_CALL else Source.OTHER


def _not_from_eventbridge(announcement: Announcement) -> str:
    hint = next(hint for looks_like, hint in HINTS if looks_like(announcement.payload))
    return f"No EventBridge event: `source` and `detail-type` must be non-empty strings. {hint}"


def _wraps_an_event(payload: object) -> bool:
    """Return whether a batch of SQS or SNS has an EventBridge event in a message, also one that passed both."""
    return any(_find(message, "detail-type") for message in _messages(payload))


def _messages(payload: object) -> list[object]:
    """Return the messages of a batch's first record: its own, and the one inside if SNS sent it to SQS."""
    records = _find(payload, "Records")
    first = records[0] if isinstance(records, list) and records else None
    message = _read_json(_find(first, "body") or _find(first, "Sns.Message"))
    return [message, _read_json(_find(message, "Message"))]


def _read_json(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


# The shapes of payloads that are no event, each with its remedy. The first that fits counts, and the last always fits.
HINTS: tuple[tuple[Callable[[object], bool], str], ...] = (
    (
        lambda payload: isinstance(payload, str),
        "It is a text: let the rule pass the whole event, without an input transformer, and encode it as JSON only once.",
    ),
    (
        lambda payload: isinstance(payload, list),
        "It is a list, as EventBridge Pipes and batches send it: let a rule invoke this function, with one event at a time.",
    ),
    (
        _wraps_an_event,
        (
            "It looks like an EventBridge event inside a message of SQS or SNS: let the rule invoke this function itself, "
            "without the queue or topic."
        ),
    ),
    (
        lambda payload: _find(payload, "Records") is not None,
        "It looks like a classic S3, SNS or SQS notification: turn on EventBridge for the bucket instead.",
    ),
    (
        lambda payload: _find(payload, "requestPayload") is not None,
        "It looks like a record of the failure queue: the event to send again is its requestPayload.",
    ),
    (
        lambda payload: (_find(payload, "bucket.name") or _find(payload, "requestParameters.bucketName")) is not None,
        (
            "It looks like an event's detail alone: take InputPath, Input or the input transformer off the rule's target, so "
            "that it passes the whole event."
        ),
    ),
    (lambda _payload: True, "Invoke this function from an EventBridge rule, or with a file of events/."),
)


def _what_is_wrong(announcement: Announcement, error: ValidationError) -> str:
    said = announcement.said
    paths = _paths(said["detail_type"])
    fields = "; ".join(f"{paths[str(item['loc'][0])]}: {item['msg']}" for item in error.errors())
    return f"Event {said.get('event_id')!a} ({said['detail_type']}) can't be acted on. {fields}."
