"""The promise, on moto's S3 and Step Functions: one start per upload, however it is announced, however often."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from handlers import backfill_batch, backfill_report
from handlers import start_execution as live
from shared.domain.errors import RetryableCallError
from shared.gates.settings import this_stack
from tests.unit.builders import BUCKET, CONTEXT, KEY, MACHINE, Client, event, give, refusal
from tests.unit.world import World, time_passes


@pytest.fixture
def versioned(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return the stack's own bucket."""
    with mock_aws():
        yield World(monkeypatch, "Enabled")


@pytest.fixture
def unversioned(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return a bucket like the workshop's."""
    with mock_aws():
        yield World(monkeypatch, None)


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
    request = {"bucket": BUCKET, "prefix": "", "since": None, "until": None, "dry_run": False, "reprocess": None}
    item = {"Key": key, "LastModified": int(datetime.now(UTC).timestamp()), "request": request | asked}
    results = backfill_batch.handler({"Items": [item]}, CONTEXT)
    time_passes()
    return results


@pytest.mark.parametrize("order", list(itertools.permutations(["native", "replayed", "cloudtrail"])))
@pytest.mark.parametrize("bucket", ["versioned", "unversioned"])
def test_one_upload_is_one_start(request: pytest.FixtureRequest, bucket: str, order: list[str]) -> None:
    """Whoever announces it first starts it; all others, and second deliveries, are duplicates of that execution."""
    cloud: World = request.getfixturevalue(bucket)
    announced = announcements(cloud.upload())

    answers = [deliver(announced[name]) for name in (*order, *order)]

    assert ["started"] + ["duplicate"] * 5 == [answer["outcome"] for answer in answers]
    assert 1 == len({answer["execution_arn"] for answer in answers}) == len(cloud.started())


@pytest.mark.parametrize("newest_first", [False, True])
def test_two_versions_back_to_back_are_two_starts(versioned: World, *, newest_first: bool) -> None:
    """Even of the same bytes, and in whichever order their events come."""
    versions = [versioned.upload(), versioned.upload()]
    events = [announcements(version)["native"] for version in (versions[::-1] if newest_first else versions)]

    assert ["started", "started"] == outcomes(*events)
    assert set(versions) == {one["object"]["version_id"] for one in versioned.started()}


def test_an_overwrite_before_its_event_starts_once(unversioned: World) -> None:
    """Without versions the first state is gone: what exists is started, once, with its own size."""
    unversioned.upload("old")
    unversioned.upload("newer")
    announced = announcements(None)["native"]

    assert ["started", "duplicate"] == outcomes(announced, announced)
    assert [5] == [one["object"]["size"] for one in unversioned.started()]


def test_an_overwrite_after_its_event_starts_again(unversioned: World) -> None:
    """New content is a new upload even under the same key."""
    announced = announcements(None)["native"]
    unversioned.upload("old")
    first = outcomes(announced)
    unversioned.upload("newer")

    assert ["started", "started"] == first + outcomes(announced)


def test_a_deleted_object_starts_nothing(versioned: World) -> None:
    """Once the very version is gone, its event is a skip."""
    version = versioned.upload()
    assert version
    versioned.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)

    assert ["object_gone"] == outcomes(announcements(version)["native"])
    assert [] == versioned.started()


def test_a_version_behind_a_delete_marker_starts_nothing(versioned: World) -> None:
    """S3 would still describe it by its version, but a job that reads the key would find nothing."""
    version = versioned.upload()
    versioned.s3.delete_object(Bucket=BUCKET, Key=KEY)

    assert ["object_gone"] == outcomes(announcements(version)["native"])
    assert [] == versioned.started()


def test_an_overwritten_version_that_was_deleted_starts_nothing(versioned: World) -> None:
    """Only the newer one does."""
    first, second = versioned.upload(), versioned.upload()
    assert first
    versioned.s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=first)

    events = [announcements(version)["native"] for version in (first, second)]

    assert ["object_gone", "started"] == outcomes(*events)


