"""The Glue job's script on a real Spark: from its arguments to the Parquet it leaves in the local cloud's S3.

Not proven here. s3:// is our own file system over S3's API: how Glue's own one (EMRFS) lists folder markers, treats unusual
keys, commits output and answers a denied request is its own. Of awsglue the Python half is AWS's; its Java half, with
DynamicFrames and job bookmarks, is not there. And no two runs are really under way at once: the other run's rows are put
there between a write and its check.
"""

import gzip
import json
import runpy
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from glue.ny_taxi_transformed import AMOUNTS, target_path
from local import stack
from local.emulator import process
from local.trips import COLUMNS, green_trips

# Py4J closes some of its sockets late.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

SCRIPT = Path("glue", "ny_taxi_transformed.py")
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

    def run(self, source: str = KEY, manifest: str = "") -> None:
        """Run the script with the arguments of a job run."""
        from awsglue.context import GlueContext  # noqa: PLC0415 - its names are known once the engine is
        from awsglue.job import Job  # noqa: PLC0415 - likewise

        arguments = {"JOB_NAME": "job", "BUCKET_NAME": self.bucket, "SRC_PREFIX": source, "TRG_PREFIX": TARGET}
        if manifest:
            arguments["MANIFEST"] = manifest
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Job, "commit", lambda _: self.committed.append("job"))
            patch.setattr(GlueContext, "get_logger", lambda _: self)
            argv = [part for name, value in arguments.items() for part in (f"--{name}", value)]
            patch.setattr(sys, "argv", [str(SCRIPT), *argv])
            runpy.run_path(str(SCRIPT), run_name="__main__")

    def info(self, said: str) -> None:
        """Keep what the script logs; tests/glue/test_runs.py has the job's own logger."""
        self.journal.append(said)

    warn = info

    def output(self, source: str | None = None) -> Any:
        """Read what a source left behind, or all of them."""
        everything = f"s3://{self.bucket}/{TARGET}"
        return self.spark.read.parquet(target_path(self.bucket, TARGET, source) if source else everything)

    def rows(self, source: str | None = None) -> list[tuple[Any, ...]]:
        """Return the output's rows in order, without the name of their source."""
        return sorted(tuple(row) for row in self.output(source).drop("source_id").collect())


@pytest.fixture(scope="module")
def cloud() -> Iterator[process.Emulator]:
    """Run a local cloud of its own, for its S3."""
    with process.start(log=Path(".local") / "glue-s3.log") as running:
        yield running


@pytest.fixture(scope="module")
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
    assert [f"1000 rows from 's3://{lake.bucket}/{KEY}' to '{target_path(lake.bucket, TARGET, KEY)}'"] == lake.journal


def test_times_are_kept_as_written(lake: Lake) -> None:
    """A time that summer time skips in the machine's own zone stays what the file says."""
    lake.put(KEY, "lpep_pickup_datetime\n2020-03-08 02:30:00\n")

    lake.run()

    assert "2020-03-08 02:30:00" == lake.output(KEY).selectExpr("cast(lpep_pickup_datetime as string)").head()[0]


@pytest.mark.parametrize("amount", [5, 3_000_000_000])
def test_whole_amounts_are_doubles(lake: Lake, amount: int) -> None:
    """Amounts are doubles even in a file that holds none but whole numbers, so that all sources share a schema."""
    names = [*sorted(AMOUNTS - {"fare_amount"}), "Fare_Amount"]
    lake.put(KEY, f"{','.join(names)},VendorID\n{f'{amount},' * len(names)}1\n")

    lake.run()

    assert [*((name, "double") for name in names), ("VendorID", "int")] == lake.output(KEY).dtypes


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
    assert [] == lake.keys(TARGET)


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


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1\x15\x04\x15\x10\x15\x14L\x15\x02",
        b"PK\x03\x04\x14\x00\x06\x00\x08\x00",
        gzip.compress(b"a,b\n1,x\n"),
        "a,b\n1,x\n".encode("utf-16"),
        "Straße,b\n1,x\n".encode("latin-1"),
    ],
    ids=["parquet", "zip", "gzip", "utf-16", "latin-1"],
)
def test_no_csv(lake: Lake, content: bytes) -> None:
    """What is no text in UTF-8 fails the run and says so, and what an earlier run wrote stands."""
    lake.put(KEY, "a,b\n1,x\n")
    lake.run()
    lake.put(KEY, content)

    with pytest.raises(ValueError, match="is no CSV in UTF-8") as failure:
        lake.run()

    assert KEY in str(failure.value)
    assert [(1, "x")] == lake.rows()


def test_quoted_line_breaks(lake: Lake) -> None:
    """A quoted value may go over several lines, as spreadsheets write it."""
    lake.put(KEY, 'a,b\n1,"x\ny, ""z"""\n2,w\n')

    lake.run()

    assert [(1, 'x\ny, "z"'), (2, "w")] == lake.rows()


@pytest.mark.parametrize("name", ["a*.csv", "12:30.csv", "{.csv"])
def test_quoted_line_breaks_under_a_key_that_is_a_pattern(lake: Lake, name: str) -> None:
    """The one thing that Spark can't do fails the run with a reason, rather than cut rows apart."""
    lake.put(f"in/{name}", 'a,b\n1,"x\ny"\n')

    with pytest.raises(ValueError, match="can't read line breaks in quoted values"):
        lake.run("in")


