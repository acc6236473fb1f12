"""The Glue job beside the naive one: `.venv/spark/bin/python -m benchmarks.job`, with the sizes in MB to measure.

Both run on one Spark, in turns, on files of green trips: plain ones, and ones with a line break in a quoted value.
Passes are the bytes that Hadoop read, divided by the size of the file. Seconds depend on the machine, so quote the
ratio.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark import cloudpickle
from pyspark.sql import SparkSession

from glue import ny_taxi_transformed as job
from local.spark import engine
from local.trips import green_trips

NAIVE = {"header": True, "inferSchema": True}
ROWS = 100_000


def main() -> None:
    """Make the files, measure in turn, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.job", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sizes", nargs="*", type=int, default=[10, 100, 400], help="in MB (10 100 400)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (%(default)s)")
    arguments = parser.parse_args()
    cloudpickle.register_pickle_by_value(job)  # in Glue the job is the main program
    spark = SparkSession(engine.start("http://127.0.0.1:1", "us-east-2"))
    print(
        "| file | naive: seconds | passes | the job: seconds | passes | job / naive |",
        "|---|---|---|---|---|---|",
        sep="\n",
    )
    with tempfile.TemporaryDirectory() as name:
        for size in arguments.sizes:
            for broken in (False, True):
                file = Path(name, "trips.csv")
                write_trips(file, size * 1_000_000, broken=broken)
                print(row(spark, file, arguments.rounds, broken=broken), flush=True)


def write_trips(file: Path, size: int, *, broken: bool) -> None:
    """Write trips until the file is so large; if it is broken, one value in each trip has a line break."""
    header, _, trips = green_trips(ROWS, seed=1).partition("\n")
    if broken:
        trips = trips.replace(",N,", ',"N\n",')
    with file.open("w") as stream:
        stream.write(header + "\n")
        while stream.tell() < size:
            left = size - stream.tell()
            # The last trip must be complete: a trip begins with a digit, and its second line does not.
            end = len(trips) if left >= len(trips) else re.compile(r"\n(?=[0-9])").search(trips, left).end()  # type: ignore[union-attr]
            stream.write(trips[:end])


def row(spark: SparkSession, file: Path, rounds: int, *, broken: bool) -> str:
    """Measure both on a file and return a row of the table."""
    source, target = file.as_uri(), f"{file.parent.as_uri()}/target/source_id=trips"
    naive = spark.read.options(**NAIVE, multiLine=broken, escape='"')

    def run_naive() -> None:
        naive.csv(source).write.mode("overwrite").parquet(f"{file.parent.as_uri()}/naive")

    def run_job() -> None:
        session = spark.newSession()
        job.prepare(session)
        job.transform(session, {source: target}, job.Options(), f"{file.parent.as_uri()}/target/_staged")

    found: list[list[tuple[float, float]]] = [[], []]
    for number in range(rounds + 1):
        for measured, run in zip(found, (run_naive, run_job), strict=True):
            seconds, read = measure(spark, run)
            if number:  # the first warms up
                measured.append((seconds, read / file.stat().st_size))
    (naive_time, naive_passes), (job_time, job_passes) = (
        [statistics.median(column) for column in zip(*measured, strict=True)] for measured in found
    )
    name = f"{file.stat().st_size // 1_000_000} MB" + (", line breaks in quoted values" if broken else "")
    ratio = statistics.median(ours / theirs for (theirs, _), (ours, _) in zip(*found, strict=True))
    return f"| {name} | {naive_time:.1f} | {naive_passes:.1f} | {job_time:.1f} | {job_passes:.1f} | {ratio:.2f} |"


def measure(spark: SparkSession, run: Callable[[], None]) -> tuple[float, int]:
    """Return the duration, and the bytes that Hadoop reads."""
    before, start = bytes_read(spark), time.monotonic()
    run()
    return time.monotonic() - start, bytes_read(spark) - before


def bytes_read(spark: SparkSession) -> int:
    """Return the bytes that Hadoop has read from local files."""
    statistics_of_all: Any = spark._jvm.org.apache.hadoop.fs.FileSystem.getAllStatistics()  # noqa: SLF001 - no public way
    return sum(one.getBytesRead() for one in statistics_of_all if one.getScheme() == "file")


if __name__ == "__main__":
    main()
