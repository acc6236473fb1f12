"""Object events, their archive and its replay."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.emulator.conftest import Cloud, post_form, until

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}


def _event(cloud: Cloud, url: str) -> dict[str, Any]:
    [message] = cloud.messages(url)
    event: dict[str, Any] = json.loads(message["Body"])
    return event


@pytest.mark.parametrize("versioning", ["Enabled", None, "Suspended"])
def test_a_version_is_named_where_the_bucket_has_versions(cloud: Cloud, versioning: str | None) -> None:
    """As PutObject answered; elsewhere the field is absent, also while versioning is suspended."""
    url, _ = cloud.listen(CREATED)
    put = cloud.client("s3").put_object(Bucket=cloud.bucket(versioning), Key="a key+é%20.csv")
    found = _event(cloud, url)["detail"]["object"]

    assert "a key+é%20.csv" == found["key"]
    assert (put["VersionId"] if versioning == "Enabled" else None) == found.get("version-id")


def test_a_head_names_the_null_version(cloud: Cloud) -> None:
    """An object without a version is `null` once its bucket was ever versioned, and nothing before."""
    s3, bucket = cloud.client("s3"), cloud.bucket()
    s3.put_object(Bucket=bucket, Key="key")
    assert "VersionId" not in s3.head_object(Bucket=bucket, Key="key")

    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert "null" == s3.head_object(Bucket=bucket, Key="key")["VersionId"]


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
