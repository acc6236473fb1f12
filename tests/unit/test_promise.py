"""The promise, on moto's S3 and Step Functions: one start per upload, however it is announced, however often."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import pytest
from moto import mock_aws

from handlers import backfill_batch
from handlers import start_execution as live
from shared.domain.errors import RetryableCallError
from tests.unit.builders import BUCKET, CONTEXT, KEY, REQUEST, Client, event, give, refusal
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


def outcomes(*events: object) -> list[str | None]:
    """Return what the live function answers to each, the reason where there is one."""
    answers = [deliver(one) for one in events]
    return [answer["reason"] or answer["outcome"] for answer in answers]


def backfill(key: str = KEY, **asked: object) -> dict[str, Any]:
    """Let the backfill decide on one listed object."""
    request = REQUEST | {"prefix": ""} | asked
    item = {"Key": key, "LastModified": int(datetime.now(UTC).timestamp()), "request": request}
    results = backfill_batch.handler({"Items": [item]}, CONTEXT)
    time_passes()
    return results


@pytest.mark.parametrize("first", ["native", "replayed", "cloudtrail"])
@pytest.mark.parametrize("cloud", [True, False], indirect=True, ids=["versioned", "unversioned"])
def test_one_upload_is_one_start(cloud: World, first: str) -> None:
    """Whoever announces it first starts it; all others, and second deliveries, are duplicates of that execution."""
    announced = announcements(cloud.upload())
    order = [first, *(name for name in announced if name != first)]

    answers = [deliver(announced[name]) for name in (*order, *order)]

    assert ["started"] + ["duplicate"] * 5 == [answer["outcome"] for answer in answers]
    assert 1 == len({answer["execution_arn"] for answer in answers}) == len(cloud.started())


class Story(NamedTuple):
    """What is uploaded under one key, and deleted; which uploads are announced then, how that ends, and sizes of what starts."""

    bodies: list[str]
    announced: list[int]
    ended: list[str]
    sizes: list[int]
    deleted: int | Literal["key"] | None = None
    versioned: bool = True


STORIES = {
    "two versions back to back are two starts, even of the same bytes": Story(["same"] * 2, [0, 1], ["started"] * 2, [4, 4]),
    "in whichever order their events come": Story(["same"] * 2, [1, 0], ["started"] * 2, [4, 4]),
    # Without versions the first state is gone: what exists is started, once, with its own size.
    "an overwrite before its event": Story(["old", "newer"], [0, 1], ["started", "duplicate"], [5], versioned=False),
    # S3's word on the size counts, not the event's.
    "an empty file": Story([""], [0], ["empty_object"], []),
    "a deleted version": Story(["trips"], [0], ["object_gone"], [], deleted=0),
    # S3 would still describe it by its version, but a job that reads the key would find nothing.
    "a version behind a delete marker": Story(["trips"], [0], ["object_gone"], [], deleted="key"),
    "an overwritten version that was deleted": Story(["old", "newer"], [0, 1], ["object_gone", "started"], [5], deleted=0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("cloud", "story"), [(story.versioned, story) for story in STORIES.values()], indirect=["cloud"], ids=STORIES
)
def test_what_is_there_counts(cloud: World, story: Story) -> None:
    """Once its event is handled."""
    versions = [cloud.upload(body) for body in story.bodies]
    if story.deleted is not None:
        version = {} if story.deleted == "key" else {"VersionId": versions[story.deleted]}
        cloud.s3.delete_object(Bucket=BUCKET, Key=KEY, **version)

    ended = outcomes(*(announcements(versions[number])["native"] for number in story.announced))

    assert (story.ended, story.sizes) == (ended, [one["object"]["size"] for one in cloud.started()])


@pytest.mark.parametrize("cloud", [False], indirect=True)
def test_an_overwrite_after_its_event_starts_again(cloud: World) -> None:
    """New content is a new upload even under the same key."""
    announced = announcements(None)["native"]
    cloud.upload("old")
    first = outcomes(announced)
    cloud.upload("newer")

    assert ["started", "started"] == first + outcomes(announced)


def test_a_hard_key_arrives_verbatim(cloud: World) -> None:
    """Quotes, plus, percent, space and emoji reach the job as they were uploaded."""
    hard = event("object-created-key-characters")
    key = hard["detail"]["object"]["key"]
    cloud.upload(key=key)

    assert ["started"] == outcomes(hard)
    assert [key] == [one["SRC_PREFIX"] for one in cloud.started()]


def test_a_failed_start_leaves_the_name_free(cloud: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's next attempt starts what the throttled one could not."""
    announced = announcements(cloud.upload())["native"]
    with monkeypatch.context() as throttled:
        give(live, throttled, sfn=Client(refusal("ThrottlingException")))
        with pytest.raises(RetryableCallError):
            live.handler(announced, CONTEXT)

    assert ["started", "duplicate"] == outcomes(announced, announced)


def test_a_backfill_starts_only_what_was_missed(cloud: World) -> None:
    """What live delivery started is a duplicate to it, and what it started is one to a late event."""
    live_key, missed_key = KEY, KEY + ".missed"
    version, missed = cloud.upload(key=live_key), cloud.upload(key=missed_key)
    outcomes(announcements(version)["native"])

    found = [backfill(key) for key in (live_key, missed_key)]

    assert [(1, []), (0, [missed_key])] == [(one["duplicates"], one["started"]) for one in found]
    assert ["duplicate"] == outcomes(announcements(missed, missed_key)["cloudtrail"])
    assert 2 == len(cloud.started())


def test_a_dry_run_says_what_a_wet_one_does(cloud: World) -> None:
    """Before and after, and starts nothing itself."""
    cloud.upload()

    dry, none, wet, again = backfill(dry_run=True), cloud.started(), backfill(), backfill(dry_run=True)

    assert (dry, []) == (wet, none)
    assert (1, []) == (again["duplicates"], again["started"])


def test_a_label_starts_once_more(cloud: World) -> None:
    """Reprocessing is explicit, has the same input, and is itself exactly once."""
    outcomes(announcements(cloud.upload())["native"])

    labelled = [backfill(reprocess="after-the-fix") for _ in range(2)]
    first, second = cloud.started()

    assert [[KEY], []] == [one["started"] for one in labelled]
    assert first == second
