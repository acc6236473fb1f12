"""Route files on the local cloud: routes of every kind and two state machines; a storm of files is one run."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.duty import ANOTHER, JOB
from tests.integration.stacks import SECONDS, Arrivals, until
from tests.unit.resolved import OTHER

pytestmark = pytest.mark.local_only("deploys a stack of its own")
DPUS = OTHER["GlueMaxCapacityDpus"]


@pytest.fixture(autouse=True)
def nothing_failed_before(duty: Arrivals) -> Iterator[None]:
    """No event of these tests is in the failure queue."""
    duty.forget_failures()
    yield
    assert [] == duty.failures()


def test_the_stacks_job_runs_as_wide_and_as_often_as_its_parameters_say(duty: Arrivals) -> None:
    job = duty.client("glue").get_job(JobName=JOB)["Job"]
    properties = {"GlueMaxConcurrentRuns": job.get("ExecutionProperty", {}).get("MaxConcurrentRuns")}
    properties["GlueMaxCapacityDpus"] = job["NumberOfWorkers"]

    assert {name: str(OTHER[name]) for name in properties} == {name: str(one) for name, one in properties.items()}


def at_once[T](act: Callable[[T], object], things: list[T]) -> None:
    """Do something to many things at once."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, things))


def job_run(duty: Arrivals, job: str, source: str) -> dict[str, Any]:
    """Return the run of a job on a source."""
    runs = duty.client("glue").get_job_runs(JobName=job)["JobRuns"]
    [run] = [one for one in runs if one["Arguments"]["--SRC_PREFIX"] == source]
    return dict(run)


def test_each_route_starts_its_own(duty: Arrivals) -> None:
    """Its job with capacity and parameters, that of a folder by its marker, another team's machine; a backfill knows all."""
    part = uuid.uuid4().hex
    day, orders = f"raw/sales/dt={part}/", f"raw/orders/{part}/24/"
    small, large, other, marker = (
        f'{day}a + "100%".csv',
        f"{day}large.csv",
        f"{day}other.json",
        f"{orders}_SUCCESS",
    )
    for key, content in {small: b"x" * 10, large: b"x" * 11, other: b"x", f"{orders}part-0": b"x", marker: b""}.items():
        duty.put(key, content)

    # What lies beside the marker is the other team's too.
    wanted = {key: ["started"] for key in (small, large, other, marker)}
    assert wanted == duty.decided(wanted)
    lines = {key: line for key, [line] in duty.logs(wanted).items()}
    states = duty.client("stepfunctions")
    inputs = {
        key: json.loads(states.describe_execution(executionArn=line["execution_arn"])["input"])
        for key, line in lines.items()
    }
    # A route without a ladder has the stack's own number.
    assert {
        small: ("sales", small, f"curated/sales/dt={part}", 3),
        large: ("sales", large, f"curated/sales/dt={part}", 7),
        other: ("others", other, "misc", DPUS),
        marker: ("orders", orders, f"curated/orders/{part}/24", DPUS),
    } == {
        key: (one["route"], one["SRC_PREFIX"], one["TRG_PREFIX"], one["glue_max_capacity_dpus"])
        for key, one in inputs.items()
    }
    assert {key: one["route"] for key, one in inputs.items()} == {key: line["route"] for key, line in lines.items()}
    assert lines[other]["execution_arn"].startswith(ANOTHER.replace(":stateMachine:", ":execution:"))

    def statuses() -> set[str]:
        return {states.describe_execution(executionArn=line["execution_arn"])["status"] for line in lines.values()}

    until(lambda: "RUNNING" not in statuses())
    assert {"SUCCEEDED"} == statuses()
    run = job_run(duty, JOB, small)
    assert (3, 7) == (run["NumberOfWorkers"], job_run(duty, JOB, large)["NumberOfWorkers"])
    assert {
        "--JOB_NAME": JOB,
        "--BUCKET_NAME": duty.bucket,
        "--SRC_PREFIX": small,
        "--TRG_PREFIX": f"curated/sales/dt={part}",
        "--DAY": part,
        "--FILE": 'a + "100%"',
    } == run["Arguments"]
    assert f"curated/orders/{part}/24" == job_run(duty, "orders-jb", orders)["Arguments"]["--TRG_PREFIX"]

    # Dry, it looks up executions of both machines.
    reports = [duty.backfill(prefix=day, dry_run=dry) for dry in (True, False)]
    assert [(0, 3, 0)] * 2 == [tuple(one[name] for name in ("started", "duplicates", "failed")) for one in reports]


