"""Parse: from an EventBridge event of either kind to one `ObjectCreated`.

Strict on the fields a decision needs, blind to all others, so that a field AWS adds tomorrow breaks nothing. The models
are our own: Powertools' S3 model asks for fields nobody here reads, and types the size as a float.
"""

from typing import Annotated, Any

from aws_lambda_powertools.utilities.parser import BaseModel, Field, ValidationError, parse
from pydantic import BeforeValidator, StringConstraints

from shared.arrival import ObjectCreated, Skip, SkipReason, Source, real_version
from shared.errors import MalformedEventError

NATIVE = ("aws.s3", "Object Created")
CLOUDTRAIL = ("aws.s3", "AWS API Call via CloudTrail")
UPLOADS = frozenset({"PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"})

# The length also makes pydantic refuse lone surrogates, which JSON can spell and UTF-8 can't.
Text = Annotated[str, StringConstraints(min_length=1)]
VersionId = Annotated[Text | None, BeforeValidator(lambda value: None if value == "" else value)]


class Bucket(BaseModel):  # noqa: D101
    name: Text


class S3Object(BaseModel):  # noqa: D101
    key: Text
    version_id: VersionId = Field(default=None, alias="version-id")


class NativeDetail(BaseModel):  # noqa: D101
    bucket: Bucket
    object: S3Object


class NativeEvent(BaseModel):
    """S3's own `Object Created` event.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """

    account: Text
    detail: NativeDetail


class ApiCall(BaseModel):
    """What every CloudTrail record of an API call says; `errorCode` is there only when the call failed."""

    event_source: Text = Field(alias="eventSource")
    event_name: Text = Field(alias="eventName")
    error_code: Any = Field(default=None, alias="errorCode")


class ApiCallEvent(BaseModel):  # noqa: D101
    detail: ApiCall


class RequestParameters(BaseModel):  # noqa: D101
    bucket_name: Text = Field(alias="bucketName")
    key: Text


class ResponseElements(BaseModel):  # noqa: D101
    version_id: VersionId = Field(default=None, alias="x-amz-version-id")


class UploadDetail(BaseModel):  # noqa: D101
    request_parameters: RequestParameters = Field(alias="requestParameters")
    response_elements: ResponseElements | None = Field(default=None, alias="responseElements")


class UploadEvent(BaseModel):
    """A successful upload as CloudTrail records it.

    Bucket and key come from `requestParameters` alone: `resources` also names the source of a copy.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
    """

    account: Text
    detail: UploadDetail


def kind_of(event: object) -> tuple[object, object]:
    """Give source and detail-type of anything, None for what is missing."""
    if not isinstance(event, dict):
        return None, None
    return event.get("source"), event.get("detail-type")


def source_of(event: object) -> Source:
    """Say who announced the object, even of an event that can't be parsed."""
    kind = kind_of(event)
    if kind == NATIVE:
        return Source.NATIVE
    return Source.CLOUDTRAIL if kind == CLOUDTRAIL else Source.OTHER


def parse_event(event: object) -> ObjectCreated | Skip:
    """Parse an event into the object it announces, or the reason why it announces none.

    Raises MalformedEventError for whatever is not an EventBridge event or lacks a field the decision needs.
    """
    kind = kind_of(event)
    if not isinstance(event, dict) or not all(isinstance(name, str) and name for name in kind):
        raise MalformedEventError(_not_from_eventbridge(event))
    try:
        if kind == NATIVE:
            return _native(event)
        if kind == CLOUDTRAIL:
            return _cloudtrail(event)
    except ValidationError as error:
        raise MalformedEventError(_what_is_wrong(event, error)) from error
    return Skip(SkipReason.NOT_AN_ARRIVAL, f"{kind[1]!a} from {kind[0]!a} announces no new object")


def _native(event: dict[str, Any]) -> ObjectCreated:
    arrived = parse(event=event, model=NativeEvent)
    announced = arrived.detail.object
    return ObjectCreated(
        arrived.detail.bucket.name, announced.key, real_version(announced.version_id), arrived.account, Source.NATIVE
    )


def _cloudtrail(event: dict[str, Any]) -> ObjectCreated | Skip:
    call = parse(event=event, model=ApiCallEvent).detail
    if call.event_source != "s3.amazonaws.com" or call.event_name not in UPLOADS:
        return Skip(SkipReason.NOT_AN_ARRIVAL, f"{call.event_name!a} on {call.event_source!a} creates no object")
    if call.error_code is not None:
        return Skip(SkipReason.FAILED_CALL, f"{call.event_name} failed with {call.error_code!a}: nothing was uploaded")
    upload = parse(event=event, model=UploadEvent)
    target = upload.detail.request_parameters
    response = upload.detail.response_elements
    version_id = real_version(response.version_id) if response else None
    return ObjectCreated(target.bucket_name, target.key, version_id, upload.account, Source.CLOUDTRAIL)


def _not_from_eventbridge(event: object) -> str:
    hint = "Invoke this function from an EventBridge rule, or with a file of events/."
    if isinstance(event, dict) and "Records" in event:
        hint = "It looks like a classic S3, SNS or SQS notification: turn on EventBridge for the bucket instead."
    elif isinstance(event, dict) and "requestPayload" in event:
        hint = "It looks like a record of the failure queue: the event to send again is its requestPayload."
    return f"No EventBridge event: `source` and `detail-type` must be non-empty strings. {hint}"


def _what_is_wrong(event: dict[str, Any], error: ValidationError) -> str:
    fields = "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'the event'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    )
    return f"Event {event.get('id')!a} ({event['detail-type']}) can't be acted on. {fields}."
