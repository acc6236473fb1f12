"""Object events, their archive and its replay."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.emulator.conftest import Cloud, post_form, until

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}


def _event(cloud: Cloud, url: str) -> dict[str, Any]:
    [message] = cloud.messages(url)
    event: dict[str, Any] = json.loads(message["Body"])
    return event


def test_a_version_is_named_where_the_bucket_has_versions(cloud: Cloud) -> None:
    """The event names the version that PutObject answered."""
    url, _ = cloud.listen(CREATED)
    version = cloud.client("s3").put_object(Bucket=cloud.bucket("Enabled"), Key="key")["VersionId"]

    assert version == _event(cloud, url)["detail"]["object"]["version-id"]


@pytest.mark.parametrize("versioning", [None, "Suspended"])
def test_no_version_is_absent(cloud: Cloud, versioning: str | None) -> None:
    """Not null: the field is not there, also while versioning is suspended."""
    url, _ = cloud.listen(CREATED)
    cloud.client("s3").put_object(Bucket=cloud.bucket(versioning), Key="key")

    assert "version-id" not in _event(cloud, url)["detail"]["object"]


def test_a_head_names_the_null_version(cloud: Cloud) -> None:
    """An object without a version is `null` once its bucket was ever versioned, and nothing before."""
    s3, bucket = cloud.client("s3"), cloud.bucket()
    s3.put_object(Bucket=bucket, Key="key")
    assert "VersionId" not in s3.head_object(Bucket=bucket, Key="key")

    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert "null" == s3.head_object(Bucket=bucket, Key="key")["VersionId"]


def test_the_identifiers_look_like_those_of_aws(cloud: Cloud) -> None:
    """A UUID, a request id, and a sequencer that rises."""
    url, _ = cloud.listen(CREATED)
    bucket = cloud.bucket()
    for content in (b"1", b"2"):
        cloud.client("s3").put_object(Bucket=bucket, Key="a key+é%20.csv", Body=content)
    events = sorted(
        (json.loads(one["Body"]) for one in cloud.messages(url, 2)), key=lambda one: str(one["detail"]["object"])
    )

    assert {"a key+é%20.csv"} == {event["detail"]["object"]["key"] for event in events}
    sequencers = [event["detail"]["object"]["sequencer"] for event in events]
    assert all(re.fullmatch(r"[0-9A-Fa-f]{16,18}", sequencer) for sequencer in sequencers)
    assert 2 == len(set(sequencers))
    assert all(uuid.UUID(event["id"]) for event in events)
    assert all(re.fullmatch(r"[0-9A-Z]{16}", event["detail"]["request-id"]) for event in events)


def test_the_reason_is_the_call(cloud: Cloud) -> None:
    """A multipart upload, a copy and a browser upload each have their own."""
    s3, bucket = cloud.client("s3"), cloud.bucket("Enabled")
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    url, _ = cloud.listen(CREATED)
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")
    assert "CopyObject" == _event(cloud, url)["detail"]["reason"]

    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    done = s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload=parts)
    completed = _event(cloud, url)["detail"]
    assert ("CompleteMultipartUpload", done["VersionId"]) == (completed["reason"], completed["object"]["version-id"])

    post_form(s3.generate_presigned_post(bucket, "form"))
    assert "POST Object" == _event(cloud, url)["detail"]["reason"]


def test_events_are_archived_and_replayed_once(cloud: Cloud) -> None:
    """A replayed event carries the replay's name and is not archived again."""
    events = cloud.client("events")
    bus = events.describe_event_bus(Name="default")["Arn"]
    archive = events.create_archive(ArchiveName="archive", EventSourceArn=bus, EventPattern=json.dumps(CREATED))
    url, _ = cloud.listen(CREATED)
    cloud.client("s3").put_object(Bucket=cloud.bucket(), Key="key")
    original = _event(cloud, url)
    now = datetime.now(UTC)
    events.start_replay(
        ReplayName="replay",
        EventSourceArn=archive["ArchiveArn"],
        EventStartTime=now - timedelta(minutes=1),
        EventEndTime=now + timedelta(minutes=1),
        Destination={"Arn": bus},
    )
    replayed = _event(cloud, url)

    assert "replay-name" not in original
    assert original | {"replay-name": "replay"} == replayed
    until(lambda: events.describe_replay(ReplayName="replay")["State"] == "COMPLETED")
    assert 1 == events.describe_archive(ArchiveName="archive")["EventCount"]
