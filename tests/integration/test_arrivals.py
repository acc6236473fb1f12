"""What arrives, and what comes of it, on the deployed template."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from botocore.exceptions import ClientError

from local import stack as local_stack
from local.emulator.process import REPOSITORY
from tests.integration.commands import environment, run
from tests.integration.stacks import PREFIX, SECONDS, Arrivals, until
from tests.unit.resolved import OTHER, leaves, written_out

BUCKET = OTHER["SourceBucketName"]
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
FOLDER = str(OTHER["SourcePrefix"]).rpartition("/")[0] + "/"
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
    what_became_of_each_is_told(arrivals, odd[0], f"{folder}empty.csv", copied)


def what_became_of_each_is_told(arrivals: Arrivals, succeeded: str, empty: str, deleted: str) -> None:
    """By `arrivals why`: from S3, the execution, and the log, and what to do; however odd the key is."""
    silent, never = f"{empty}.silent", f"{empty}.never"
    arrivals.client("s3").delete_object(Bucket=arrivals.bucket, Key=deleted)
    with arrivals.unannounced():
        arrivals.put(silent)
    [execution] = arrivals.executions(succeeded)
    for asked, wanted in {
        succeeded: [
            f"execution {execution['name']} is ",
            f"#/v2/executions/details/{execution['executionArn']}",
            f"started (native): {execution['name']}",
            "To do   Nothing: it was started once and it succeeded.",
        ],
        empty: [
            "starts nothing: empty_object",
            "skipped (native): empty_object",
            "To do   If it should have content, upload it again.",
        ],
        deleted: ["S3      deleted 20", "started (native)"],
        silent: ["Log     nothing about this key", "To do   Look again in some minutes: its event has not come yet."],
        never: ["S3      no such object", "Log     nothing about this key"],
    }.items():
        _, told, error = run(arrivals, "why", asked)
        assert [] == [words for words in wanted if words not in told], told + error
    # As an operator does, with the key in the environment. What another make hands down would win over it.
    inherited = {name: value for name, value in environment(arrivals).items() if not name.startswith("MAKE")}
    given = {**inherited, "KEY": succeeded, "STACK": arrivals.stack.name}
    make = [shutil.which("make") or "make", "-s", "why"]
    made = subprocess.run(make, cwd=REPOSITORY, env=given, capture_output=True, text=True, check=False)
    assert (0, True) == (made.returncode, f"started (native): {execution['name']}" in made.stdout), made.stderr


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


@pytest.mark.local_only("deploys a second stack")
def test_an_upload_starts_the_attached_machine_with_the_others(arrivals: Arrivals) -> None:
    """Every parameter differs, bucket and alias are somebody else's; what only the default stack takes starts nothing.

    It was built as any other; the artifact is for both architectures. What concerns the stack's own bucket and job,
    which an attached stack does not make, differs in the stack of duty.py.
    """
    cloud, states = arrivals.stack.cloud, arrivals.client("stepfunctions")
    local_stack.make_bucket(cloud, str(BUCKET))
    role = states.describe_state_machine(stateMachineArn=arrivals.machine)["roleArn"]
    machine = states.create_state_machine(name="Attached", definition=json.dumps(PASS), roleArn=role)["stateMachineArn"]
    here = {**OTHER, "WindowSeconds": SECONDS, "StateMachineArn": local_stack.make_alias(cloud, machine)}
    given = {name: written_out(value) for name, value in here.items()}
    other = Arrivals(local_stack.again(arrivals.stack, "other", given))
    key, elsewhere = (f"{prefix}green_tripdata.csv" for prefix in (OTHER["SourcePrefix"], "input/lab2/eventdriven/"))
    other.put(elsewhere)
    other.put(key)

    assert {key: ["started"], elsewhere: []} == other.decided({key: ["started"], elsewhere: []})
    # The role may list what begins with the prefix, which is longer than the folder.
    until(lambda: other.described(machine, "SRC_PREFIX", FOLDER))
    [execution] = other.described(machine, "SRC_PREFIX", FOLDER)
    started = json.loads(execution["input"])
    assert {
        "glue_max_capacity_dpus": OTHER["GlueMaxCapacityDpus"],
        "JOB_NAME": OTHER["JobName"],
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": FOLDER,
        "TRG_PREFIX": OTHER["TargetPrefix"],
    }.items() <= started.items()
    assert (SECONDS, 1) == (started["window"]["seconds"], started["files"])
    assert f"s3://{other.stack.physical_id('BackfillResultsBucket')}/windows/" in started["manifest"]
    # Without windows it would be started by the function itself, and looked up: by the machine's ARN, not the alias's.
    assert other.stack.can("StartExecutionFunctionRole", "states:StartExecution", machine)
    assert other.stack.can("BackfillBatchFunctionRole", "states:DescribeExecution", execution["executionArn"])
    assert {"coalesced": 1}.items() <= other.backfill(prefix=key, dry_run=False).items()


@pytest.mark.local_only("an account's stack may be packaged otherwise")
def test_sam_delete_would_delete_no_other_stacks_files(arrivals: Arrivals) -> None:
    """Zip, definitions and script lie below the stack's own name; `sam delete` deletes whatever the template names."""
    name = arrivals.stack.name
    template = arrivals.client("cloudformation").get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    # As an address, or as a bucket and a key.
    keys = {
        (kind, path): re.sub("^s3://[^/]+/", "", str(value))
        for kind in ("CodeUri", "DefinitionUri", "ScriptLocation")
        for path, value in leaves(yaml.safe_load(template)["Resources"])
        if path.endswith((f".{kind}", f".{kind}.Key"))
    }

    assert {"CodeUri", "DefinitionUri", "ScriptLocation"} == {kind for kind, _ in keys}
    assert [] == [key for key in keys.values() if not re.fullmatch(rf"{name}/[^/]+", key)]