def test_a_set_is_one_run_once_it_is_complete(duty: Arrivals) -> None:
    """One of each, or so many; announced again, and late, it is a duplicate; sent again, it runs again, on what is there then."""
    day = uuid.uuid4().hex
    folder, counted = f"raw/close/{day}/", f"raw/readings/{day}/"
    lines, orders = (f"{folder}{name}.csv" for name in ("lines", "orders"))
    three = [f"{counted}{number}.csv" for number in range(3)]
    duty.put(orders)
    assert {orders: ["waiting incomplete_set"]} == duty.decided({orders: ["waiting"]}, quiet=0)
    assert [("incomplete_set", [orders], [lines])] == [
        (line["reason"], line["present"], line["missing"]) for line in duty.log(orders)
    ]
    report = duty.backfill(prefix=folder)
    assert (1, [orders], 0) == (report["waiting"], report["first_keys"]["waiting"], report["started"])
    at_once(duty.put, [lines, *three])
    at_once(lambda key: duty.invoke(duty.native_event(key)), three)
    for one in (folder, counted):
        duty.until_ended(one, "SUCCEEDED")

    [given], [many] = duty.inputs(folder), duty.inputs(counted)
    heads = {key: duty.client("s3").head_object(Bucket=duty.bucket, Key=key) for key in (lines, orders)}
    files = [
        {
            "key": key,
            "size": head["ContentLength"],
            "etag": head["ETag"].strip('"'),
            "last_modified": f"{head['LastModified']:%Y-%m-%dT%H:%M:%SZ}",
        }
        for key, head in heads.items()
    ]
    assert json.dumps({"files": files}, separators=(",", ":")).encode() == duty.manifest(given)
    assert {
        "glue_max_capacity_dpus": DPUS,
        "JOB_NAME": JOB,
        "BUCKET_NAME": duty.bucket,
        "SRC_PREFIX": folder,
        "TRG_PREFIX": f"curated/close/{day}",
        "set": {"captures": {"day": day}},
        "manifest": given["manifest"],
        "files": 2,
        "bytes": sum(head["ContentLength"] for head in heads.values()),
        "route": "close",
        "captures": {"day": day},
        "parameters": {},
    } == given
    assert three == [one["key"] for one in json.loads(duty.manifest(many))["files"]]
    assert (3, counted) == (many["files"], many["SRC_PREFIX"])

    again = {key: duty.invoke(duty.native_event(key))["outcome"] for key in (lines, orders)}
    assert dict.fromkeys((lines, orders), "duplicate") == again
    duty.put(lines, b"a,b\n3,4\n")
    duty.until_ended(folder, "SUCCEEDED", "SUCCEEDED")
    time.sleep(3)  # a set that settles, and its collect
    assert 2 == len({duty.manifest(one) for one in duty.inputs(folder)})
    assert {folder: 2, counted: 1} == {one: len(duty.inputs(one)) for one in (folder, counted)}


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
    runs = duty.client("glue").get_job_runs(JobName=JOB)["JobRuns"]
    told = {one["Arguments"].get("--MANIFEST") for one in runs if one["Arguments"].get("--SRC_PREFIX") == folder}
    assert {run["manifest"] for run in duty.inputs(folder)} == told
    # Long after the window nothing is opened, and nothing runs again.
    time.sleep(SECONDS)
    before = (len(duty.windows(folder)), len(duty.inputs(folder)))
    late = duty.native_event(keys[0]) | {"replay-name": "again"}
    assert ["coalesced"] * 2 == [duty.invoke(late)["outcome"] for _ in range(2)]
    assert before == (len(duty.windows(folder)), len(duty.inputs(folder)))
