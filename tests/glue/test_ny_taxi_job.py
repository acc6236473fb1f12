"""The Glue job's script, run as Glue runs it, on a real Spark: from its arguments to the Parquet it leaves.

Needs PySpark 3.5 and a JDK: pip install 'pyspark==3.5.*', for a Python that it supports. Elsewhere these tests skip.

Not proven here. s3:// is a folder of this machine, by way of Hadoop's local file system: how Glue's own one (EMRFS) lists
folder markers, treats unusual keys, commits output and answers a denied request is its own. awsglue is a stand-in that
parses arguments and hands out the session; bookmarks, the Glue log and Glue's changes to Spark are not there. And no two
runs are really under way at once: the other run's rows are put there between a write and its check.
"""

import argparse
import importlib.util
import logging
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glue.ny_taxi_transformed import target_path
from local.trips import COLUMNS, green_trips

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(importlib.util.find_spec("pyspark") is None, reason="PySpark is not installed"),
    pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK: javac is not on the path"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # Py4J closes some of its own late
]

SCRIPT = Path("glue", "ny_taxi_transformed.py")
BUCKET = "glueworkshop-123456789012-us-east-2"
TARGET = "target/event-transformed"
KEY = "input/lab2/eventdriven/green_tripdata.csv"

DECOYS = ("ax.csv", "a1.csv", "ab.csv", "a.csv", "back.csv", "A.csv", "a b.csv", "a:b.csv")  # what a glob would match
ODD_NAMES = (
    "a b.csv",
    "a+b.csv",
    "100%.csv",
    "%41.csv",
    "'quotes\".csv",
    "😀 é.csv",
    "a*.csv",
    "a?.csv",
    "a[1].csv",
    "a{x,1}.csv",
    "{.csv",
    "a].csv",
    "\\back.csv",
    "back\\",
    "12:30.csv",
    "12:30[1].csv",
    "x:[y]/{z}:*.csv",
    "#&=@!$;,()|<>~`^.csv",
    "k=v/a.csv",
    " a ",
    "line\nbreak\t.csv",
)


@dataclass(frozen=True)
class Lake:
    """The bucket, the job and the Spark it runs on."""

    spark: Any
    bucket: Path
    committed: list[str] = field(default_factory=list)

    def put(self, key: str, text: str) -> None:
        """Store an object; a key with a trailing slash is a folder marker."""
        file = self.bucket / key
        if key.endswith("/"):
            file.mkdir(parents=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def run(self, source: str = KEY) -> None:
        """Run the script with the arguments of a job run."""
        arguments = {"JOB_NAME": "job", "BUCKET_NAME": BUCKET, "SRC_PREFIX": source, "TRG_PREFIX": TARGET}
        with pytest.MonkeyPatch.context() as patch:
            for name, module in glue_stand_ins(self.spark, self.committed).items():
                patch.setitem(sys.modules, name, module)
            argv = [part for name, value in arguments.items() for part in (f"--{name}", value)]
            patch.setattr(sys, "argv", [str(SCRIPT), *argv])
            runpy.run_path(str(SCRIPT), run_name="__main__")

    def output(self, source: str | None = None) -> Any:
        """Read what a source left behind, or all of them."""
        return self.spark.read.parquet(target_path(BUCKET, TARGET, source) if source else f"s3://{BUCKET}/{TARGET}")

    def rows(self, source: str | None = None) -> list[tuple[Any, ...]]:
        """Return the output's rows in order, without the name of their source."""
        return sorted(tuple(row) for row in self.output(source).drop("source_id").collect())


def glue_stand_ins(spark: Any, committed: list[str]) -> dict[str, Any]:
    """Return modules with as much of awsglue as the script uses; commits go to the list."""

    def get_resolved_options(argv: list[str], names: list[str]) -> dict[str, str]:
        parser = argparse.ArgumentParser(exit_on_error=False)
        for name in names:
            parser.add_argument(f"--{name}", required=True)
        return vars(parser.parse_known_args(argv[1:])[0])

    def context(_: object) -> SimpleNamespace:
        return SimpleNamespace(spark_session=spark, get_logger=lambda: logging.getLogger("glue"))

    def job(_: object) -> SimpleNamespace:
        names: list[str] = []
        return SimpleNamespace(init=lambda name, _: names.append(name), commit=lambda: committed.extend(names))

    return {
        "awsglue": SimpleNamespace(),
        "awsglue.context": SimpleNamespace(GlueContext=context),
        "awsglue.job": SimpleNamespace(Job=job),
        "awsglue.utils": SimpleNamespace(getResolvedOptions=get_resolved_options),
    }


@pytest.fixture(scope="module")
def start_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Lake]]:
    """Start Spark once, with s3:// in a folder of its own."""
    import pyspark  # noqa: PLC0415 - only where it is installed
    from pyspark.sql import SparkSession  # noqa: PLC0415

    classes, root = tmp_path_factory.mktemp("classes"), tmp_path_factory.mktemp("s3")
    jars = Path(pyspark.__file__).parent / "jars" / "*"
    java = Path(__file__).with_name("LocalS3FileSystem.java")
    subprocess.run(["javac", "-cp", jars, "-d", classes, java], check=True)  # noqa: S607 - our own source

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LC_ALL", "C.UTF-8")  # Java's names of local files
        patch.setenv("TZ", "America/New_York")  # the job must not depend on it
        spark = (
            SparkSession.builder.master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.log.level", "OFF")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.extraClassPath", str(classes))
            .config("spark.hadoop.fs.s3.impl", "LocalS3FileSystem")
            .config("spark.hadoop.fs.s3.impl.disable.cache", "true")
            .config("spark.hadoop.fs.s3.local.root", str(root))
            .getOrCreate()
        )

    def start(folder: Path) -> Lake:
        link = root / BUCKET
        link.unlink(missing_ok=True)
        link.symlink_to(folder, target_is_directory=True)
        spark.conf.unset("spark.sql.session.timeZone")
        return Lake(spark, folder)

    yield start
    spark.stop()


