"""A bucket in a local cloud, the job's script, and a Spark that runs it."""

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

SCRIPT = Path("glue", "ny_taxi_transformed.py")
TARGET = "target/event-transformed"
KEY = "input/lab2/eventdriven/green_tripdata.csv"


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what others' code warns of."""
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
    """The bucket, the job and the Spark it runs on."""

    spark: Any
    s3: Any
    bucket: str
    committed: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)

    def put(self, key: str, content: str | bytes) -> None:
        """Store an object; a key with a trailing slash is a folder marker."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def keys(self, prefix: str) -> list[str]:
        """List the keys that begin so."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [found["Key"] for found in listed.get("Contents", [])]

    def manifest(self, *keys: str) -> str:
        """Store a window's manifest; return its address."""
        key = f"windows/{uuid.uuid4().hex}/0.json"
        files = [{"key": name, "size": 1, "etag": "e", "last_modified": "2026-11-24T05:20:00Z"} for name in keys]
        self.put(key, json.dumps({"files": files}))
        return f"s3://{self.bucket}/{key}"

    def run(self, source: str = KEY, **options: str) -> None:
        """Run the script with the arguments of a job run."""
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
        """Keep what the script logs; tests/glue/test_runs.py has the job's own logger."""
        self.journal.append(said)

    warn = info

    def output(self, source: str) -> Any:
        """Read what a source left behind, with pyarrow."""
        import pyarrow as pa  # noqa: PLC0415 - lives in an environment of its own
        from pyarrow import parquet  # noqa: PLC0415 - likewise

        folder = target_path(self.bucket, TARGET, source).removeprefix(f"s3://{self.bucket}/")
        parts = [self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in self.keys(folder + "/")]
        return pa.concat_tables([parquet.read_table(pa.BufferReader(part)) for part in parts]) if parts else None

    def rows(self, source: str = KEY) -> list[tuple[Any, ...]]:
        """Return the output's rows, as they lie there."""
        table = self.output(source)
        return list(zip(*table.to_pydict().values(), strict=True)) if table else []


@pytest.fixture(scope="session")
def cloud() -> Iterator[process.Emulator]:
    """Run a local cloud of its own, for its S3."""
    with process.start(log=Path(".local") / "glue-s3.log") as running:
        yield running


@pytest.fixture(scope="session")
def spark(cloud: process.Emulator) -> Iterator[Any]:
    """Start Spark once, whose s3:// is the local cloud's."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - lives in an environment of its own

    from local.spark import engine  # noqa: PLC0415 - likewise

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "America/New_York")  # the job must not depend on it
        context = engine.start(cloud.endpoint_url, process.REGION)
    engine.use_credentials(context, cloud.environment)
    context.setLogLevel("OFF")
    session = SparkSession(context)
    yield session
    session.stop()


@pytest.fixture
def lake(spark: Any, cloud: process.Emulator) -> Lake:
    """Return an empty bucket."""
    bucket = f"lake-{uuid.uuid4().hex}"
    stack.make_bucket(cloud, bucket)
    spark.conf.unset("spark.sql.session.timeZone")
    return Lake(spark, stack.client(cloud, "s3"), bucket)
