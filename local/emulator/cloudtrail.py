"""Data events of a trail, on the event bus.

AWS: while a trail with data events for S3 objects logs, each write is also `AWS API Call via CloudTrail` on the default
bus, minutes later; failed calls too, with an `errorCode`. ministack: never sends one.

Browser uploads (PostObject) are left out: their key is in the form, which nobody here reads.
"""

import json
import secrets
import string
import time
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack.services import cloudtrail, eventbridge, s3

from local.emulator import aws, settings
from local.emulator.aws import Json

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Message, Receive, Send], Awaitable[None]]

FORBIDDEN = 403
SUBRESOURCES = {"acl", "legal-hold", "partNumber", "retention", "tagging", "uploads"}


def recording(app: App) -> App:
    """Wrap the server so that it records what it answers."""

    async def recorded(scope: Message, receive: Receive, send: Send) -> None:
        call = _upload(scope) if scope["type"] == "http" and scope["method"] in {"PUT", "POST"} else None

        async def sent(message: Message) -> None:
            if call and message["type"] == "http.response.start" and _logs_objects():
                aws.in_background(_announce, call, message["status"], _decoded(message.get("headers", [])))
            await send(message)

        await app(scope, receive, sent)

    return recorded


def _upload(scope: Message) -> Json | None:
    """Say which S3 call creates an object with this request, if one does."""
    headers = _decoded(scope["headers"])
    if "x-amz-target" in headers:
        return None
    path = scope.get("raw_path", b"").decode() or urllib.parse.quote(scope["path"])
    bucket, _, key = path.split("?")[0].lstrip("/").partition("/")
    query = urllib.parse.parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    if scope["method"] == "POST":
        name = "CompleteMultipartUpload" if "uploadId" in query else None
    else:
        name = "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
    if not key or not name or SUBRESOURCES & query.keys() or bucket not in s3._buckets:
        return None
    access_key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
    return {"name": name, "bucket": bucket, "key": urllib.parse.unquote(key), "access_key": access_key}


def _decoded(headers: Any) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in headers}


def _logs_objects() -> bool:
    selectors = [
        cloudtrail._event_selectors.get(name, [])
        for name, trail in cloudtrail._trails.items()
        if trail.get("IsLogging")
    ]
    return "AWS::S3::Object" in json.dumps(selectors)


def _announce(call: Json, status: int, headers: dict[str, str]) -> None:
    time.sleep(settings.number("CLOUDTRAIL_DELAY_SECONDS"))
    failed = status >= 400  # noqa: PLR2004
    version = headers.get("x-amz-version-id")
    response = {"x-amz-server-side-encryption": "AES256"} | ({"x-amz-version-id": version} if version else {})
    identity = {"type": "IAMUser", "accountId": settings.ACCOUNT, "accessKeyId": call["access_key"]}
    detail: Json = {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": "s3.amazonaws.com",
        "eventName": call["name"],
        "awsRegion": settings.REGION,
        "sourceIPAddress": "127.0.0.1",
        "requestParameters": {"bucketName": call["bucket"], "key": call["key"]},
        "responseElements": None if failed else response,
        "requestID": "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(16)),
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "resources": [
            {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{call['bucket']}/{call['key']}"},
            {"accountId": settings.ACCOUNT, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{call['bucket']}"},
        ],
        "eventType": "AwsApiCall",
        "managementEvent": False,
        "recipientAccountId": settings.ACCOUNT,
        "eventCategory": "Data",
    }
    if failed:
        code = "AccessDenied" if status == FORBIDDEN else str(status)
        detail |= {"errorCode": code, "errorMessage": "Access Denied" if status == FORBIDDEN else code}
    event: Json = {
        "EventId": str(uuid.uuid4()),
        "Source": "aws.s3",
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(detail),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [],
        "Account": settings.ACCOUNT,
        "Region": settings.REGION,
    }
    eventbridge._archive_event(event)
    eventbridge._dispatch_event(event)