@pytest.fixture
def lake(start_lake: Callable[[Path], Lake], tmp_path: Path) -> Lake:
    """Return an empty bucket."""
    return start_lake(tmp_path)


def test_trips_become_typed_parquet(lake: Lake) -> None:
    """Every trip arrives with its times as timestamps, its money as doubles and no column that is null throughout."""
    lake.put(KEY, green_trips(1000, seed=1))

    lake.run()

    output = lake.output(KEY)
    types = dict(output.dtypes)
    assert 1000 == output.count()
    assert [name for name in COLUMNS if name != "ehail_fee"] == output.columns
    assert {"timestamp"} == {types[name] for name in types if name.endswith("_datetime")}
    assert {"double"} == {types[name] for name in ("trip_distance", "fare_amount", "tolls_amount", "total_amount")}
    assert {"int"} == {types[name] for name in ("VendorID", "PULocationID", "passenger_count")}
    assert ["job"] == lake.committed


def test_times_are_kept_as_written(lake: Lake) -> None:
    """A time that summer time skips in the machine's own zone stays what the file says."""
    lake.put(KEY, "lpep_pickup_datetime\n2020-03-08 02:30:00\n")

    lake.run()

    assert "2020-03-08 02:30:00" == lake.output(KEY).selectExpr("cast(lpep_pickup_datetime as string)").head()[0]


def test_whole_amounts_are_doubles(lake: Lake) -> None:
    """An amount is a double even in a file that holds none but whole numbers, so that all sources share a schema."""
    lake.put(KEY, "Fare_Amount,VendorID\n5,1\n")

    lake.run()

    assert [("Fare_Amount", "double"), ("VendorID", "int")] == lake.output(KEY).dtypes


@pytest.mark.parametrize("name", ODD_NAMES)
def test_key_is_taken_verbatim(lake: Lake, name: str) -> None:
    """A key with any character is read as that key, beside objects that it would match as a pattern."""
    for decoy in DECOYS:
        lake.put(f"in/{decoy}", "wrong\n1\n")
    lake.put(f"in/{name}", "a,b\n1,x\n")

    lake.run(f"in/{name}")

    assert [(1, "x")] == lake.rows()


@pytest.mark.parametrize("prefix", ["in/[2020]*: {a}", "in/[2020]*: {a}/"])
def test_prefix(lake: Lake, prefix: str) -> None:
    """A folder is read with all below it; markers, empty files and a header alone add nothing, names of folders neither."""
    folder = "in/[2020]*: {a}"
    lake.put(f"{folder}/", "")
    lake.put(f"{folder}/nested/", "")
    lake.put(f"{folder}/0-empty.csv", "")
    lake.put(f"{folder}/marker_$folder$", "")
    lake.put(f"{folder}/1-header.csv", "a,b\n")
    lake.put(f"{folder}/2: [x].csv", "a,b\n1,x\n")
    lake.put(f"{folder}/k=v/12:30/*.csv", "a,b\n2,y\n")
    lake.put("in/2020/other.csv", "a,b\n9,z\n")

    lake.run(prefix)

    assert ["a", "b"] == lake.output(folder).columns
    assert [(1, "x"), (2, "y")] == lake.rows()


