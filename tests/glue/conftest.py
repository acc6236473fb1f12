"""A local cloud whose Glue is a real Spark, and a bucket; the tests run the job's script themselves on that Spark."""

import json
import runpy
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from glue.ny_taxi_transformed import target_path
from local import stack
from local.emulator import process
from tests.waiting import until

SCRIPT = Path("glue", "ny_taxi_transformed.py")
TARGET = "target/event-transformed"
KEY = "input/lab2/eventdriven/green_tripdata.csv"
PATIENCE = 120
# What a run's timeout counts as a minute, here.
MINUTE = 4


def pytest_configure(config: pytest.Config) -> None:
    for warning in (
        # Py4J closes some of its sockets late.
        "ignore:unclosed <socket:ResourceWarning",
        "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
        # PySpark 3.5 is written for older Pythons.
        "ignore:datetime.datetime.utcfromtimestamp:DeprecationWarning",
        "ignore:distutils Version classes are deprecated:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", warning)


@dataclass(frozen=True)
class Lake:
    spark: Any
    s3: Any
    bucket: str
    committed: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)

    def put(self, key: str, content: str | bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for found in listed.get("Contents", [])]

    def manifest(self, *keys: str) -> str:
        """Store a window's manifest; return its address."""
        key = f"windows/{uuid.uuid4().hex}/0.json"
        files = [{"key": name, "size": 1, "etag": "e", "last_modified": "2026-11-24T05:20:00Z"} for name in keys]
        self.put(key, json.dumps({"files": files}))
        return f"s3://{self.bucket}/{key}"

    def run(self, source: str = KEY, **options: str) -> None:
        from awsglue.context import GlueContext  # noqa: PLC0415 - its names are known once the engine is
        from awsglue.job import Job  # noqa: PLC0415 - likewise

        arguments = {"JOB_NAME": "job", "BUCKET_NAME": self.bucket, "SRC_PREFIX": source, "TRG_PREFIX": TARGET}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Job, "commit", lambda _: self.committed.append("job"))
            patch.setattr(GlueContext, "get_logger", lambda _: self)
            argv = [part for name, value in (arguments | options).items() for part in (f"--{name}", value)]
            patch.setattr(sys, "argv", [str(SCRIPT), *argv])
            runpy.run_path(str(SCRIPT), run_name="__main__")

    def info(self, said: str) -> None:
        self.journal.append(said)

    warn = info

    def output(self, source: str) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - lives in an environment of its own
        from pyarrow import parquet  # noqa: PLC0415 - likewise

        folder = target_path(self.bucket, TARGET, source).removeprefix(f"s3://{self.bucket}/")
        parts = [self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.keys(folder + "/")]
        return pa.concat_tables([parquet.read_table(pa.BufferReader(part)) for part in parts]) if parts else None

    def rows(self, source: str = KEY) -> list[tuple[Any, ...]]:
        table = self.output(source)
        return list(zip(*table.to_pydict().values(), strict=True)) if table else []


