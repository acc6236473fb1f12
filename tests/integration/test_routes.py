"""Route files on the local cloud: three routes and two state machines, beside the stack without any."""

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from artifact.route_files import packed_module, read_routes
from local import stack as local_stack
from local.emulator import process
from tests.integration.conftest import Arrivals, until
from tests.unit.resolved import OTHER, written_out

FILES = {
    "sales": """
match = "raw/sales/dt={dt}/{file}.csv"
job_name = "routed-jb"
target = "curated/sales/dt={dt}"
capacity = [{ up_to = "10 B", dpus = 3 }, { dpus = 7 }]
[parameters]
DAY = "{dt}"
FILE = "{file}"
""",
    "orders": """
match = "raw/orders/{day...}/_SUCCESS"
source = "raw/orders/{day}/"
accept_empty = true
job_name = "orders-jb"
target = "curated/orders/{day}"
""",
    "close": """
match = ["raw/close/{day}/orders.csv", "raw/close/{day}/lines.csv"]
job_name = "routed-jb"
target = "curated/close/{day}"
[set]
each = true
settle_seconds = 1
""",
    "readings": """
match = "raw/readings/{day}/{file}.csv"
source = "raw/readings/{day}/"
job_name = "routed-jb"
target = "curated/readings/{day}"
[set]
at_least = 3
settle_seconds = 1
""",
    "others": """
match = "raw/{all...}"
priority = -1
job_name = "others"
target = "misc"
state_machine_arn = "another-teams"
""",
}
pytestmark = pytest.mark.local_only("deploys a second stack")
ANOTHER = f"arn:aws:states:{process.REGION}:{process.ACCOUNT}:stateMachine:another-teams"
JOB = f"arn:aws:glue:{process.REGION}:{process.ACCOUNT}:job/"


@pytest.fixture(scope="module")
def routed(cloud: process.Emulator, tmp_path_factory: pytest.TempPathFactory) -> Arrivals:
    """Deploy a second stack, with route files, and make the other team's machine and job."""
    folder = tmp_path_factory.mktemp("routes")
    for name, text in FILES.items():
        Path(folder, f"{name}.toml").write_text(text)
    parameters = {
        "SourcePrefix": "raw/",
        "JobName": "routed-jb",
        "RouteStateMachineArns": ANOTHER,
        "RouteJobArns": f"{JOB}orders-jb",
        # What only a stack with a bucket and a job of its own has; all else differs in test_parameters.py.
        **{name: written_out(OTHER[name]) for name in ("GlueMaxCapacityDpus", "GlueMaxConcurrentRuns")},
        **{name: written_out(OTHER[name]) for name in ("SourceKmsKeyArn", "TargetPrefix")},
    }
    deployed = local_stack.deploy(cloud, "routed", parameters, routes=packed_module(read_routes(folder)))
    client = local_stack.client(cloud, "glue")
    job = client.get_job(JobName="routed-jb")["Job"]
    client.create_job(Name="orders-jb", Role=job["Role"], Command=job["Command"])
    machines = local_stack.client(cloud, "stepfunctions")
    role = machines.describe_state_machine(stateMachineArn=deployed.outputs["StateMachineArn"])["roleArn"]
    done = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    machines.create_state_machine(name="another-teams", definition=done, roleArn=role)
    return Arrivals(deployed)


@pytest.fixture(autouse=True)
def nothing_failed(routed: Arrivals) -> Iterator[None]:
    """No event of these tests is in the failure queue."""
    yield
    assert [] == routed.failures()


def started(routed: Arrivals, key: str) -> dict[str, object]:
    """Wait for the decision on a key, and give the input of what it started."""
    assert ["started"] == routed.decided(key)
    [line] = routed.log(key)
    described = routed.client("stepfunctions").describe_execution(executionArn=line["execution_arn"])
    given: dict[str, object] = json.loads(described["input"])
    assert line["route"] == given["route"]
    return {**given, "arn": line["execution_arn"]}


