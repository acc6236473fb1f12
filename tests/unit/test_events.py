"""The files of events/: what their README says of them is what the function answers, and they are one story."""

import json
import re
from typing import Any

import pytest

from handlers import start_execution as live
from shared.domain.errors import ArrivalError
from tests.unit.builders import ACCOUNT, BUCKET, CONTEXT, EVENTS, HEAD, REPOSITORY, STARTED, Client, event, give

ROWS = dict(
    re.findall(
        r"^\| `([\w-]+)\.json` \| [^|]+ \| ([^|]+) \|$", (REPOSITORY / "events" / "README.md").read_text(), re.MULTILINE
    )
)
# What makes the difference, beside the answer; None where there must be none. The longer name comes first.
SAYS: dict[str, dict[str, object]] = {
    "object-created-put-versioned": {"reason": "PutObject", "object.version-id": "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl"},
    "object-created-put": {"reason": "PutObject"},
    "object-created-complete-multipart-upload": {"reason": "CompleteMultipartUpload"},
    "object-created-copy-object": {"reason": "CopyObject"},
    "object-created-post-object": {"reason": "POST Object"},
    "object-created-service-principal": {"requester": "s3.amazonaws.com"},
    "object-created-folder-marker": {"object.key": "input/lab2/eventdriven/"},
    "object-created-key-characters": {
        "object.key": 'input/lab2/eventdriven/dt=2026-11-24/run=05:20/it\'s a "green" + yellow 100%25 (été) 🚕.csv'
    },
    "object-created-replayed": {"reason": "PutObject"},
    "object-created-zero-bytes": {"object.size": 0},
    "object-deleted": {"reason": "DeleteObject"},
    "malformed-no-key": {"object.key": None},
    "cloudtrail-put-object-access-denied": {"eventName": "PutObject", "errorCode": "AccessDenied"},
    "cloudtrail-put-object": {"eventName": "PutObject", "errorCode": None},
    "cloudtrail-copy-object": {"eventName": "CopyObject", "errorCode": None},
    "cloudtrail-complete-multipart-upload": {"eventName": "CompleteMultipartUpload", "errorCode": None},
}


def test_the_readme_lists_every_file_once() -> None:
    """A file without a row would be one that nobody finds."""
    assert sorted(EVENTS) == sorted(ROWS)


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
def test_an_event_is_what_its_file_is_called(name: str) -> None:
    """Down to the field that makes the difference: whoever tries it with `sam local invoke` tries that."""
    expected = next(fields for known, fields in SAYS.items() if name.startswith(known))
    detail = event(name)["detail"]
    found: dict[str, Any] = {**detail, **{f"object.{key}": value for key, value in detail.get("object", {}).items()}}

    assert expected == {path: found.get(path) for path in expected}
    assert ("replay-name" in event(name)) == name.endswith("replayed")


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_agrees_with_itself(name: str) -> None:
    """One account, one bucket, one region, as the deployed stack would see them."""
    whole = event(name)
    detail = whole["detail"]
    bucket = detail["bucket"]["name"] if "bucket" in detail else detail["requestParameters"]["bucketName"]
    buckets = set(re.findall(r"arn:aws:s3:::([\w.-]+)", json.dumps(whole["resources"] + detail.get("resources", []))))

    assert {"account": ACCOUNT, "region": "us-east-2", "source": "aws.s3", "version": "0"}.items() <= whole.items()
    assert BUCKET == bucket
    assert BUCKET in buckets or not buckets


def test_ids_are_of_one_event_each() -> None:
    """No two files can be taken for deliveries of one event."""
    ids = [event(name)["id"] for name in EVENTS]

    assert [] == [one for one in ids if ids.count(one) > 1]