@dataclass(frozen=True)
class Runs:
    """Job runs of the local cloud's Glue: each a process of its own, all on one Spark."""

    cloud: process.Emulator
    bucket: str = "scripts"

    def client(self, service: str) -> Any:
        return stack.client(self.cloud, service)

    def run(self, job: str, source: str = "", *, bucket: str = "", timeout: int = 20) -> dict[str, Any]:
        glue = self.client("glue")
        arguments = {"JOB_NAME": job, "BUCKET_NAME": bucket or self.bucket, "SRC_PREFIX": source, "TRG_PREFIX": TARGET}
        named = {f"--{name}": value for name, value in arguments.items()}
        run_id = glue.start_job_run(JobName=job, Arguments=named, Timeout=timeout)["JobRunId"]
        run = {"JobName": job, "Id": run_id}
        until(lambda: self.look(run).get("CompletedOn"), PATIENCE)
        return self.look(run)

    def look(self, run: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.client("glue").get_job_run(JobName=run["JobName"], RunId=run["Id"])["JobRun"]
        return found

    def job(self, script: str, role: str = "") -> str:
        """Make a job of a script, by default with a role that may do everything with S3."""
        name = uuid.uuid4().hex
        self.client("s3").put_object(Bucket=self.bucket, Key=f"{name}.py", Body=script)
        command = {"Name": "glueetl", "ScriptLocation": f"s3://{self.bucket}/{name}.py"}
        defaults = {"--OF_JOB": "default", "--TRG_PREFIX": "not the run's"}
        role = role or self.role("s3:*")
        self.client("glue").create_job(Name=name, Role=role, Command=command, DefaultArguments=defaults)
        return name

    def role(self, *actions: str, service: str = "glue.amazonaws.com", effect: str = "Allow") -> str:
        name, iam = uuid.uuid4().hex, self.client("iam")
        trust = {"Effect": effect, "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        policy = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        document = {"Version": "2012-10-17", "Statement": [policy]}
        iam.put_role_policy(RoleName=name, PolicyName="s3", PolicyDocument=json.dumps(document))
        return arn

    def log(self, run: dict[str, Any], group: str) -> list[str]:
        name = {"logGroupName": f"/aws-glue/jobs/{group}", "logStreamName": f"{run['Id']}-driver"}
        return [event["message"] for event in self.client("logs").get_log_events(**name)["events"]]


@pytest.fixture(scope="session")
def cloud() -> Iterator[process.Emulator]:
    """Run a local cloud whose Glue runs scripts on Spark; the job must not depend on the time zone."""
    settings = {"GLUE_RUNS": "spark", "GLUE_SECONDS_A_MINUTE": str(MINUTE), "TZ": "America/New_York"}
    with process.start(log=Path(".local") / "glue.log", settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def runs(cloud: process.Emulator) -> Runs:
    runs = Runs(cloud)
    stack.make_bucket(cloud, runs.bucket)
    return runs


# What a run must not find of the one before, what it leaves behind itself, and where Spark is; then it does something.
SCRIPT_OF_A_RUN = """
import os, sys, time
import pyspark
from awsglue.context import GlueContext
from pyspark.context import SparkContext
from pyspark.sql import SparkSession
glue = GlueContext(SparkContext.getOrCreate())
spark = SparkSession.builder.getOrCreate()
seen = [hasattr(pyspark, "mark"), *(one.conf.get("my.setting", None) for one in (spark, glue.spark_session))]
assert not any(seen) and not spark.catalog.tableExists("view"), seen
pyspark.mark = True
spark.range(1).createOrReplaceTempView("view")
spark.conf.set("my.setting", "1")
glue.get_logger().info("logged ü")
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("printed ü", *(given.get(name) for name in ("--OF_JOB", "--TRG_PREFIX", "--JOB_RUN_ID")), end=" ")
print(os.environ["PYSPARK_GATEWAY_PORT"], os.environ["PYSPARK_GATEWAY_SECRET"], flush=True)
"""


@pytest.fixture(scope="session")
def first_run(runs: Runs) -> dict[str, Any]:
    """Start Spark: whoever needs it first waits for it."""
    return runs.run(runs.job(SCRIPT_OF_A_RUN))


@pytest.fixture(scope="module")
def spark(runs: Runs, first_run: dict[str, Any]) -> Iterator[Any]:
    """Join the Spark of the local cloud's Glue, as a run does: to start another takes many seconds."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - lives in an environment of its own

    from local.spark import engine  # noqa: PLC0415 - likewise

    [told] = runs.log(first_run, "output")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("PORT", "SECRET"), told.split()[-2:], strict=True):
            patch.setenv(f"PYSPARK_GATEWAY_{name}", value)
        context = engine.join(runs.cloud.environment)
    yield SparkSession(context)
    context.stop()


@pytest.fixture
def lake(spark: Any, cloud: process.Emulator) -> Lake:
    bucket = f"lake-{uuid.uuid4().hex}"
    stack.make_bucket(cloud, bucket)
    spark.conf.unset("spark.sql.session.timeZone")
    return Lake(spark, stack.client(cloud, "s3"), bucket)
