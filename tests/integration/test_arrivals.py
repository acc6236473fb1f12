"""What arrives, and what comes of it, on the deployed template."""

import json

import pytest
from botocore.exceptions import ClientError

from local import stack as local_stack
from tests.integration.conftest import PREFIX, Arrivals, until

PART = b"a,b\n1,2\n" * 1000


def test_an_upload_starts_the_workflow_once_with_the_workshops_parameters(arrivals: Arrivals, key: str) -> None:
    """One upload is one execution, whose input is the contract's."""
    uploaded = arrivals.put(key)

    assert ["started"] == arrivals.decided(key)
    [execution] = arrivals.executions(key)
    head = arrivals.client("s3").head_object(Bucket=arrivals.bucket, Key=key)
    assert {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": arrivals.stack.physical_id("GlueJob"),
        "BUCKET_NAME": arrivals.bucket,
        "SRC_PREFIX": key,
        "TRG_PREFIX": "target/event-transformed",
        "object": {
            "key": key,
            "size": 8,
            "etag": uploaded["ETag"].strip('"'),
            "version_id": uploaded["VersionId"],
            "last_modified": head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "content_type": head["ContentType"],
            "metadata": {},
        },
    } == json.loads(execution["input"])
    assert execution["name"].startswith("green_tripdata-")


def test_a_multipart_upload_starts(arrivals: Arrivals, key: str) -> None:
    """A multipart upload arrives when it is completed."""
    s3 = arrivals.client("s3")
    upload = s3.create_multipart_upload(Bucket=arrivals.bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=arrivals.bucket, Key=key, UploadId=upload, PartNumber=1, Body=PART)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=arrivals.bucket, Key=key, UploadId=upload, MultipartUpload=parts)

    assert ["started"] == arrivals.decided(key)


def test_a_copy_starts(arrivals: Arrivals, key: str) -> None:
    """A copy into the source prefix is an arrival; its source is not."""
    staged = key.replace(PREFIX, "staging/")
    arrivals.put(staged)
    arrivals.client("s3").copy_object(
        Bucket=arrivals.bucket, Key=key, CopySource={"Bucket": arrivals.bucket, "Key": staged}
    )

    assert ["started"] == arrivals.decided(key)
    assert [] == arrivals.log(staged)


def test_two_versions_are_two_executions(arrivals: Arrivals, key: str) -> None:
    """The same bytes uploaded again are a new upload."""
    arrivals.put(key)
    arrivals.put(key)

    assert ["started", "started"] == arrivals.decided(key, 2)
    assert 2 == len({one["name"] for one in arrivals.executions(key)})


def test_the_same_event_again_is_a_duplicate(arrivals: Arrivals, key: str) -> None:
    """A second delivery answers with the execution of the first."""
    version = arrivals.put(key)["VersionId"]
    arrivals.decided(key)

    answer = arrivals.invoke(arrivals.native_event(key, version))

    [execution] = arrivals.executions(key)
    assert {"outcome": "duplicate", "reason": None, "execution_arn": execution["executionArn"]} == answer


@pytest.mark.local_only("a trail of one's own costs, and its events take minutes")
@pytest.mark.usefixtures("trail")
def test_both_events_of_one_upload_start_it_once(arrivals: Arrivals, key: str) -> None:
    """The native and the CloudTrail event of one upload compute one name."""
    arrivals.put(key)

    assert ["duplicate", "started"] == arrivals.decided(key, 2)
    assert {"native", "cloudtrail"} == {line["source"] for line in arrivals.log(key)}
    assert 1 == len({line["execution_name"] for line in arrivals.log(key)})
    assert 1 == len(arrivals.executions(key))


@pytest.mark.local_only("a trail of one's own costs, and its events take minutes")
@pytest.mark.usefixtures("trail")
def test_a_second_event_while_the_execution_runs_is_a_duplicate(arrivals: Arrivals, key: str) -> None:
    """Step Functions answers it with the running execution instead of an error."""
    arrivals.put(key, run_seconds=15)

    assert ["duplicate", "started"] == arrivals.decided(key, 2)
    [execution] = arrivals.executions(key)
    assert "RUNNING" == execution["status"]


@pytest.mark.local_only("a trail of one's own costs, and its events take minutes")
@pytest.mark.usefixtures("trail")
def test_a_failed_call_is_skipped(arrivals: Arrivals, key: str) -> None:
    """CloudTrail announces uploads that were refused; they start nothing."""
    iam = arrivals.client("iam")
    iam.create_user(UserName="intern")
    made = iam.create_access_key(UserName="intern")["AccessKey"]
    credentials = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}

    with pytest.raises(ClientError, match="AccessDenied"):
        local_stack.client(arrivals.stack.cloud, "s3", **credentials).put_object(
            Bucket=arrivals.bucket, Key=key, Body=b"x"
        )

    assert ["skipped failed_call"] == arrivals.decided(key)


