"""What arrives, and what comes of it, on the deployed template."""

import json

import pytest
from botocore.exceptions import ClientError

from local import stack as local_stack
from tests.integration.stacks import PREFIX, Arrivals, until

ODD = [
    'it\'s a "quote" + 100%25 (été) 🚕.csv',
    "dt=2026-11-24/run=05:20/a b  c.csv",
    "a\\b[0]{1}*?<>|^~`$&,;.csv",
    "tab\tand\u2028line.csv",
]


def test_an_upload_starts_the_workflow_once_with_the_workshops_parameters(arrivals: Arrivals, key: str) -> None:
    """One upload is one execution, whose input is the contract's; its event again answers with that one."""
    uploaded = arrivals.put(key)

    assert {key: ["started"]} == arrivals.decided({key: ["started"]})
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
    arrivals.until_ended(key, "SUCCEEDED")
    again = arrivals.invoke(arrivals.native_event(key, uploaded["VersionId"]))
    assert {"outcome": "duplicate", "reason": None, "execution_arn": execution["executionArn"]} == again


def test_whatever_arrives_is_decided_once(arrivals: Arrivals, key: str) -> None:
    """However it is uploaded and called; what is no file is skipped, and what lies elsewhere wakes nobody."""
    folder = key.removesuffix("green_tripdata.csv")
    parts, copied, twice = (f"{folder}{name}.csv" for name in ("parts", "copied", "twice"))
    odd = [f"{folder}{name}" for name in ODD]
    skipped = {
        f"{folder}folder/": "folder_marker",
        f"{folder}folder_$folder$": "folder_marker",
        f"{folder}empty.csv": "empty_object",
    }
    elsewhere = [copied.replace(PREFIX, "staging/"), "elsewhere/file.csv", "target/event-transformed/part-0.parquet"]
    for one in (*odd, *elsewhere, twice, twice):
        arrivals.put(one)
    for one in skipped:
        arrivals.put(one, b"")
    arrivals.put_in_parts(parts)
    source = {"Bucket": arrivals.bucket, "Key": elsewhere[0]}
    arrivals.client("s3").copy_object(Bucket=arrivals.bucket, Key=copied, CopySource=source)

    wanted = {
        **{one: ["started"] for one in (*odd, parts, copied)},
        twice: ["started", "started"],
        **{one: [f"skipped {reason}"] for one, reason in skipped.items()},
        **{one: [] for one in elsewhere},
    }
    assert wanted == arrivals.decided(wanted)
    assert 2 == len({one["name"] for one in arrivals.executions(twice)})
    for one in odd:
        arrivals.until_ended(one, "SUCCEEDED")
    assert [] == arrivals.failures()


@pytest.mark.local_only("a trail of one's own costs, and its events take minutes")
@pytest.mark.usefixtures("trail")
def test_both_events_of_one_upload_start_it_once(arrivals: Arrivals, key: str) -> None:
    """Step Functions answers the second with the running execution; the event of a call that failed is skipped."""
    refused = f"{key}.refused"
    iam = arrivals.client("iam")
    iam.create_user(UserName="intern")
    made = iam.create_access_key(UserName="intern")["AccessKey"]
    credentials = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    s3 = local_stack.client(arrivals.stack.cloud, "s3", **credentials)
    arrivals.put(key, run_seconds=8)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket=arrivals.bucket, Key=refused, Body=b"x")

    wanted = {key: ["duplicate", "started"], refused: ["skipped failed_call"]}
    assert wanted == arrivals.decided(wanted)
    assert ["RUNNING"] == [one["status"] for one in arrivals.executions(key)]
    assert {"native", "cloudtrail"} == {line["source"] for line in arrivals.log(key)}
    assert 1 == len({line["execution_name"] for line in arrivals.log(key)})


def test_what_is_gone_is_skipped(arrivals: Arrivals, key: str) -> None:
    """With the function's own role, which may list, so that S3 says that it is gone."""
    answer = arrivals.invoke(arrivals.native_event(key))

    assert {"outcome": "skipped", "reason": "object_gone", "execution_arn": None} == answer


@pytest.mark.local_only("deploys a second stack")
def test_a_stack_attaches_to_a_bucket_without_versions_and_to_an_alias(arrivals: Arrivals, key: str) -> None:
    """With SourceBucketName and StateMachineArn given the stack makes neither; the name is taken whoever starts it."""
    bucket = "somebody-elses-bucket"
    local_stack.make_bucket(arrivals.stack.cloud, bucket)
    alias = local_stack.make_alias(arrivals.stack.cloud, arrivals.machine)
    parameters = {"SourceBucketName": bucket, "StateMachineArn": alias}
    attached = Arrivals(local_stack.again(arrivals.stack, "attached", parameters))
    made = attached.client("cloudformation").describe_stack_resources(StackName="attached")["StackResources"]

    assert (bucket, alias) == (attached.bucket, attached.machine)
    assert not {"SourceBucket", "Workflow", "GlueJob"} & {resource["LogicalResourceId"] for resource in made}
    attached.put(key)
    until(lambda: attached.log(key))
    attached.put(key, b"other,bytes\n")
    assert {key: ["started", "started"]} == attached.decided({key: ["started", "started"]})
    assert [None, None] == [one["object"]["version_id"] for one in arrivals.inputs(key)]
    assert 1 == attached.backfill(prefix=key, dry_run=True)["duplicates"]
