"""The promise, on moto's S3 and Step Functions: one start per upload, however it is announced, however often."""

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from handlers import start_execution as live
from tests.unit.builders import BUCKET, CONTEXT, KEY, event
from tests.unit.world import World, time_passes


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    """Return the stack's own bucket, or one like the workshop's, which keeps no versions."""
    with mock_aws():
        yield World(monkeypatch, versioned=getattr(request, "param", True))


def announcements(version: str | None, key: str = KEY) -> dict[str, dict[str, Any]]:
    """Announce one upload in each way there is."""
    native: dict[str, Any] = {"key": key} | ({"version-id": version} if version else {})
    request = {"bucketName": BUCKET, "key": key}
    response = {"x-amz-version-id": version} if version else None
    return {
        "native": event(detail__object=native),
        "replayed": event("object-created-replayed", detail__object=native),
        "cloudtrail": event(
            "cloudtrail-put-object", detail__requestParameters=request, detail__responseElements=response
        ),
    }


def deliver(announced: object) -> dict[str, str | None]:
    """Let the live function handle an event, and time pass."""
    answer = live.handler(announced, CONTEXT)
    time_passes()
    return answer


@pytest.mark.parametrize("first", ["native", "replayed", "cloudtrail"])
@pytest.mark.parametrize("cloud", [True, False], indirect=True, ids=["versioned", "unversioned"])
def test_one_upload_is_one_start(cloud: World, first: str) -> None:
    """Whoever announces it first starts it; all others, and second deliveries, are duplicates of that execution."""
    announced = announcements(cloud.upload())
    order = [first, *(name for name in announced if name != first)]

    answers = [deliver(announced[name]) for name in (*order, *order)]

    assert ["started"] + ["duplicate"] * 5 == [answer["outcome"] for answer in answers]
    assert 1 == len({answer["execution_arn"] for answer in answers}) == len(cloud.started())