def test_a_key_arrives_byte_for_byte(arrivals: Arrivals, key: str) -> None:
    """Whatever S3 allows in a key reaches the job unchanged, under a legal name."""
    names = [
        'it\'s a "quote" + 100%25 (été) 🚕.csv',
        "dt=2026-11-24/run=05:20/a b  c.csv",
        "a\\b[0]{1}*?<>|^~`$&,;.csv",
        "tab\tand\u2028line.csv",
    ]
    odd = [key.replace("green_tripdata.csv", name) for name in names]
    for one in odd:
        arrivals.put(one)

    assert {one: ["started"] for one in odd} == {one: arrivals.decided(one, quiet=0) for one in odd}
    until(lambda: all(["SUCCEEDED"] == [run["status"] for run in arrivals.executions(one)] for one in odd))


def test_what_is_no_file_is_skipped(arrivals: Arrivals, key: str) -> None:
    """Folder markers and empty objects are normal life: skipped, counted, no failure."""
    reasons = {"folder/": "folder_marker", "folder_$folder$": "folder_marker", "empty.csv": "empty_object"}
    skipped = {key.replace("green_tripdata.csv", name): [f"skipped {reason}"] for name, reason in reasons.items()}
    for marker in skipped:
        arrivals.put(marker, b"")

    assert skipped == {marker: arrivals.decided(marker, quiet=0) for marker in skipped}
    assert [] == arrivals.failures()


def test_what_lies_elsewhere_wakes_nobody(arrivals: Arrivals) -> None:
    """The rules let nothing pass that is not under the source prefix, least of all what the job writes."""
    elsewhere = ["elsewhere/file.csv", "target/event-transformed/part-0.parquet"]
    for other in elsewhere:
        arrivals.put(other)

    assert [] == arrivals.decided(elsewhere[-1], 0)
    assert [] == arrivals.log(elsewhere[0])


def test_a_deleted_object_is_skipped(arrivals: Arrivals, key: str) -> None:
    """An object that is gone when its event comes starts nothing and fails nothing."""
    assert {"outcome": "skipped", "reason": "object_gone", "execution_arn": None} == arrivals.invoke(
        arrivals.native_event(key)
    )


def test_a_deletion_is_no_arrival(arrivals: Arrivals, key: str) -> None:
    """Other S3 events that reach the function are skipped."""
    deleted = {**arrivals.native_event(key), "detail-type": "Object Deleted"}

    assert {"outcome": "skipped", "reason": "not_an_arrival", "execution_arn": None} == arrivals.invoke(deleted)


@pytest.mark.local_only("deploys a second stack")
def test_a_stack_attaches_to_a_bucket_without_versions_and_to_an_alias(arrivals: Arrivals, key: str) -> None:
    """With SourceBucketName and StateMachineArn given the stack makes neither; the name is taken whoever starts it."""
    states, bucket = arrivals.client("stepfunctions"), "somebody-elses-bucket"
    local_stack.make_bucket(arrivals.stack.cloud, bucket)
    version = states.publish_state_machine_version(stateMachineArn=arrivals.machine)["stateMachineVersionArn"]
    route = {"stateMachineVersionArn": version, "weight": 100}
    alias = states.create_state_machine_alias(name="live", routingConfiguration=[route])["stateMachineAliasArn"]
    parameters = {"SourceBucketName": bucket, "StateMachineArn": alias}
    attached = Arrivals(local_stack.deploy(arrivals.stack.cloud, "attached", parameters))
    made = attached.client("cloudformation").describe_stack_resources(StackName="attached")["StackResources"]

    assert (bucket, alias) == (attached.bucket, attached.machine)
    assert not {"SourceBucket", "Workflow", "GlueJob"} & {resource["LogicalResourceId"] for resource in made}
    attached.put(key)
    assert ["started"] == attached.decided(key, quiet=0)
    attached.put(key, b"other,bytes\n")
    assert ["started", "started"] == attached.decided(key, 2)
    inputs = [json.loads(one["input"])["object"]["version_id"] for one in arrivals.executions(key)]
    assert [None, None] == inputs
    assert 1 == attached.backfill(prefix=key, dry_run=True)["duplicates"]