def test_trips_as_published_in_2013(lake: Lake) -> None:
    """The blank line below the header and the commas too many of the TLC's older files do no harm."""
    lake.put(KEY, "\ufeffVendorID,Total_amount,Trip_type \r\n\r\n2,21.5,,,\r\n1,5,,,\r\n")

    lake.run()

    assert [("VendorID", "int"), ("Total_amount", "double")] == lake.output(KEY).dtypes
    assert [(1, 5.0), (2, 21.5)] == lake.rows()


@pytest.mark.parametrize("window", [False, True])
def test_another_run_writes_meanwhile(lake: Lake, monkeypatch: pytest.MonkeyPatch, *, window: bool) -> None:
    """Two runs of one source at once must not end with its rows twice and a success: the later one fails."""
    from pyspark.sql import DataFrameWriter  # noqa: PLC0415 - only where it is installed

    write = DataFrameWriter.parquet

    def write_twice(self: Any, path: str) -> None:
        write(self, path)
        write(self.mode("append"), path)

    monkeypatch.setattr(DataFrameWriter, "parquet", write_twice)
    lake.put(KEY, "a,b\n1,x\n")

    with pytest.raises(RuntimeError, match=r"holds 2 rows, .* had 1: another run"):
        lake.run(manifest=lake.manifest(KEY) if window else "")

    assert [] == lake.committed


def test_a_window_is_read_by_its_manifest(lake: Lake) -> None:
    """One run reads exactly the manifest's files, whatever their names, each into the folder it has without windows."""
    names = ["a b.csv", "a+b.csv", "100%.csv", "é[1].csv", "12:30.csv", "'quotes\".csv"]
    for number, name in enumerate(names):
        lake.put(f"in/{name}", f"n,text\n{number},{name[0]}\n")
    lake.put("in/late.csv", "n,text\n99,late\n")

    lake.run("in/", lake.manifest(*(f"in/{name}" for name in names)))

    assert {name: [(number, name[0])] for number, name in enumerate(names)} == {
        name: lake.rows(f"in/{name}") for name in names
    }
    assert len(names) == lake.output().count()
    assert ["job"] == lake.committed


def test_two_windows_of_one_folder(lake: Lake) -> None:
    """Leave each other's output alone; a file in both is there once, as the later run read it."""
    for name in "abc":
        lake.put(f"in/{name}.csv", f"a\n{name}\n")
    lake.run("in/", lake.manifest("in/a.csv", "in/b.csv"))
    lake.put("in/b.csv", "a\nnewer\n")

    lake.run("in/", lake.manifest("in/b.csv", "in/c.csv"))

    assert [("a",), ("c",), ("newer",)] == lake.rows()


def test_a_window_whose_files_were_deleted(lake: Lake) -> None:
    """Those deleted since are skipped, the others are read; with none left the run succeeds."""
    lake.put("in/a.csv", "a\n1\n")

    manifest = lake.manifest("in/a.csv", "in/gone.csv", "elsewhere/gone.csv")
    lake.run("in/", manifest)
    assert [(1,)] == lake.rows()
    assert [
        "Skipped 'in/gone.csv': deleted since the window closed",
        "Skipped 'elsewhere/gone.csv': deleted since the window closed",
        f"1 rows from 1 files of '{manifest}' to 's3://{lake.bucket}/{TARGET}'",
    ] == lake.journal

    lake.run("in/", lake.manifest("in/gone.csv"))
    assert [(1,)] == lake.rows()
    assert ["job", "job"] == lake.committed


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.csv", b"PAR1\x15\x04\x15\x10", "in/bad.csv' is no CSV"),
        ("_bad.csv", b"a\n1\n", "Nothing to read at .*in/_bad.csv"),
        # Which of two headers is the wrong one, nobody knows: it names one of them.
        ("bad.csv", b"a,b\n1,2\n", "(?s)CSV header.*CSV file: s3://.*/in/(good|bad).csv"),
        ("z-bad.csv", b"b\n1\n", "(?s)CSV header.*CSV file: s3://.*/in/(good|z-bad).csv"),
    ],
    ids=["no text", "hidden", "more columns", "another column"],
)
def test_a_window_with_a_file_that_can_t_be_read(lake: Lake, name: str, content: bytes, message: str) -> None:
    """The run fails and names the file; nothing is written."""
    lake.put("in/good.csv", "a\n1\n")
    lake.put(f"in/{name}", content)

    with pytest.raises(Exception, match=message):
        lake.run("in/", lake.manifest("in/good.csv", f"in/{name}"))

    assert [] == [key for key in lake.keys(TARGET) if key.endswith(".parquet")]


@pytest.mark.parametrize("text", ["", "[]", '{"files": [{}]}', '{"files": 1}'])
def test_no_manifest(lake: Lake, text: str) -> None:
    """What is no manifest fails the run and says which."""
    lake.put("m.json", text)

    with pytest.raises(ValueError, match=r"m\.json' is no manifest"):
        lake.run("in/", f"s3://{lake.bucket}/m.json")