def succeeded(routed: Arrivals, arn: object) -> bool:
    """Return whether an execution has ended well."""
    status = routed.client("stepfunctions").describe_execution(executionArn=arn)["status"]
    assert status in {"RUNNING", "SUCCEEDED"}
    return bool(status == "SUCCEEDED")


@pytest.mark.parametrize(("size", "dpus"), [(10, 3), (11, 7)])
def test_a_file_goes_to_its_job_with_its_capacity_and_parameters(routed: Arrivals, size: int, dpus: int) -> None:
    """The stack's workflow runs the job of the route, and hands the parameters to it."""
    key = f'raw/sales/dt=2026-11-24/{uuid.uuid4().hex} + "100%".csv'
    routed.put(key, b"x" * size)

    given = started(routed, key)

    until(lambda: succeeded(routed, given["arn"]))
    [run] = [
        one
        for one in routed.client("glue").get_job_runs(JobName="routed-jb")["JobRuns"]
        if one["Arguments"]["--SRC_PREFIX"] == key
    ]
    assert dpus == run["NumberOfWorkers"] == given["glue_max_capacity_dpus"]
    assert {
        "--JOB_NAME": "routed-jb",
        "--BUCKET_NAME": routed.bucket,
        "--SRC_PREFIX": key,
        "--TRG_PREFIX": "curated/sales/dt=2026-11-24",
        "--DAY": "2026-11-24",
        "--FILE": key.removeprefix("raw/sales/dt=2026-11-24/").removesuffix(".csv"),
    } == run["Arguments"]


def test_a_marker_starts_the_job_of_its_folder(routed: Arrivals) -> None:
    """Another Glue job, which RouteJobArns lets the workflow run; the empty marker is an arrival."""
    folder = f"raw/orders/{uuid.uuid4().hex}/24/"
    routed.put(f"{folder}part-0.csv")
    routed.put(f"{folder}_SUCCESS", b"")

    given = started(routed, f"{folder}_SUCCESS")

    assert folder == given["SRC_PREFIX"]
    until(lambda: succeeded(routed, given["arn"]))
    runs = routed.client("glue").get_job_runs(JobName="orders-jb")["JobRuns"]
    assert folder in {one["Arguments"]["--SRC_PREFIX"] for one in runs}


def test_another_teams_machine_is_started_by_its_name(routed: Arrivals) -> None:
    """RouteStateMachineArns lets the function; the other stack's keys are not taken."""
    key = f"raw/{uuid.uuid4().hex}.json"
    routed.put(key)

    given = started(routed, key)

    assert str(given["arn"]).startswith(ANOTHER.replace(":stateMachine:", ":execution:"))
    assert "misc" == given["TRG_PREFIX"]
    # A route without a ladder has the stack's own number.
    assert OTHER["GlueMaxCapacityDpus"] == given["glue_max_capacity_dpus"]


def runs_on(routed: Arrivals, folder: str, count: int) -> list[dict[str, Any]]:
    """Wait for so many runs on a folder, and give their inputs, the earliest first; a third one would be one too many."""

    def ended() -> bool:
        found = routed.executions(folder)
        return len(found) >= count and all(one["status"] == "SUCCEEDED" for one in found)

    until(ended, 60)
    time.sleep(5)  # a set that settles, and its collect
    found = sorted(routed.executions(folder), key=lambda one: one["startDate"])
    assert count == len(found)
    return [json.loads(one["input"]) for one in found]


