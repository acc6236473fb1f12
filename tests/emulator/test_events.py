"""What S3 and CloudTrail tell of an upload, and whom; archives, replays, and the rules of a template."""

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, WaiterError

from tests.emulator.conftest import QUIET, Cloud, allow, until

CREATED = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
CALLS = {"detail-type": ["AWS API Call via CloudTrail"]}
KEY = "in/a key+é%20.csv"
PARTS = TransferConfig(multipart_threshold=1)
BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"


def _trail(cloud: Cloud, bucket: str) -> None:
    trails = cloud.client("cloudtrail")
    trails.create_trail(Name="trail", S3BucketName=bucket)
    objects = {"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/in"]}
    selector = {"ReadWriteType": "WriteOnly", "DataResources": [objects]}
    trails.put_event_selectors(TrailName="trail", EventSelectors=[selector])
    trails.start_logging(Name="trail")


def _event(cloud: Cloud, url: str) -> dict[str, Any]:
    [message] = cloud.messages(url)
    event: dict[str, Any] = json.loads(message["Body"])
    return event


def _post(s3: Any, bucket: str) -> None:
    """Upload a file as a browser does."""
    form = s3.generate_presigned_post(bucket, KEY)
    urllib3.request("POST", form["url"], fields={**form["fields"], "file": ("f", b"x")})


@pytest.mark.parametrize(
    ("upload", "name"),
    [
        (lambda s3, bucket: s3.put_object(Bucket=bucket, Key=KEY), "PutObject"),
        (lambda s3, bucket: s3.copy_object(Bucket=bucket, Key=KEY, CopySource=f"{bucket}/source"), "CopyObject"),
        (lambda s3, bucket: s3.upload_fileobj(io.BytesIO(b"ab"), bucket, KEY, Config=PARTS), "CompleteMultipartUpload"),
        (_post, "PostObject"),
    ],
)
def test_every_way_to_upload_is_an_event_and_a_call(
    cloud: Cloud, upload: Callable[[Any, str], None], name: str
) -> None:
    """With bucket, key verbatim and the version that was made."""
    bucket, s3 = cloud.bucket("Enabled"), cloud.client("s3")
    _trail(cloud, bucket)
    event_url, _ = cloud.listen(CREATED | {"detail": {"object": {"key": [{"prefix": "in/"}]}}})
    call_url, _ = cloud.listen(CALLS)
    s3.put_object(Bucket=bucket, Key="source")
    upload(s3, bucket)
    event, call = _event(cloud, event_url)["detail"], _event(cloud, call_url)["detail"]

    version = s3.head_object(Bucket=bucket, Key=KEY)["VersionId"]
    reason = name.replace("PostObject", "POST Object")
    assert (reason, KEY, version) == (event["reason"], event["object"]["key"], event["object"]["version-id"])
    assert {"eventName": name, "eventSource": "s3.amazonaws.com", "readOnly": False}.items() <= call.items()
    assert {"bucketName": bucket, "key": KEY}.items() <= call["requestParameters"].items()
    assert version == call["responseElements"]["x-amz-version-id"]
    objects = [one["ARN"] for one in call["resources"] if one["type"] == "AWS::S3::Object"]
    assert [f"arn:aws:s3:::{bucket}/{key}" for key in (KEY, "source")][: 1 + (name == "CopyObject")] == objects
    assert "errorCode" not in call


@pytest.mark.parametrize("versioning", [None, "Suspended"])
def test_no_version_is_named_where_the_bucket_makes_none(cloud: Cloud, versioning: str | None) -> None:
    """Also while versioning is suspended; a HEAD says `null` then, and nothing where it was never on."""
    s3, bucket = cloud.client("s3"), cloud.bucket(versioning)
    url, _ = cloud.listen(CREATED)
    s3.put_object(Bucket=bucket, Key="key")

    assert "version-id" not in _event(cloud, url)["detail"]["object"]
    assert ("null" if versioning else None) == s3.head_object(Bucket=bucket, Key="key").get("VersionId")


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
    around = {"EventStartTime": now - timedelta(minutes=1), "EventEndTime": now + timedelta(minutes=1)}
    events.start_replay(ReplayName="replay", EventSourceArn=archive["ArchiveArn"], Destination={"Arn": bus}, **around)
    replayed = _event(cloud, url)

    assert "replay-name" not in original
    assert original | {"replay-name": "replay"} == replayed
    until(lambda: events.describe_replay(ReplayName="replay")["State"] == "COMPLETED")
    assert 1 == events.describe_archive(ArchiveName="archive")["EventCount"]


def test_a_head_needs_its_permission(cloud: Cloud) -> None:
    """A version its own; and S3 tells nobody what is not there who may not list."""
    bucket = cloud.bucket("Enabled")
    version = cloud.client("s3").put_object(Bucket=bucket, Key="key")["VersionId"]
    get, versions = (allow(f"s3:GetObject{kind}", f"arn:aws:s3:::{bucket}/*") for kind in ("", "Version"))
    both, old, none = [get, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")], {"VersionId": version}, {"Key": "none"}

    def status(statements: list[dict[str, Any]], asked: dict[str, str]) -> str:
        s3 = cloud.client("s3", **cloud.assume(cloud.role(*statements)))
        try:
            s3.head_object(**{"Bucket": bucket, "Key": "key", **asked})
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "200"

    cases = [([get], {}), ([get], old), ([versions], old), ([get], none), (both, none)]
    assert ["200", "403", "200", "403", "404"] == [status(*case) for case in cases]


# ---- By a template ----


def _deploy(cloud: Cloud, **resources: dict[str, Any]) -> dict[str, str]:
    """Create or update the stack and return the physical ids of its resources."""
    formation = cloud.client("cloudformation")
    body = json.dumps({"Resources": resources})
    exists = any(stack["StackName"] == "stack" for stack in formation.describe_stacks()["Stacks"])
    act = formation.update_stack if exists else formation.create_stack
    act(StackName="stack", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiter = formation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
    waiter.wait(StackName="stack", WaiterConfig={"Delay": 0.1, "MaxAttempts": 50})
    listed = formation.describe_stack_resources(StackName="stack")["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def test_archives_and_saved_queries_are_made_changed_and_removed(cloud: Cloud) -> None:
    """DescribeArchive shows it; a query keeps its id, and what it asks is kept by nobody."""
    events, topic = cloud.client("events"), _resource("SNS::Topic")
    archive = _resource("Events::Archive", SourceArn={"Fn::Sub": BUS}, EventPattern=CREATED, RetentionDays=30)
    query = _resource("Logs::QueryDefinition", Name="skips", QueryString="fields @message")
    made = _deploy(cloud, Archive=archive, Query=query, Topic=topic)
    described = events.describe_archive(ArchiveName=made["Archive"])
    assert (30, CREATED) == (described["RetentionDays"], json.loads(described["EventPattern"]))
    assert described["EventSourceArn"].endswith(":event-bus/default")

    archive["Properties"]["RetentionDays"] = 90
    query["Properties"]["Name"] = "all skips"
    assert made == _deploy(cloud, Archive=archive, Query=query, Topic=topic)
    assert 90 == events.describe_archive(ArchiveName=made["Archive"])["RetentionDays"]

    assert {"Topic": made["Topic"]} == _deploy(cloud, Topic=topic)
    assert [] == events.list_archives()["Archives"]


def test_an_invalid_pattern_fails_the_stack(cloud: Cloud) -> None:
    with pytest.raises(WaiterError, match="ROLLBACK"):
        _deploy(cloud, Rule=_resource("Events::Rule", EventPattern={"source": [{"nonesuch": "x"}]}))
