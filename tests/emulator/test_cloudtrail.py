"""Uploads as CloudTrail reports them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import QUIET, Cloud, allow, post_form

CALLS = {"detail-type": ["AWS API Call via CloudTrail"]}


def _trail(cloud: Cloud, bucket: str) -> None:
    trails = cloud.client("cloudtrail")
    trails.create_trail(Name="trail", S3BucketName=bucket)
    values = [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/in"]}]
    selectors = [{"ReadWriteType": "WriteOnly", "DataResources": values}]
    trails.put_event_selectors(TrailName="trail", EventSelectors=selectors)
    trails.start_logging(Name="trail")


def _details(cloud: Cloud, url: str, count: int = 1) -> list[dict[str, Any]]:
    return [json.loads(message["Body"])["detail"] for message in cloud.messages(url, count)]


def _copy(s3: Any, bucket: str, key: str) -> Any:
    return s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/source")


def _multipart(s3: Any, bucket: str, key: str) -> Any:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)


def _put(s3: Any, bucket: str, key: str) -> Any:
    return s3.put_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize(
    ("call", "name"), [(_put, "PutObject"), (_copy, "CopyObject"), (_multipart, "CompleteMultipartUpload")]
)
def test_every_way_to_upload_is_a_call(cloud: Cloud, call: Callable[[Any, str, str], Any], name: str) -> None:
    """With bucket, key verbatim and the version that was made."""
    bucket, s3 = cloud.bucket("Enabled"), cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="source")
    _trail(cloud, bucket)
    url, _ = cloud.listen(CALLS)
    answer = call(s3, bucket, "in/a key+é%20.csv")
    [detail] = _details(cloud, url)

    assert (name, "s3.amazonaws.com", False) == (detail["eventName"], detail["eventSource"], detail["readOnly"])
    asked = detail["requestParameters"]
    assert (bucket, "in/a key+é%20.csv") == (asked["bucketName"], asked["key"])
    assert answer["VersionId"] == detail["responseElements"]["x-amz-version-id"]
    objects = [one["ARN"] for one in detail["resources"] if one["type"] == "AWS::S3::Object"]
    copied = [f"arn:aws:s3:::{bucket}/source"] if name == "CopyObject" else []
    assert [f"arn:aws:s3:::{bucket}/in/a key+é%20.csv", *copied] == objects
    assert "errorCode" not in detail


def test_a_browser_upload_is_a_call(cloud: Cloud) -> None:
    """PostObject names its key although it is in the form."""
    bucket = cloud.bucket()
    _trail(cloud, bucket)
    url, _ = cloud.listen(CALLS)
    post_form(cloud.client("s3").generate_presigned_post(bucket, "in/form"))
    [detail] = _details(cloud, url)

    assert ("PostObject", "in/form") == (detail["eventName"], detail["requestParameters"]["key"])


def test_a_denied_call_is_reported_with_its_error(cloud: Cloud) -> None:
    """The key is there, the response is null, and the caller is the role's session."""
    bucket = cloud.bucket()
    _trail(cloud, bucket)
    url, _ = cloud.listen(CALLS)
    role = cloud.role(allow("s3:GetObject", "*"))
    with pytest.raises(ClientError, match="AccessDenied"):
        cloud.client("s3", **cloud.assume(role)).put_object(Bucket=bucket, Key="in/key")
    [detail] = _details(cloud, url)

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

    assert ["in/key"] == [detail["requestParameters"]["key"] for detail in _details(cloud, url)]
