"""Data events of a trail, on the event bus.

AWS: while a trail with selectors for S3 objects logs, each upload is also `AWS API Call via CloudTrail` on the default
bus, minutes later; failed calls too, with an `errorCode`. ministack: never sends one.

A failed browser upload is left out: its key is in the form, which this code does not read.
"""

import json
import re
import secrets
import string
import time
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import cloudtrail, eventbridge, s3

from local.emulator import aws, settings
from local.emulator.aws import Json

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Message, Receive, Send], Awaitable[None]]

FAILED = 400
SUBRESOURCES = {"acl", "legal-hold", "partNumber", "retention", "tagging", "uploads"}
ERROR = re.compile(r"<Code>(.*?)</Code>\s*<Message>(.*?)</Message>", re.DOTALL)


def recording(app: App) -> App:
    """Wrap the server so that it records its answers."""

    async def recorded(scope: Message, receive: Receive, send: Send) -> None:
        call = _upload(scope) if scope["type"] == "http" and scope["method"] in {"PUT", "POST"} else None

        async def sent(message: Message) -> None:
            if call and message["type"] == "http.response.start":
                call.update(status=message["status"], answer=_decoded(message.get("headers", [])))
            elif call and message["type"] == "http.response.body" and "status" in call:
                _record(call | {"error": message.get("body", b"")}, call.pop("status"))
            await send(message)

        await app(scope, receive, sent)

    return recorded


def _upload(scope: Message) -> Json | None:
    """Return which S3 call creates an object with this request, if one does."""
    headers = _decoded(scope["headers"])
    path = scope.get("raw_path", b"").decode() or urllib.parse.quote(scope["path"])
    bucket, _, key = path.split("?")[0].lstrip("/").partition("/")
    query = urllib.parse.parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    if "x-amz-target" in headers or SUBRESOURCES & query.keys() or bucket not in s3._buckets:
        return None
    if scope["method"] == "PUT":
        name = "CopyObject" if "x-amz-copy-source" in headers else "PutObject"
    elif "uploadId" in query:
        name = "CompleteMultipartUpload"
    elif headers.get("content-type", "").startswith("multipart/form-data"):
        name = "PostObject"
    else:
        return None
    if not key and name != "PostObject":
        return None
    access_key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
    return {
        "name": name,
        "bucket": bucket,
        "key": urllib.parse.unquote(key),
        "access_key": access_key,
        "copied": headers.get("x-amz-copy-source"),
        "agent": headers.get("user-agent", ""),
    }


def _decoded(headers: Any) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in headers}


def _record(call: Json, status: int) -> None:
    """Announce the call, if its object is known and a trail logs it."""
    if call["name"] == "PostObject":
        call["key"] = urllib.parse.unquote(urllib.parse.urlparse(call["answer"].get("location", "")).path[1:])
    if call["key"] and _is_logged(call):
        aws.in_background(_announce, call, status)


def _is_logged(call: Json) -> bool:
    """Return whether a trail that logs has a basic selector for it; advanced selectors are left out."""
    arn = f"arn:aws:s3:::{call['bucket']}/{call['key']}"
    return any(
        resource["Type"] == "AWS::S3::Object" and arn.startswith(tuple(resource["Values"]))
        for name, trail in cloudtrail._trails.items()
        if trail.get("IsLogging")
        for selector in cloudtrail._event_selectors.get(name, [])
        if selector.get("ReadWriteType") != "ReadOnly"
        for resource in selector.get("DataResources", [])
    )


def _announce(call: Json, status: int) -> None:
    time.sleep(settings.number("CLOUDTRAIL_DELAY_SECONDS"))
    event: Json = {
        "EventId": str(uuid.uuid4()),
        "Source": "aws.s3",
        "DetailType": "AWS API Call via CloudTrail",
        "Detail": json.dumps(_detail(call, status)),
        "EventBusName": "default",
        "Time": int(time.time()),
        "Resources": [],
        "Account": settings.ACCOUNT,
        "Region": settings.REGION,
    }
    eventbridge._archive_event(event)
    eventbridge._dispatch_event(event)


def _detail(call: Json, status: int) -> Json:
    failed = status >= FAILED
    version = call["answer"].get("x-amz-version-id")
    response = {"x-amz-server-side-encryption": "AES256"} | ({"x-amz-version-id": version} if version else {})
    bucket = f"arn:aws:s3:::{call['bucket']}"
    resources = [
        {"type": "AWS::S3::Object", "ARN": f"{bucket}/{call['key']}"},
        {"accountId": settings.ACCOUNT, "type": "AWS::S3::Bucket", "ARN": bucket},
    ]
    asked = {"bucketName": call["bucket"], "key": call["key"]}
    if call["copied"]:
        source = urllib.parse.unquote(call["copied"]).lstrip("/").split("?versionId=")[0]
        resources.append({"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{source}"})
        asked["x-amz-copy-source"] = call["copied"]
    return {
        "eventVersion": "1.11",
        "userIdentity": _identity(call["access_key"]),
        "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "eventSource": "s3.amazonaws.com",
        "eventName": call["name"],
        "awsRegion": settings.REGION,
        "sourceIPAddress": "127.0.0.1",
        "userAgent": f"[{call['agent']}]",
        **(_error(call["error"], status) if failed else {}),
        "requestParameters": asked,
        "responseElements": None if failed else response,
        "requestID": "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(16)),
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "resources": resources,
        "eventType": "AwsApiCall",
        "managementEvent": False,
        "recipientAccountId": settings.ACCOUNT,
        "eventCategory": "Data",
    }


def _error(body: bytes, status: int) -> Json:
    found = ERROR.search(body.decode(errors="replace"))
    return {"errorCode": found[1], "errorMessage": found[2]} if found else {"errorCode": str(status)}


def _identity(access_key: str) -> Json:
    """Describe the caller's identity, without the history of its session."""
    who = iam_evaluator.resolve_credential(access_key or "test", settings.ACCOUNT)
    if isinstance(who, iam_evaluator.CredentialResolutionError):
        return {"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL"}
    kind = {"User": "IAMUser"}.get(who.principal_type, who.principal_type)
    return {"type": kind, "principalId": who.principal_id, "arn": who.principal_arn, "accountId": who.account_id}