def test_second_run_replaces_the_first(lake: Lake) -> None:
    """A source that runs again, changed or not, leaves its output once."""
    lake.put(KEY, green_trips(10, seed=1))
    lake.run()
    first = lake.rows()

    lake.run()
    assert first == lake.rows()

    lake.put(KEY, green_trips(5, seed=2))
    lake.run()
    assert 5 == len(lake.rows())
    assert not set(first) & set(lake.rows())


def test_sources_are_independent(lake: Lake) -> None:
    """A run leaves other sources' output alone, those with the same file name too; together they read as one table."""
    other = "input/2021/green_tripdata.csv"
    lake.put(KEY, green_trips(10, seed=1))
    lake.put(other, green_trips(20, seed=2))
    lake.run()
    first = lake.rows(KEY)

    lake.run(other)
    lake.run(other)

    assert first == lake.rows(KEY)
    assert 20 == len(lake.rows(other))
    assert 30 == lake.output().count()
    assert 2 == lake.output().select("source_id").distinct().count()


@pytest.mark.parametrize("source", ["in/missing.csv", "in/*.csv", "in/{a,b}.csv", "in/_hidden.csv", "in/empty"])
def test_nothing_to_read(lake: Lake, source: str) -> None:
    """A path without an object, or with one that Spark passes over in silence, fails the run and says which."""
    lake.put("in/a.csv", "a,b\n1,x\n")
    lake.put("in/_hidden.csv", "a,b\n1,x\n")
    lake.put("in/empty/", "")

    with pytest.raises(FileNotFoundError, match="Nothing to read at 's3://") as failure:
        lake.run(source)

    assert source in str(failure.value)
    assert [] == lake.committed
    assert not (lake.bucket / TARGET).exists()


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n", "a,b\n,\n,\n"])
def test_no_data(lake: Lake, text: str) -> None:
    """A source without a single value fails the run, and what an earlier run wrote stands."""
    lake.put(KEY, "a,b\n1,x\n")
    lake.run()
    lake.put(KEY, text)

    with pytest.raises(ValueError, match="No data in 's3://"):
        lake.run()

    assert [(1, "x")] == lake.rows()
    assert ["job"] == lake.committed


@pytest.mark.parametrize("header", ["b,a", "a", "a,b,c"])
def test_files_of_a_folder_disagree(lake: Lake, header: str) -> None:
    """Files with other columns, or the same in another order, fail the run instead of mixing them up."""
    lake.put("in/1.csv", "a,b\n1,x\n")
    lake.put("in/2.csv", f"{header}\n2,y\n")

    with pytest.raises(Exception, match="CSV header"):
        lake.run("in")

    assert [] == lake.committed


def test_any_other_csv(lake: Lake) -> None:
    """The columns are the header's, whatever it holds: quotes, dots, blanks, no name, the same name twice."""
    lake.put(KEY, ',a.b," c `d`",a.b,null\n1,"x ""y"", z",2020-01-31,0.5,\n')

    lake.run()

    assert ["_c0", "a.b1", " c `d`", "a.b3"] == lake.output(KEY).columns
    assert ["int", "string", "date", "double"] == [kind for _, kind in lake.output(KEY).dtypes]
    assert 'x "y", z' == lake.rows()[0][1]


def test_trips_as_published_in_2013(lake: Lake) -> None:
    """The blank line below the header and the commas too many of the TLC's older files do no harm."""
    lake.put(KEY, "\ufeffVendorID,Total_amount,Trip_type \r\n\r\n2,21.5,,,\r\n1,5,,,\r\n")

    lake.run()

    assert [("VendorID", "int"), ("Total_amount", "double")] == lake.output(KEY).dtypes
    assert [(1, 5.0), (2, 21.5)] == lake.rows()


def test_another_run_writes_meanwhile(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one source at once must not end with its rows twice and a success: the later one fails."""
    from pyspark.sql import DataFrameWriter  # noqa: PLC0415 - only where it is installed

    write = DataFrameWriter.parquet

    def write_twice(self: Any, path: str) -> None:
        write(self, path)
        write(self.mode("append"), path)

    monkeypatch.setattr(DataFrameWriter, "parquet", write_twice)
    lake.put(KEY, "a,b\n1,x\n")

    with pytest.raises(RuntimeError, match=r"holds 2 rows, .* had 1: another run"):
        lake.run()

    assert [] == lake.committed
