"""Glue job runs of the local cloud on a real Spark, and the deployed application end to end.

The witness is pandas: it reads the CSV and the Parquet, neither with our code nor with Spark's.
"""

import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glue.ny_taxi_transformed import target_path
from local import stack
from local.emulator import process
from local.stack import Stack
from tests.waiting import until

PREFIX = "input/lab2/eventdriven/"
TARGET = "target/event-transformed"
JOB = "ny-taxi-transformed-console-jb"
PATIENCE = 120
# What a run's timeout counts as a minute, here.
MINUTE = 8

CSV = (
    'id,Straße,"Preis, netto",leer,bemerkung,wann\n'
    '1,Kölner Straße,"1,5",,"sagte ""nein""",2020-01-31 23:59:59\n'
    "2,,2.25,,ohne,2020-02-01 00:00:00\n"
    '3,Ährenweg,,,"zwei\nZeilen",\n'
)
MORE = 'id,Straße,"Preis, netto",leer,bemerkung,wann\n4,🚕,"3,0",,+ & %41,2020-02-29 12:00:00\n'


# An argument that begins like an option is that option to Glue 5.0: no parameter of a route may be called so.
ABBREVIATED = """
from awsglue.utils import getResolvedOptions
given = getResolvedOptions(["script", "--SRC_PREFIX", "key", "--SRC", "another"], ["SRC_PREFIX"])
raise SystemExit(given["SRC_PREFIX"])
"""


@dataclass(frozen=True)
class Runs:
    """A deployed stack whose Glue is a real Spark."""

    stack: Stack

    @property
    def bucket(self) -> str:
        """The source bucket."""
        return self.stack.outputs["SourceBucketName"]

    def put(self, key: str, content: str | bytes) -> None:
        """Upload an object."""
        self.stack.client("s3").put_object(Bucket=self.bucket, Key=key, Body=content)

    def run(self, job: str = JOB, source: str = "", **more: Any) -> dict[str, Any]:
        """Start a run of a job and wait for its end."""
        glue = self.stack.client("glue")
        arguments = {"JOB_NAME": job, "BUCKET_NAME": self.bucket, "SRC_PREFIX": source, "TRG_PREFIX": TARGET}
        named = {f"--{name}": value for name, value in arguments.items()}
        run_id = glue.start_job_run(JobName=job, Arguments=named, **more)["JobRunId"]

        def look() -> dict[str, Any]:
            run: dict[str, Any] = glue.get_job_run(JobName=job, RunId=run_id)["JobRun"]
            return run

        until(lambda: look().get("CompletedOn"), PATIENCE)
        return look()

    def job(self, script: str, *, role: str = "", **more: Any) -> str:
        """Make a job of a script of the test's own, with the role of the stack's job."""
        name, glue = uuid.uuid4().hex, self.stack.client("glue")
        theirs = glue.get_job(JobName=JOB)["Job"]
        location = f"s3://{self.bucket}/{TARGET}/scripts/{name}.py"
        self.put(location.removeprefix(f"s3://{self.bucket}/"), script)
        command = {"Name": "glueetl", "ScriptLocation": location}
        glue.create_job(Name=name, Role=role or theirs["Role"], Command=command, **more)
        return name

    def script(self) -> str:
        """Read the script that sam deploy uploaded."""
        location = self.stack.client("glue").get_job(JobName=JOB)["Job"]["Command"]["ScriptLocation"]
        bucket, _, key = location.removeprefix("s3://").partition("/")
        text: bytes = self.stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return text.decode()

    def role(self, *actions: str, service: str = "glue.amazonaws.com") -> str:
        """Make a role that may do this, everywhere."""
        name, iam = uuid.uuid4().hex, self.stack.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        policy = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        document = {"Version": "2012-10-17", "Statement": [policy]}
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps(document))
        return arn

    def parquet(self, source: str) -> Any:
        """Read what a source left behind, with pandas."""
        import pandas  # noqa: PLC0415, ICN001 - lives in an environment of its own

        s3, folder = self.stack.client("s3"), target_path("", TARGET, source).removeprefix("s3:///")
        keys = [found["Key"] for found in s3.list_objects_v2(Bucket=self.bucket, Prefix=folder).get("Contents", [])]
        files = [s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys if key.endswith(".parquet")]
        return pandas.concat([pandas.read_parquet(io.BytesIO(file)) for file in files])

    def log(self, run: dict[str, Any], group: str) -> str:
        """Read what a run left in one of Glue's log groups."""
        name = {"logGroupName": f"/aws-glue/jobs/{group}", "logStreamName": f"{run['Id']}-driver"}
        return "\n".join(event["message"] for event in self.stack.client("logs").get_log_events(**name)["events"])


