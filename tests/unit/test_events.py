"""The files of events/: one story; which rule of the template brings each, and what the function answers to it."""

import json
import re
from typing import Any

import pytest
from moto.events.models import EventPattern

from handlers import start_execution as live
from shared.domain.errors import ArrivalError
from tests.unit.builders import ACCOUNT, BUCKET, CONTEXT, EVENTS, HEAD, KEY, REPOSITORY, STARTED, Client, event, give
from tools.template import deployed

ROWS = dict(
    re.findall(
        r"^\| `([\w-]+)\.json` \| [^|]+ \| ([^|]+) \|$", (REPOSITORY / "events" / "README.md").read_text(), re.MULTILINE
    )
)
# What makes the difference, where the answer does not tell. The longer name comes first.
SAYS: dict[str, dict[str, object]] = {
    "object-created-put-versioned": {"reason": "PutObject", "object.version-id": "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl"},
    "object-created-put": {"reason": "PutObject"},
    "object-created-complete-multipart-upload": {"reason": "CompleteMultipartUpload"},
    "object-created-copy-object": {"reason": "CopyObject"},
    "object-created-post-object": {"reason": "POST Object"},
    "object-created-service-principal": {"requester": "s3.amazonaws.com"},
    "object-created-key-characters": {
        "object.key": 'input/lab2/eventdriven/dt=2026-11-24/run=05:20/it\'s a "green" + yellow 100%25 (été) 🚕.csv'
    },
    "object-created-replayed": {"reason": "PutObject"},
    "object-deleted": {"reason": "DeleteObject"},
    "cloudtrail-put-object-access-denied": {"eventName": "PutObject", "errorCode": "AccessDenied"},
    "cloudtrail-put-object": {"eventName": "PutObject"},
    "cloudtrail-copy-object": {"eventName": "CopyObject"},
    "cloudtrail-complete-multipart-upload": {"eventName": "CompleteMultipartUpload"},
}
RESOURCES = deployed(SourceBucketName=BUCKET)["Resources"]
PATTERNS = {
    **{
        name: one["Properties"]["Pattern"]
        for name, one in RESOURCES["StartExecutionFunction"]["Properties"]["Events"].items()
    },
    "Archive": RESOURCES["Archive"]["Properties"]["EventPattern"],
}
BROUGHT_BY_NONE = {"object-deleted", "malformed-no-key"}
CALL = "cloudtrail-put-object"


def matching(payload: Any) -> set[str]:
    """Name what matches an event: the rules that would bring it to the function, and the archive."""
    pattern_of: Any = EventPattern
    return {name for name, pattern in PATTERNS.items() if pattern_of(None, pattern).matches_event(payload)}


def test_the_readme_lists_every_file_once() -> None:
    """A file without a row would be one that nobody finds; no two can be taken for deliveries of one event."""
    assert sorted(EVENTS) == sorted(ROWS)
    assert len(EVENTS) == len({event(name)["id"] for name in EVENTS}), "two files have one id"


@pytest.mark.parametrize("name", ROWS)
def test_the_function_answers_as_the_readme_says(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Outcome and reason, or the error's name, once the object exists with the size that the event gives it."""
    size = event(name)["detail"].get("object", {}).get("size", 12)
    give(live, monkeypatch, s3=Client(HEAD | {"ContentLength": size}), sfn=Client(STARTED))

    try:
        answer = live.handler(event(name), CONTEXT)
        said = answer["outcome"] if answer["reason"] is None else f"{answer['outcome']}, `{answer['reason']}`"
    except ArrivalError as error:
        said = f"error `{type(error).__name__}`"

    assert said == ROWS[name].removesuffix(", or duplicate")


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_brought_by_the_rule_of_its_kind(name: str) -> None:
    """A native event by one rule, a recorded call by the other, what is no arrival by none; the archive keeps both."""
    expected = {"Archive", "ApiCall" if name.startswith("cloudtrail") else "ObjectCreated"}

    assert (set() if name in BROUGHT_BY_NONE else expected) == matching(event(name))


@pytest.mark.parametrize(
    "other",
    [
        event(detail__bucket={"name": "other"}),
        event(detail__object={"key": "input/lab3/green_tripdata.csv"}),
        event(detail__object={"key": f"/{KEY}"}),
        event(source="my.own"),
        *(event(detail_type=f"Object {what}") for what in ("Annotation Created", "Restore Completed", "Deleted")),
        event(CALL, detail__eventName="UploadPart"),
        event(CALL, detail__eventSource="s3express.amazonaws.com"),
        event(CALL, detail__requestParameters={"bucketName": "other", "key": KEY}),
        event(CALL, detail__requestParameters={"bucketName": BUCKET, "key": "input/lab3/x"}),
        # An access point of this bucket: its native event has the bucket's name (docs/decisions.md, known limits).
        event(CALL, detail__requestParameters={"bucketName": "arn:aws:s3:us-east-2:1:accesspoint/in", "key": KEY}),
        event(CALL, detail__requestParameters=None),
    ],
)
def test_what_is_not_this_stacks_costs_no_invocation(other: dict[str, Any]) -> None:
    """Another bucket, prefix or kind of event is dropped by the rules already; the archive looks less closely."""
    assert matching(other) <= {"Archive"}


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_what_its_file_is_called(name: str) -> None:
    """Down to the field that makes the difference; of one account, bucket and region, as the stack sees them."""
    whole = event(name)
    detail = whole["detail"]
    found: dict[str, Any] = {**detail, **{f"object.{key}": value for key, value in detail.get("object", {}).items()}}
    expected = next((fields for known, fields in SAYS.items() if name.startswith(known)), {})
    buckets = set(re.findall(r"arn:aws:s3:::([\w.-]+)", json.dumps(whole["resources"] + detail.get("resources", []))))
    bucket = detail["bucket"]["name"] if "bucket" in detail else detail["requestParameters"]["bucketName"]

    assert expected == {path: found.get(path) for path in expected}
    assert ("replay-name" in whole) == name.endswith("replayed"), sorted(whole)
    always = {"account": ACCOUNT, "region": "us-east-2", "source": "aws.s3", "version": "0"}
    assert always == {field: whole[field] for field in always}
    assert BUCKET == bucket
    assert BUCKET in buckets or not buckets