def manifest_of(routed: Arrivals, given: dict[str, Any]) -> bytes:
    """Read a manifest."""
    bucket, _, key = given["manifest"].removeprefix("s3://").partition("/")
    body: bytes = routed.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_one_of_each_is_one_run_once_all_have_arrived(routed: Arrivals) -> None:
    """Announced again, and late, it is a duplicate; sent again, it runs again, on what is there then."""
    day = uuid.uuid4().hex
    folder = f"raw/close/{day}/"
    keys = [f"{folder}{name}.csv" for name in ("lines", "orders")]
    routed.put(keys[1])
    assert ["waiting incomplete_set"] == routed.decided(keys[1])
    assert [("incomplete_set", [keys[1]], [keys[0]])] == [
        (line["reason"], line["present"], line["missing"]) for line in routed.log(keys[1])
    ]
    report = routed.backfill(prefix=folder)
    assert (1, [keys[1]], 0) == (report["waiting"], report["first_keys"]["waiting"], report["started"])
    routed.put(keys[0])

    [given] = runs_on(routed, folder, 1)

    heads = {key: routed.client("s3").head_object(Bucket=routed.bucket, Key=key) for key in keys}
    files = [
        {
            "key": key,
            "size": head["ContentLength"],
            "etag": head["ETag"].strip('"'),
            "last_modified": f"{head['LastModified']:%Y-%m-%dT%H:%M:%SZ}",
        }
        for key, head in heads.items()
    ]
    assert json.dumps({"files": files}, separators=(",", ":")).encode() == manifest_of(routed, given)
    assert {
        "glue_max_capacity_dpus": OTHER["GlueMaxCapacityDpus"],
        "JOB_NAME": "routed-jb",
        "BUCKET_NAME": routed.bucket,
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
    assert ["duplicate"] * 2 == [routed.invoke(routed.native_event(key))["outcome"] for key in keys]
    routed.put(keys[0], b"a,b\n3,4\n")
    assert 2 == len({manifest_of(routed, one) for one in runs_on(routed, folder, 2)})


def test_at_least_so_many_start_once(routed: Arrivals) -> None:
    """Uploaded together, and announced twice."""
    folder = f"raw/readings/{uuid.uuid4().hex}/"
    keys = [f"{folder}{number}.csv" for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(routed.put, keys))
        list(pool.map(lambda key: routed.invoke(routed.native_event(key)), keys))

    [given] = runs_on(routed, folder, 1)

    assert keys == [one["key"] for one in json.loads(manifest_of(routed, given))["files"]]
    assert (3, folder) == (given["files"], given["SRC_PREFIX"])


def test_the_job_is_made_as_the_parameters_say(routed: Arrivals) -> None:
    """Workers, runs at the same time, where it may write, and that it alone may use the key.

    The bucket's encryption and lifecycle are checked by the template alone: the local cloud makes a bucket without them.
    """
    job = routed.client("glue").get_job(JobName="routed-jb")["Job"]

    assert (OTHER["GlueMaxCapacityDpus"], OTHER["GlueMaxConcurrentRuns"]) == (
        int(job["NumberOfWorkers"]),
        int(job["ExecutionProperty"]["MaxConcurrentRuns"]),
    )
    assert [True, False] == [
        routed.can("GlueJobRole", "s3:PutObject", f"arn:aws:s3:::{routed.bucket}/{prefix}/part-0.parquet")
        for prefix in (OTHER["TargetPrefix"], "target/event-transformed")
    ]
    assert [True, False] == [
        routed.can(role, "kms:Decrypt", str(OTHER["SourceKmsKeyArn"]))
        for role in ("GlueJobRole", "StartExecutionFunctionRole")
    ]


def test_a_backfill_knows_all_routes(routed: Arrivals) -> None:
    """What was started is a duplicate, also in a dry run, which looks up executions of both machines."""
    keys = [f"raw/sales/dt=1/{uuid.uuid4().hex}.csv", f"raw/{uuid.uuid4().hex}.json"]
    for key in keys:
        routed.put(key)
        started(routed, key)
    time.sleep(0.1)

    for dry in (True, False):
        report = routed.backfill(prefix="raw/", dry_run=dry)
        assert 0 == report["started"] == report["failed"]
        assert len(keys) <= report["duplicates"]