def test_an_empty_file_starts_nothing(versioned: World) -> None:
    """S3's word on the size counts, not the event's."""
    assert ["empty_object"] == outcomes(announcements(versioned.upload(""))["native"])
    assert [] == versioned.started()


def test_a_hard_key_arrives_verbatim(versioned: World) -> None:
    """Quotes, plus, percent, space and emoji reach the job as they were uploaded."""
    hard = event("object-created-key-characters")
    key = hard["detail"]["object"]["key"]
    versioned.upload(key=key)

    assert ["started"] == outcomes(hard)
    assert [key] == [one["SRC_PREFIX"] for one in versioned.started()]


def test_a_failed_start_leaves_the_name_free(versioned: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's next attempt starts what the throttled one could not."""
    announced = announcements(versioned.upload())["native"]
    with monkeypatch.context() as throttled:
        give(live, throttled, sfn=Client(refusal("ThrottlingException")))
        with pytest.raises(RetryableCallError):
            live.handler(announced, CONTEXT)

    assert ["started", "duplicate"] == outcomes(announced, announced)


def test_a_backfill_starts_only_what_was_missed(versioned: World) -> None:
    """What live delivery started is a duplicate to it, and what it started is one to a late event."""
    live_key, missed_key = KEY, KEY + ".missed"
    version, missed = versioned.upload(key=live_key), versioned.upload(key=missed_key)
    outcomes(announcements(version)["native"])

    found = [backfill(key) for key in (live_key, missed_key)]

    assert [(1, []), (0, [missed_key])] == [(one["duplicates"], one["started"]) for one in found]
    assert ["duplicate"] == outcomes(announcements(missed, missed_key)["cloudtrail"])
    assert 2 == len(versioned.started())


def test_a_dry_run_says_what_a_wet_one_does(versioned: World) -> None:
    """Before and after, and starts nothing itself."""
    versioned.upload()

    dry, none, wet, again = backfill(dry_run=True), versioned.started(), backfill(), backfill(dry_run=True)

    assert (dry, []) == (wet, none)
    assert (1, []) == (again["duplicates"], again["started"])


def test_a_label_starts_once_more(versioned: World) -> None:
    """Reprocessing is explicit, has the same input, and is itself exactly once."""
    outcomes(announcements(versioned.upload())["native"])

    labelled = [backfill(reprocess="after-the-fix") for _ in range(2)]
    first, second = versioned.started()

    assert [[KEY], []] == [one["started"] for one in labelled]
    assert first == second


def test_a_window_leaves_out_what_is_older(versioned: World) -> None:
    """An object outside the window isn't even looked at."""
    versioned.upload()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    assert 0 == backfill(since=later)["found"]
    assert [] == versioned.started()


def test_the_report_reads_what_the_map_stored(versioned: World) -> None:
    """Manifest and result files are read from S3, and every batch counts."""
    versioned.upload()
    files = {"backfill/m/SUCCEEDED_0.jsonl": [backfill()], "backfill/m/SUCCEEDED_1.jsonl": [backfill(), backfill()]}
    manifest = {"ResultFiles": {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": key} for key in files]}}
    for key, results in files.items():
        versioned.upload("\n".join(map(json.dumps, results)), key)
    versioned.upload(json.dumps(manifest), "backfill/m/manifest.json")
    details = {"ResultWriterDetails": {"Bucket": BUCKET, "Key": "backfill/m/manifest.json"}}

    answer = backfill_report.handler({"request": {"dry_run": False}, "batches": details}, CONTEXT)

    assert (3, 1, 2) == tuple(answer[name] for name in ("found", "started", "duplicates"))


def test_the_handlers_route_is_the_worlds() -> None:
    """They read the environment of these tests, or nothing above would be true."""
    assert (MACHINE, BUCKET) == (this_stack().state_machine_arn, this_stack().source_bucket_name)
