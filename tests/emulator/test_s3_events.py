"""What S3 and CloudTrail tell of an upload; the archive and its replay."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import QUIET, Cloud, allow, post_form, until

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
CALLS = {"detail-type": ["AWS API Call via CloudTrail"]}
KEY = "in/a key+é%20.csv"


def _trail(cloud: Cloud, bucket: str) -> None:
    trails = cloud.client("cloudtrail")
    trails.create_trail(Name="trail", S3BucketName=bucket)
    values = [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/in"]}]
    selectors = [{"ReadWriteType": "WriteOnly", "DataResources": values}]
    trails.put_event_selectors(TrailName="trail", EventSelectors=selectors)
    trails.start_logging(Name="trail")


def _event(cloud: Cloud, url: str) -> dict[str, Any]:
    [message] = cloud.messages(url)
    event: dict[str, Any] = json.loads(message["Body"])
    return event


def _copy(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source")
    s3.copy_object(Bucket=bucket, Key=KEY, CopySource=f"{bucket}/source")


def _multipart(s3: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": KEY}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    part = s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts)


@pytest.mark.parametrize(
    ("upload", "reason", "name"),
    [
        (lambda s3, bucket: s3.put_object(Bucket=bucket, Key=KEY), "PutObject", "PutObject"),
        (_copy, "CopyObject", "CopyObject"),
        (_multipart, "CompleteMultipartUpload", "CompleteMultipartUpload"),
        (lambda s3, bucket: post_form(s3.generate_presigned_post(bucket, KEY)), "POST Object", "PostObject"),
    ],
)
def test_every_way_to_upload_is_an_event_and_a_call(
    cloud: Cloud, upload: Callable[[Any, str], None], reason: str, name: str
) -> None:
    """With bucket, key verbatim and the version that was made."""
    bucket, s3 = cloud.bucket("Enabled"), cloud.client("s3")
    _trail(cloud, bucket)
    event_url, _ = cloud.listen(CREATED | {"detail": {"object": {"key": [{"prefix": "in/"}]}}})
    call_url, _ = cloud.listen(CALLS)
    upload(s3, bucket)
    event, call = _event(cloud, event_url)["detail"], _event(cloud, call_url)["detail"]

    version = s3.head_object(Bucket=bucket, Key=KEY)["VersionId"]
    assert (reason, KEY, version) == (event["reason"], event["object"]["key"], event["object"]["version-id"])
    assert (name, "s3.amazonaws.com", False) == (call["eventName"], call["eventSource"], call["readOnly"])
    asked = call["requestParameters"]
    assert (bucket, KEY) == (asked["bucketName"], asked["key"])
    assert version == call["responseElements"]["x-amz-version-id"]
    objects = [one["ARN"] for one in call["resources"] if one["type"] == "AWS::S3::Object"]
    copied = [f"arn:aws:s3:::{bucket}/source"] if name == "CopyObject" else []
    assert [f"arn:aws:s3:::{bucket}/{KEY}", *copied] == objects
    assert "errorCode" not in call


@pytest.mark.parametrize("versioning", [None, "Suspended"])
def test_no_version_is_named_where_the_bucket_makes_none(cloud: Cloud, versioning: str | None) -> None:
    """Also while versioning is suspended; a HEAD says `null` then, and nothing where it was never on."""
    s3, bucket = cloud.client("s3"), cloud.bucket(versioning)
    url, _ = cloud.listen(CREATED)
    s3.put_object(Bucket=bucket, Key="key")

    assert "version-id" not in _event(cloud, url)["detail"]["object"]
    assert ("null" if versioning else None) == s3.head_object(Bucket=bucket, Key="key").get("VersionId")


def test_a_denied_call_is_reported_with_its_error(cloud: Cloud) -> None:
    """The key is there, the response is null, and the caller is the role's session."""
    bucket = cloud.bucket()
    _trail(cloud, bucket)
    url, _ = cloud.listen(CALLS)
    role = cloud.role(allow("s3:GetObject", "*"))
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("s3", **cloud.assume(role)).put_object(Bucket=bucket, Key="in/key")
    detail = _event(cloud, url)["detail"]

    assert ("AccessDenied", "in/key") == (detail["errorCode"], detail["requestParameters"]["key"])
    assert detail["responseElements"] is None
    assert "AssumedRole" == detail["userIdentity"]["type"]
    assert f"/{role.rsplit('/', 1)[-1]}/" in detail["userIdentity"]["arn"]


def test_only_what_the_selectors_name_is_reported(cloud: Cloud) -> None:
    """Another prefix, a read and a stopped trail are not."""
    bucket, s3 = cloud.bucket(), cloud.client("s3")
    _trail(cloud, bucket)
    url, _ = cloud.listen(CALLS)
    s3.put_object(Bucket=bucket, Key="out/key")
    s3.put_object(Bucket=bucket, Key="in/key")
    s3.get_object(Bucket=bucket, Key="in/key")
    s3.put_object_tagging(Bucket=bucket, Key="in/key", Tagging={"TagSet": []})
    time.sleep(QUIET / 2)
    cloud.client("cloudtrail").stop_logging(Name="trail")
    s3.put_object(Bucket=bucket, Key="in/late")
    time.sleep(QUIET)

    assert "in/key" == _event(cloud, url)["detail"]["requestParameters"]["key"]


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
