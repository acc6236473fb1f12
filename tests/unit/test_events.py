"""The files of events/: what their README says of them is what the function answers, and they are one story."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import start_execution as live
from shared.domain.errors import ArrivalError
from tests.unit.builders import ACCOUNT, BUCKET, EVENTS, REPOSITORY, Client, event, give

CONTEXT: Any = SimpleNamespace(aws_request_id="r")
ROWS = re.findall(
    r"^\| `([\w-]+)\.json` \| [^|]+ \| ([^|]+) \|$", (REPOSITORY / "events" / "README.md").read_text(), re.MULTILINE
)


def test_the_readme_lists_every_file_once() -> None:
    """A file without a row would be one that nobody finds."""
    assert sorted(EVENTS) == sorted(name for name, _ in ROWS)


@pytest.mark.parametrize(("name", "promised"), ROWS)
def test_the_function_answers_as_the_readme_says(monkeypatch: pytest.MonkeyPatch, name: str, promised: str) -> None:
    """Outcome and reason, or the error's name, once the object exists with the size that the event gives it."""
    size = event(name)["detail"].get("object", {}).get("size", 12)
    head = {"ETag": '"e"', "LastModified": datetime(2026, 11, 24, tzinfo=UTC), "ContentLength": size}
    started = {"executionArn": "arn:aws:states:r:a:execution:m:n", "startDate": datetime(2999, 1, 1, tzinfo=UTC)}
    give(live, monkeypatch, s3=Client(head), sfn=Client(started))

    try:
        answer = live.handler(event(name), CONTEXT)
        said = answer["outcome"] if answer["reason"] is None else f"{answer['outcome']}, `{answer['reason']}`"
    except ArrivalError as error:
        said = f"error `{type(error).__name__}`"

    assert said == promised.removesuffix(", or duplicate")


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_agrees_with_itself(name: str) -> None:
    """One account, one bucket, one region, as the deployed stack would see them."""
    whole = event(name)
    buckets = set(
        re.findall(r"arn:aws:s3:::([\w.-]+)", json.dumps(whole["resources"] + whole["detail"].get("resources", [])))
    )
    named = (whole["detail"].get("bucket") or {"name": whole["detail"].get("requestParameters", {}).get("bucketName")})[
        "name"
    ]

    assert (ACCOUNT, "us-east-2", "aws.s3", "0") == tuple(
        whole[key] for key in ("account", "region", "source", "version")
    )
    assert BUCKET == named
    assert BUCKET in buckets or not buckets


def test_ids_are_of_one_event_each() -> None:
    """No two files can be taken for deliveries of one event."""
    ids = [event(name)["id"] for name in EVENTS]

    assert len(EVENTS) == len(set(ids))
