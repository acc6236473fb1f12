"""A storm of files is one run: windows of two seconds, through AWS APIs."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.duty import JOB
from tests.integration.stacks import SECONDS, Arrivals, until

pytestmark = pytest.mark.local_only("deploys a stack of its own")


@pytest.fixture(autouse=True)
def nothing_failed_before(duty: Arrivals) -> None:
    """Begin each test with an empty failure queue."""
    duty.forget_failures()


def at_once[T](act: Callable[[T], object], things: list[T]) -> None:
    """Do something to many things at once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, things))


def slots(duty: Arrivals, folder: str) -> int:
    """Count the slots that the folder's objects fall into."""
    found = duty.client("s3").list_objects_v2(Bucket=duty.bucket, Prefix=folder).get("Contents", [])
    return len({int(one["LastModified"].timestamp()) // SECONDS for one in found})


def test_a_burst_in_two_folders_is_one_run_for_each_folder_and_slot(duty: Arrivals, folder: str) -> None:
    """However many files; announced twice, or late, too; and what is deleted or overwritten counts as it is at the end."""
    folders = [folder, f"raw/hourly/{uuid.uuid4().hex}/"]
    keys = [f"{one}{number}.csv" for number in range(8) for one in folders]
    at_once(duty.put, keys)
    at_once(lambda key: duty.invoke(duty.native_event(key)), keys[:6])
    duty.client("s3").delete_object(Bucket=duty.bucket, Key=keys[-1])
    duty.put(keys[-2], b"a,b\n3,4\n5,6\n")
    duty.until_settled(*folders)

    for one in folders:
        surviving = {key: 1 for key in keys[:-1] if key.startswith(one)}
        counts = duty.gathered(one)
        # The overwritten object may be in two manifests, as two uploads; what was deleted may have been in time.
        assert surviving == {key: 1 for key in counts if key != keys[-1]}
        assert {} == {key: count for key, count in counts.items() if key not in keys[-2:] and count != 1}
        assert len(duty.inputs(one)) <= slots(duty, one) + 1
        assert {one} == {run["SRC_PREFIX"] for run in duty.inputs(one)}
        assert {"SUCCEEDED"} == {execution["status"] for execution in duty.executions(one)}
    assert [] == duty.failures()
    runs = duty.client("glue").get_job_runs(JobName=JOB)["JobRuns"]
    told = {one["Arguments"].get("--MANIFEST") for one in runs if one["Arguments"].get("--SRC_PREFIX") == folder}
    assert {run["manifest"] for run in duty.inputs(folder)} == told
    # Long after the window nothing is opened, and nothing runs again.
    time.sleep(SECONDS)
    before = (len(duty.windows(folder)), len(duty.inputs(folder)))
    late = duty.native_event(keys[0]) | {"replay-name": "again"}
    assert ["coalesced"] * 2 == [duty.invoke(late)["outcome"] for _ in range(2)]
    assert before == (len(duty.windows(folder)), len(duty.inputs(folder)))


def test_a_collect_that_may_not_store_its_manifest_is_tried_again(duty: Arrivals, folder: str) -> None:
    """Arrivals are not disturbed, and once the fault is fixed every file is in exactly one run."""
    keys = [f"{folder}{number}.csv" for number in range(4)]

    def refused() -> int:
        history = duty.client("stepfunctions").get_execution_history
        events = [history(executionArn=one["executionArn"])["events"] for one in duty.windows(folder)]
        return sum(event["type"] == "TaskFailed" for one in events for event in one)

    with duty.denied("CollectWindowFunction", "s3:PutObject"):
        at_once(duty.put, keys)
        until(lambda: refused() > 1)
        assert [] == duty.inputs(folder)
        assert {"RUNNING"} == {one["status"] for one in duty.windows(folder)}
    duty.until_settled(folder)

    assert dict.fromkeys(keys, 1) == duty.gathered(folder)
