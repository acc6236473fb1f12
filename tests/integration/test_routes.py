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
def nothing_fails(duty: Arrivals) -> Iterator[None]:
    yield
    assert [] == duty.failures()


def test_the_stacks_job_runs_as_wide_and_as_often_as_its_parameters_say(duty: Arrivals) -> None:
    job = duty.client("glue").get_job(JobName=JOB)["Job"]
    properties = {"GlueMaxConcurrentRuns": job.get("ExecutionProperty", {}).get("MaxConcurrentRuns")}
    properties["GlueMaxCapacityDpus"] = job["NumberOfWorkers"]

    assert {name: str(OTHER[name]) for name in properties} == {name: str(one) for name, one in properties.items()}


def at_once[T](act: Callable[[T], object], things: list[T]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, things))


def job_run(duty: Arrivals, job: str, source: str) -> dict[str, Any]:
    runs = duty.client("glue").get_job_runs(JobName=job)["JobRuns"]
    [run] = [one for one in runs if one["Arguments"]["--SRC_PREFIX"] == source]
    return dict(run)


def test_each_route_starts_its_own(duty: Arrivals) -> None:
    """Its job with capacity and parameters, a folder's by its marker, another team's machine; a backfill knows all."""
    part = uuid.uuid4().hex
    day, orders = f"raw/sales/dt={part}/", f"raw/orders/{part}/24/"
    small, large, other = (f"{day}{name}" for name in ('a + "100%".csv', "large.csv", "other.json"))
    marker = f"{orders}_SUCCESS"
    for key, content in {small: b"x" * 10, large: b"x" * 11, other: b"x", f"{orders}part-0": b"x", marker: b""}.items():
        duty.put(key, content)

    # What lies beside the marker is the other team's too.
    wanted = {key: ["started"] for key in (small, large, other, marker)}
    assert wanted == duty.decided(wanted)
    lines = {key: line for key, [line] in duty.logs(wanted).items()}
    states = duty.client("stepfunctions")
    # A route without a ladder has the stack's own number.
    routes = {small: ("sales", 3), large: ("sales", 7), other: ("others", DPUS), marker: ("orders", DPUS)}
    inputs = {
        key: json.loads(states.describe_execution(executionArn=line["execution_arn"])["input"])
        for key, line in lines.items()
    }
    assert routes == {key: (one["route"], one["glue_max_capacity_dpus"]) for key, one in inputs.items()}
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
    """One of each, or so many; announced again it is a duplicate; sent again it runs again, on what is there then."""
    day = uuid.uuid4().hex
    folder, counted = f"raw/close/{day}/", f"raw/readings/{day}/"
    lines, orders = (f"{folder}{name}.csv" for name in ("lines", "orders"))
    three = [f"{counted}{number}.csv" for number in range(3)]
    duty.put(orders)
    assert {orders: ["waiting incomplete_set"]} == duty.decided({orders: ["waiting"]}, quiet=0)
    report = duty.backfill(prefix=folder)
    assert (1, [orders], 0) == (report["waiting"], report["first_keys"]["waiting"], report["started"])
    at_once(duty.put, [lines, *three])
    at_once(lambda key: duty.invoke(duty.native_event(key)), three)
    for one in (folder, counted):
        duty.until_ended(one, "SUCCEEDED")

    [given], [many] = duty.inputs(folder), duty.inputs(counted)
    assert ("curated/close/" + day, 2) == (given["TRG_PREFIX"], given["files"])
    assert {lines: 1, orders: 1} == duty.gathered(folder)
    assert (counted, dict.fromkeys(three, 1)) == (many["SRC_PREFIX"], duty.gathered(counted))

    again = {key: duty.invoke(duty.native_event(key))["outcome"] for key in (lines, orders)}
    assert dict.fromkeys((lines, orders), "duplicate") == again
    duty.put(lines, b"a,b\n3,4\n")
    duty.until_ended(folder, "SUCCEEDED", "SUCCEEDED")
    time.sleep(3)  # a set that settles, and its collect
    assert 2 == len({duty.manifest(one) for one in duty.inputs(folder)})
    assert {folder: 2, counted: 1} == {one: len(duty.inputs(one)) for one in (folder, counted)}


def slots(duty: Arrivals, folder: str) -> int:
    found = duty.client("s3").list_objects_v2(Bucket=duty.bucket, Prefix=folder).get("Contents", [])
    return len({int(one["LastModified"].timestamp()) // SECONDS for one in found})


def test_a_burst_is_one_run_for_each_slot(duty: Arrivals, folder: str) -> None:
    """However many files, announced twice or late; each is in one manifest, which the job is told."""
    keys = [f"{folder}{number}.csv" for number in range(8)]
    at_once(duty.put, keys)
    at_once(lambda key: duty.invoke(duty.native_event(key)), keys[:6])
    duty.until_settled(folder)

    assert dict.fromkeys(keys, 1) == duty.gathered(folder)
    assert len(duty.inputs(folder)) <= slots(duty, folder) + 1
    assert {"SUCCEEDED"} == {execution["status"] for execution in duty.executions(folder)}
    runs = duty.client("glue").get_job_runs(JobName=JOB)["JobRuns"]
    told = {one["Arguments"].get("--MANIFEST") for one in runs if one["Arguments"].get("--SRC_PREFIX") == folder}
    assert {run["manifest"] for run in duty.inputs(folder)} == told
    # Long after the window nothing is opened, and nothing runs again.
    time.sleep(SECONDS)
    before = (len(duty.windows(folder)), len(duty.inputs(folder)))
    late = duty.native_event(keys[0]) | {"replay-name": "again"}
    assert ["coalesced"] * 2 == [duty.invoke(late)["outcome"] for _ in range(2)]
    assert before == (len(duty.windows(folder)), len(duty.inputs(folder)))
