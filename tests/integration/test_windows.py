"""A storm of files is one run: a second stack, with windows of two seconds, through AWS APIs."""

import json
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from local import stack as local_stack
from local.emulator import process
from tests.integration.conftest import PREFIX, until
from tests.integration.gathering import PATIENCE, SECONDS, Windows


@pytest.fixture(scope="module")
def gathering(cloud: process.Emulator) -> Windows:
    """Deploy a stack with windows beside the other one."""
    parameters = {"WindowSeconds": str(SECONDS), "JobName": "gathering-jb"}
    return Windows(local_stack.deploy(cloud, "gathering", parameters))


@pytest.fixture
def folder() -> str:
    """Provide a folder of the test's own."""
    return f"{PREFIX}{uuid.uuid4().hex}/"


def at_once[T](act: Callable[[T], object], things: list[T]) -> None:
    """Do something to many things at once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, things))


def test_a_burst_in_two_folders_is_one_run_for_each_folder_and_slot(gathering: Windows, folder: str) -> None:
    """However many files; announced twice, too; and what is deleted or overwritten in between counts as it is at the end."""
    folders = [f"{folder}a/", f"{folder}b/"]
    keys = [f"{one}{number}.csv" for number in range(12) for one in folders]
    at_once(gathering.put, keys)
    at_once(lambda key: gathering.invoke(gathering.native_event(key)), keys[:6])
    gathering.client("s3").delete_object(Bucket=gathering.bucket, Key=keys[-1])
    gathering.put(keys[-2], b"a,b\n3,4\n5,6\n")
    gathering.settled(*folders)

    for one in folders:
        surviving = {key: 1 for key in keys[:-1] if key.startswith(one)}
        counts = gathering.gathered(one)
        # The overwritten object may be in two manifests, as two uploads; what was deleted may have been in time.
        assert surviving == {key: 1 for key in counts if key != keys[-1]}
        assert all(count == 1 for key, count in counts.items() if key not in keys[-2:])
        assert len(gathering.runs(one)) <= gathering.slots(one) + 1
        assert all(run["SRC_PREFIX"] == one for run in gathering.runs(one))
        assert {"SUCCEEDED"} == {execution["status"] for execution in gathering.executions(one)}
    assert gathering.failures() == []


def test_a_late_delivery_and_a_replay_find_their_manifest(gathering: Windows, folder: str) -> None:
    """Long after the window: nothing is opened, nothing runs again; the job was told its manifest."""
    key = f"{folder}a.csv"
    gathering.put(key)
    gathering.settled(folder)
    [run] = gathering.runs(folder)
    job = gathering.client("glue").get_job_runs(JobName="gathering-jb")["JobRuns"]
    [arguments] = [one["Arguments"] for one in job if one["Arguments"].get("--SRC_PREFIX") == folder]
    assert run["manifest"] == arguments["--MANIFEST"]
    time.sleep(3 * SECONDS)
    before = len(gathering.windows(folder))

    answers = [gathering.invoke(gathering.native_event(key) | {"replay-name": "again"})["outcome"] for _ in range(3)]

    assert ["coalesced"] * 3 == answers
    assert (before, 1) == (len(gathering.windows(folder)), len(gathering.runs(folder)))


def test_what_was_uploaded_in_parts_for_longer_than_a_window_gets_a_run(gathering: Windows, folder: str) -> None:
    """Its time is when it was begun; its window has closed by then, so that it opens the next generation."""
    s3, key = gathering.client("s3"), f"{folder}long.csv"
    upload = s3.create_multipart_upload(Bucket=gathering.bucket, Key=key)["UploadId"]
    gathering.put(f"{folder}short.csv")
    gathering.settled(folder)
    part = s3.upload_part(Bucket=gathering.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"a,b\n1,2\n")
    s3.complete_multipart_upload(
        Bucket=gathering.bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    until(lambda: len(gathering.runs(folder)) > 1, PATIENCE)
    gathering.settled(folder)

    assert {f"{folder}short.csv": 1, key: 1} == gathering.gathered(folder)


def test_a_collect_that_may_not_store_its_manifest_is_tried_again(gathering: Windows, folder: str) -> None:
    """Arrivals are not disturbed, and once the fault is fixed every file is in exactly one run."""
    iam = gathering.client("iam")
    function = gathering.stack.physical_id("CollectWindowFunction")
    role = gathering.client("lambda").get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(deny))
    keys = [f"{folder}{number}.csv" for number in range(4)]
    try:
        at_once(gathering.put, keys)
        time.sleep(SECONDS + 5)
        assert [] == gathering.runs(folder)
        assert {"RUNNING"} == {one["status"] for one in gathering.windows(folder)}
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")
    gathering.settled(folder)

    assert dict.fromkeys(keys, 1) == gathering.gathered(folder)


def test_a_stopped_window_is_taken_over(gathering: Windows, folder: str) -> None:
    """A backfill opens the next generation, which takes the stopped one's files; to run that one again changes nothing."""
    sfn, key = gathering.client("stepfunctions"), f"{folder}a.csv"
    gathering.put(key)
    until(lambda: gathering.windows(folder))
    [stopped] = gathering.windows(folder)
    sfn.stop_execution(executionArn=stopped["executionArn"])
    time.sleep(SECONDS)

    dry = gathering.backfill(prefix=folder)
    assert (1, 1) == (dry["started"], dry["windows"])
    assert 1 == gathering.backfill(prefix=folder, dry_run=False)["windows"]
    until(lambda: gathering.runs(folder), PATIENCE)
    sfn.start_execution(stateMachineArn=stopped["stateMachineArn"], input=stopped["input"])
    gathering.settled(folder)

    assert {key: 1} == gathering.gathered(folder)
    report = gathering.backfill(prefix=folder, dry_run=False)
    assert (0, 1) == (report["windows"], report["coalesced"])
