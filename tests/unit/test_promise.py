"""The promise, on moto's S3: one start per upload, however it is announced, however often."""

from typing import Any

import pytest
from moto import mock_aws

from handlers import start_execution as live
from tests.unit.builders import BUCKET, CONTEXT, KEY, event, stack
from tests.unit.world import Cloud


def announcements(version: str | None) -> dict[str, dict[str, Any]]:
    """Announce one upload in each way there is."""
    native: dict[str, Any] = {"key": KEY} | ({"version-id": version} if version else {})
    request = {"bucketName": BUCKET, "key": KEY}
    response = {"x-amz-version-id": version} if version else None
    return {
        "native": event(detail__object=native),
        "replayed": event("object-created-replayed", detail__object=native),
        "cloudtrail": event(
            "cloudtrail-put-object", detail__requestParameters=request, detail__responseElements=response
        ),
    }


@pytest.mark.parametrize("first", ["native", "replayed", "cloudtrail"])
@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
def test_one_upload_is_one_start(monkeypatch: pytest.MonkeyPatch, versioning: Any, first: str) -> None:
    """Whoever announces it first starts it; all others, and second deliveries, are duplicates of that execution."""
    with mock_aws():
        cloud = Cloud(monkeypatch, stack())
        cloud.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": versioning})
        announced = announcements(cloud.s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"trips").get("VersionId"))
        answers = []
        for name in (first, *announced, *announced):
            answers.append(live.handler(announced[name], CONTEXT))
            cloud.sfn.age(60)

    assert ["started"] + ["duplicate"] * 6 == [answer["outcome"] for answer in answers]
    assert 1 == len({answer["execution_arn"] for answer in answers}) == len(cloud.runs)
