"""Object events from S3 to EventBridge, and the answers to reads of the object.

AWS: `version-id` is there for an object in a versioned bucket and absent otherwise, also while versioning is suspended;
the events are archived like all others. A HEAD of an object without a version says
`null` once its bucket has ever been versioned. A missing object is a 403 for callers who may not list the bucket.

ministack: never sends a `version-id`, archives no S3 event, and dates them in a form that a replay cannot compare. A
missing object is a 404 for everybody.
"""

import contextvars
import json
import time
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import eventbridge, s3

from local.emulator import roles, seams
from local.emulator.aws import Json, Response, account_of

_version_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("version_id", default=None)


@seams.replaces(s3, "_fire_s3_event")
def fire_s3_event(original: Callable[..., None], *args: Any, version_id: str | None = None, **kwargs: Any) -> None:
    """Remember the version while the event is made."""
    token = _version_id.set(version_id)
    try:
        original(*args, version_id=version_id, **kwargs)
    finally:
        _version_id.reset(token)


@seams.replaces(eventbridge, "_dispatch_event")
def dispatch_event(original: Callable[..., None], event: Json, view: object = None) -> None:
    """Complete and archive an event of S3; a replayed event is neither completed nor archived again."""
    new_from_s3 = event.get("Source") == "aws.s3" and "ReplayName" not in event and isinstance(event["Time"], str)
    if not new_from_s3:
        original(event, view)
        return
    complete = {**event, "Detail": _completed(event["Detail"]), "Time": int(time.time())}
    eventbridge._archive_event(complete)
    original(complete)


def _completed(text: str) -> str:
    detail: Json = json.loads(text)
    version_id = _version_id.get()
    if version_id and version_id != "null":
        detail["object"]["version-id"] = version_id
    return json.dumps(detail)


@seams.replaces(s3, "_head_object")
def head_object(original: Callable[..., Response], bucket: str, key: str, *args: Any, **kwargs: Any) -> Response:
    """Name the version `null` as AWS does, and answer 403 for a missing key to callers who may not list."""
    response = original(bucket, key, *args, **kwargs)
    if response[0] == 200 and s3._bucket_versioning.get(bucket):  # noqa: PLR2004
        response[1].setdefault("x-amz-version-id", "null")
    return _hidden(bucket, response)


@seams.replaces(s3, "_get_object")
def get_object(original: Callable[..., Response], bucket: str, key: str, *args: Any, **kwargs: Any) -> Response:
    """Answer 403 for a missing key to callers who may not list."""
    return _hidden(bucket, original(bucket, key, *args, **kwargs))


def _hidden(bucket: str, response: Response) -> Response:
    """Turn a 404 into a 403 for a role without `s3:ListBucket`; bucket policies are not asked."""
    caller = iam_evaluator.caller_arn()
    if response[0] != 404 or ":assumed-role/" not in caller:  # noqa: PLR2004
        return response
    _, role, session = caller.split("/")
    role_arn = f"arn:aws:iam::{account_of(caller)}:role/{role}"
    if roles.denial(role_arn, "s3:ListBucket", f"arn:aws:s3:::{bucket}", session=session) is None:
        return response
    forbidden: Response = s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}")
    return forbidden