def same(parquet: Any, *texts: str) -> bool:
    """Compare Parquet with what pandas reads from CSV texts, all of it text; order aside."""
    import pandas  # noqa: PLC0415, ICN001 - lives in an environment of its own

    read = [pandas.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, na_values=[""]) for text in texts]
    expected = pandas.concat(read).sort_values("id", ignore_index=True)
    actual = parquet.sort_values("id", ignore_index=True)
    pandas.testing.assert_frame_equal(expected, actual, check_dtype=False)
    return True


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Deploy the application to a local cloud whose Glue runs scripts."""
    settings = {"GLUE_RUNS": "spark", "GLUE_SECONDS_A_MINUTE": str(MINUTE)}
    with process.start(log=Path(".local") / "glue-runs.log", settings=settings) as cloud:
        yield Runs(stack.deploy(cloud))


@pytest.mark.parametrize("name", ["a b+c.csv", "Übung 100% \"x\" 'y'.csv"])
def test_an_upload_becomes_parquet(runs: Runs, name: str) -> None:
    """From the upload to the Parquet, through the trigger and the workflow: the rows are those that pandas reads."""
    key = f"{PREFIX}{uuid.uuid4().hex}/{name}"
    runs.put(key, CSV)

    sfn, machine = runs.stack.client("stepfunctions"), runs.stack.outputs["StateMachineArn"]

    def status() -> str:
        for listed in sfn.list_executions(stateMachineArn=machine)["executions"]:
            execution = sfn.describe_execution(executionArn=listed["executionArn"])
            if json.loads(execution["input"])["SRC_PREFIX"] == key:
                return str(execution["status"])
        return "none"

    until(lambda: status() not in {"none", "RUNNING"}, PATIENCE)
    assert "SUCCEEDED" == status()
    assert same(runs.parquet(key), CSV)


def test_two_files_of_a_folder_are_one_table(runs: Runs) -> None:
    """A folder is one source with one folder of the target."""
    folder = f"elsewhere/{uuid.uuid4().hex}/a b+c"
    runs.put(f"{folder}/1 ü.csv", CSV)
    runs.put(f"{folder}/2+3.csv", MORE)

    role = runs.role("s3:*")
    assert "SUCCEEDED" == runs.run(runs.job(runs.script(), role=role), folder)["JobRunState"]
    assert same(runs.parquet(folder), CSV, MORE)


@pytest.mark.parametrize("missing", ["s3:PutObject", "s3:GetObject"])
def test_what_the_role_may_not_do_fails_the_run(runs: Runs, missing: str) -> None:
    """With S3's own word for it, and nothing is written."""
    key = f"elsewhere/{uuid.uuid4().hex}.csv"
    runs.put(key, CSV)
    actions = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} - {missing}
    role = runs.role(*sorted(actions))

    run = runs.run(runs.job(runs.script(), role=role), key)

    assert "FAILED" == run["JobRunState"]
    assert "403" in run["ErrorMessage"]
    folder = target_path("", TARGET, key).removeprefix("s3:///")
    assert 0 == runs.stack.client("s3").list_objects_v2(Bucket=runs.bucket, Prefix=folder)["KeyCount"]


def test_the_source_was_deleted_meanwhile(runs: Runs) -> None:
    """The run fails and names what is not there."""
    key = f"{PREFIX}{uuid.uuid4().hex}.csv"

    run = runs.run(source=key)

    assert "FAILED" == run["JobRunState"]
    assert f"FileNotFoundError: Nothing to read at 's3://{runs.bucket}/{key}'" in run["ErrorMessage"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('a'\n", "SyntaxError: '(' was never closed"),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("import os\nos._exit(7)\n", "The script ended with exit code 7"),
        (
            "from awsglue.utils import getResolvedOptions\ngetResolvedOptions(['x'], ['DATE'])\n",
            "GlueArgumentError: the following arguments are required: --DATE",
        ),
        (ABBREVIATED, "SystemExit: another"),
    ],
)
def test_a_script_that_fails(runs: Runs, script: str, message: str) -> None:
    """Its exception is the run's error message."""
    run = runs.run(runs.job(script))

    assert ("FAILED", True) == (run["JobRunState"], run["ErrorMessage"].startswith(message)), run["ErrorMessage"]


def test_a_run_past_its_timeout_is_stopped(runs: Runs) -> None:
    """Whatever it does, and the next one finds a Spark that works."""
    count = "from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().range({}).count()\n"
    run = runs.run(runs.job(count.format("10**15"), Timeout=1))

    assert "TIMEOUT" == run["JobRunState"]
    assert "SUCCEEDED" == runs.run(runs.job(count.format("10"), Timeout=10))["JobRunState"]


def test_runs_do_not_see_each_other(runs: Runs) -> None:
    """Neither settings nor views nor a stopped Spark outlive a run."""
    script = """
import pyspark
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
assert not hasattr(pyspark, "mark") and not spark.catalog.tableExists("view") and not spark.conf.get("my.setting", None)
pyspark.mark = True
spark.range(1).createOrReplaceTempView("view")
spark.conf.set("my.setting", "1")
spark.stop()
"""
    job = runs.job(script)

    assert [("SUCCEEDED", None)] * 2 == [
        (run["JobRunState"], run.get("ErrorMessage")) for run in map(runs.run, [job] * 2)
    ]


def test_where_the_log_is(runs: Runs) -> None:
    """What a script prints is in Glue's output group, what it tells Glue's logger in its error group."""
    script = """
from awsglue.context import GlueContext
from pyspark.context import SparkContext
print("printed ü")
GlueContext(SparkContext.getOrCreate()).get_logger().info("logged ü")
"""
    run = runs.run(runs.job(script))

    assert "printed ü" == runs.log(run, "output")
    assert "INFO GlueLogger: logged ü" in runs.log(run, "error")


@pytest.mark.parametrize("service", ["lambda.amazonaws.com"])
def test_a_role_that_glue_may_not_assume(runs: Runs, service: str) -> None:
    """The run fails before it begins."""
    run = runs.run(runs.job("print()", role=runs.role("s3:*", service=service)))

    assert "FAILED" == run["JobRunState"]
    assert "assume role permissions for Glue" in run["ErrorMessage"]


def test_no_script(runs: Runs) -> None:
    """A job whose script is not there fails and says which."""
    job = runs.job("print()")
    runs.stack.client("s3").delete_object(Bucket=runs.bucket, Key=f"{TARGET}/scripts/{job}.py")

    run = runs.run(job)

    assert "FAILED" == run["JobRunState"]
    assert (
        f"LAUNCH ERROR | Error downloading from S3 for bucket: {runs.bucket}, key: {TARGET}/scripts/{job}.py"
        in run["ErrorMessage"]
    )
