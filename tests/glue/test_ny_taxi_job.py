"""The Glue job's script on a real Spark: from its arguments to the Parquet in the local cloud's S3.

Not proven here: s3:// is our own file system over S3's API. Glue's own one (EMRFS) may list folder markers, treat
unusual keys, commit output and answer a denied request in other ways. The Python half of awsglue is AWS's; its Java
half, with DynamicFrames and job bookmarks, is not there. No two runs are really under way at once: the other run begins
and ends between a write and its check.
"""

import bz2
import gzip
import io
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from glue import ny_taxi_transformed as job
from glue.ny_taxi_transformed import File, Options, target_path
from local.trips import COLUMNS, green_trips
from tests.glue.conftest import KEY, TARGET, Lake
from tests.glue.judge import NEW, YEARS, strict

DECOYS = ("ax.csv", "a1.csv", "ab.csv", "a.csv", "back.csv", "A.csv", "a b.csv", "a:b.csv")  # what a glob would match
ODD_NAMES = (
    "a b+c 100% %41 'q\" 😀é.csv",
    "a[1]*?.csv",
    "a{x,1}.csv",
    "{a].csv",
    "back\\",
    "x:[y]/{z}:12:30*.csv",
    "#&=@!$;,()|<>~`^.csv",
    "k=v/ a\nb\t ",
)
MIDNIGHT = datetime(2020, 1, 1)  # noqa: DTZ001 - the records hold local times without a zone


def parquet_of(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def test_trips_become_typed_parquet(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every trip has its times as written and its types; a source that runs again replaces its own output alone.

    Neither another source's run meanwhile nor what a killed run has staged has a part in it.
    """
    other, folders = "input/2021/green_tripdata.csv", list[str]()

    def another(_: object, folder: str) -> None:
        folders.append(folder.removeprefix(f"s3://{lake.bucket}/"))
        lake.run(other)

    lake.put(KEY, "a\nfirst\n")
    lake.put(other, "a\nother\n")
    afterwards(monkeypatch, another)
    lake.run(KEY)
    assert ([("first",)], [("other",)]) == (lake.rows(), lake.rows(other))
    assert [True] == [folder.startswith(f"{TARGET}/_") for folder in folders], folders
    lake.put(f"{folders[0]}/killed.parquet", parquet_of({"a": ["killed"]}))
    lake.put(KEY, green_trips(1000, 3))  # more than s3:// reads at once
    lake.run(KEY)

    output = lake.output(KEY)
    types = {field.name: str(field.type) for field in output.schema}
    assert (1000, [("other",)], [*COLUMNS]) == (len(output), lake.rows(other), output.column_names)
    assert {"timestamp[us]"} == {types[name] for name in types if name.endswith("_datetime")}
    assert {"double"} == {types[name] for name in ("trip_distance", "fare_amount", "ehail_fee", "total_amount")}
    assert {"int32"} == {types[name] for name in ("VendorID", "PULocationID", "passenger_count")}
    assert ["job"] * 3 == lake.committed
    assert f"1000 rows from 's3://{lake.bucket}/{KEY}' to '{target_path(lake.bucket, TARGET, KEY)}'" == lake.journal[-1]


def test_a_window(lake: Lake) -> None:
    """One run reads exactly the manifest's files: each its own source, in any form and under any key, as that key."""
    forms = {
        "plain.csv": b"a,b\n1,x\n2,\n",
        "bytes.csv": b"\xef\xbb\xbfa,b\n1,\0\x1c\x85\xe2\x80\xa8\xef\xbb\xbf\n".replace(b"\x85", "\x85".encode()),
        "lines.csv": b'b,a\r\n1,"x\r\ny\rz"\r\n2,w\r\n',
        "zip.csv.gz": gzip.compress(b'a,b\n1,"6"" pipe, long"\n') + gzip.compress(b"2,y\n"),
        **{name: b"a,b\n%d,x\n" % number for number, name in enumerate(ODD_NAMES)},
    }
    for name in (*DECOYS, "late.csv"):
        lake.put(f"in/{name}", "wrong\n1\n")
    for name, content in forms.items():
        lake.put(f"in/{name}", content)
    lake.put("p.csv", parquet_of({"vendorid": [1, 2], "x": ["a", "b"]}))
    manifest = lake.manifest(*(f"in/{name}" for name in forms), "in/gone.csv", "elsewhere/gone.csv", "p.csv")

    lake.run("in/", MANIFEST=manifest)

    for name, content in forms.items():
        header, *rows = strict(gzip.decompress(content) if name.endswith(".gz") else content) or []
        assert header == lake.output(f"in/{name}").column_names, name
        assert [tuple(value or None for value in row) for row in rows] == lake.rows(f"in/{name}"), name
    assert [(1, "a"), (2, "b")] == lake.rows("p.csv")
    assert "VendorID" == lake.output("p.csv").column_names[0]
    assert len(forms) + 1 == len({key.split("/")[2] for key in lake.keys(TARGET) if "source_id" in key})
    assert [
        "Skipped 'in/gone.csv': deleted since the window closed",
        "Skipped 'elsewhere/gone.csv': deleted since the window closed",
        f"{len(ODD_NAMES) + 9} rows from {len(forms) + 1} files of '{manifest}' to 's3://{lake.bucket}/{TARGET}'",
    ] == lake.journal
    assert not [key for key in lake.keys(TARGET) if "/_" in key or not key.endswith(".snappy.parquet")]
    lake.run("in/", MANIFEST=lake.manifest("in/gone.csv"))
    assert ["job", "job"] == lake.committed


def test_a_folder(lake: Lake) -> None:
    """A folder is read with all below it, whatever the order of the columns; markers and empty files add nothing."""
    folder = "in/[2020]*: {a}"
    for marker in ("/", "/nested/", "/0-empty.csv", "/marker_$folder$", "/_SUCCESS"):
        lake.put(folder + marker, "")
    lake.put(f"{folder}/2: [x].csv", "VENDORID,b\n1,x\n")
    lake.put(f"{folder}/3.csv", "b,vendorid\ny,2.0\n")
    lake.put(f"{folder}/4.csv.bz2", bz2.compress(b'b,VendorID\n"y\nz",3\n'))
    lake.put(f"{folder}/5", parquet_of({"b": ["p"], "VendorID": [4.0]}))
    lake.put(f"{folder}/6", parquet_of({"b": ["q"], "VENDORID": [6.0]}))
    lake.put(f"{folder}/_k=v/12:30/*.csv", "b,VendorID\ny,5\n")
    lake.put("in/2020/other.csv", "a,b\n9,z\n")

    lake.run(f"{folder}/")

    assert ["VendorID", "b"] == lake.output(folder).column_names
    assert [(1, "x"), (2, "y"), (3, "y\nz"), (4, "p"), (5, "y"), (6, "q")] == sorted(lake.rows(folder))


def trips_of_2022(**types: Any) -> bytes:
    """Make a row of trips as the TLC publishes them: by default with the types of 2022."""
    names = [*NEW.split(","), "congestion_surcharge", *(("cbd_congestion_fee",) if types else ())]
    found: dict[str, Any] = {}
    for name in names:
        kind = pa.float64()
        if name in {"VendorID", "PULocationID", "DOLocationID"}:
            kind = types.get("code", pa.int64())
        elif name.endswith("datetime"):
            kind = pa.timestamp("us")
        elif name == "store_and_fwd_flag":
            kind = types.get("flag", pa.string())
        elif name == "ehail_fee":
            kind = types.get("ehail", pa.null())
        value = {"store_and_fwd_flag": "N", "ehail_fee": None}.get(name, MIDNIGHT if pa.types.is_timestamp(kind) else 1)
        found[name] = pa.array([value, None], kind)
    return parquet_of(found)


def test_all_years_are_one_table(lake: Lake) -> None:
    """What the TLC has published, CSV and Parquet, reads as one table, with pyarrow and with Spark."""
    contents: dict[str, str | bytes] = {
        "2013-08.csv": YEARS["2013-08"],
        "2020-07.csv": YEARS["2020-07"],
        "2022-01.parquet": trips_of_2022(),
        "2025-01.parquet": trips_of_2022(code=pa.int32(), flag=pa.large_string(), ehail=pa.float64()),
    }
    for name, content in contents.items():
        lake.put(f"in/{name}", content)

    lake.run("in/", MANIFEST=lake.manifest(*(f"in/{name}" for name in contents)))

    one = pa.concat_tables([lake.output(f"in/{name}") for name in contents], promote_options="default")
    read = lake.spark.read.option("mergeSchema", "true")
    by_spark = read.parquet(f"s3://{lake.bucket}/{TARGET}").drop("source_id")
    assert {
        **dict.fromkeys(("VendorID", "trip_type"), "int"),
        "lpep_pickup_datetime": "timestamp_ntz",
    }.items() <= dict(by_spark.dtypes).items()
    key = ("lpep_pickup_datetime", "total_amount", "congestion_surcharge")
    rows = list(map(str, zip(*(one[name].to_pylist() for name in key), strict=True)))
    assert 1 + 2 + 2 + 2 == len(rows), rows
    assert sorted(rows) == sorted(map(str, (tuple(row) for row in by_spark.select(*key).collect())))
    assert {"-73.9500", None} == set(one["Dropoff_longitude"].to_pylist())


def test_parquet(lake: Lake) -> None:
    """The TLC's and SCHEMA's columns get their types where no value changes; the others keep theirs, old times too."""
    others: dict[str, Any] = {
        "id": pa.array([2**60, None]),
        "day": pa.array([date(1, 1, 1), date(2020, 2, 29)]),
        "old": pa.array([datetime(1899, 12, 30), None], pa.timestamp("us")),  # noqa: DTZ001
        "utc": pa.array([datetime(1899, 12, 30), None], pa.timestamp("us", "UTC")),  # noqa: DTZ001
        "money": pa.array([Decimal("1.10"), None]),
        "list": pa.array([[1, 2], []]),
        "_metadata": pa.array(["m", None]),
    }
    changed = {
        "PAYMENT_TYPE": pa.array([2.0, None]),
        "Fare_Amount": pa.array([5, None]),
        "tip_amount": pa.array([Decimal("1.10"), None]),
        "LPEP_pickup_datetime": pa.array([MIDNIGHT, None], pa.timestamp("ns")),
        "lpep_dropoff_datetime": pa.array(["2020-01-01T00:00", None]),
        "n": pa.array(["7.0", None]),
        "finer": pa.array([MIDNIGHT, None], pa.timestamp("ns", "UTC")),
    }
    lake.put(KEY, parquet_of(others | changed))

    lake.run(SCHEMA="N decimal(4,1)")

    output = lake.output(KEY)
    assert others == {name: output[name].combine_chunks() for name in others}
    first = {name: (str(output.schema.field(name).type), output[name][0].as_py()) for name in output.column_names}
    assert {
        "payment_type": ("int32", 2),
        "fare_amount": ("double", 5.0),
        "tip_amount": ("double", 1.1),
        "lpep_pickup_datetime": ("timestamp[us]", MIDNIGHT),
        "lpep_dropoff_datetime": ("timestamp[us]", MIDNIGHT),
        "N": ("decimal128(4, 1)", Decimal("7.0")),
        "finer": ("timestamp[us, tz=UTC]", MIDNIGHT.replace(tzinfo=UTC)),
    } == {name: first[name] for name in first if name not in others}


UNREADABLE: dict[str, tuple[str, bytes, str]] = {
    "zip": ("a.csv", b"PK\x03\x04\x14\0", "zip archive"),
    "tar": ("a.tar.gz", gzip.compress(b"a\n1\n"), "archive. Unpack it"),
    "utf-16": ("a.csv", "a,b\n1,x\n".encode("utf-16"), "UTF-16"),
    "gzip by another name": ("a.csv", gzip.compress(b"a\n1\n"), "Give it a name that ends with .gz"),
    ".GZ": ("a.csv.GZ", gzip.compress(b"a\n1\n"), "Give it a name that ends with .gz"),
    "bzip2 by another name": ("a.csv", bz2.compress(b"a\n1\n"), "Give it a name that ends with .bz2"),
    "a zip in gzip": ("a.csv.gz", gzip.compress(b"PK\x03\x04\x14\0"), "zip archive"),
    "Parquet in gzip": ("a.csv.gz", gzip.compress(parquet_of({"a": [1]})), "compressed Parquet"),
    "not gzip": ("a.csv.gz", b"a\n1\n", "another name"),
    "a codec of Hadoop's": ("a.csv.snappy", b"a\n1\n", "another name"),
    "cut Parquet": ("a.parquet", b"PAR1\x15\x04\x15\x10", "damaged"),
    "Parquet without rows": ("a.parquet", parquet_of({"a": pa.array([], pa.int64())}), "no row"),
    "source_id in Parquet": ("a.parquet", parquet_of({"SOURCE_ID": [1]}), "'SOURCE_ID'"),
    "no name in Parquet": ("a.parquet", parquet_of({"a": [1], "": [1]}), "no name"),
    "finer times in a list": (
        "a",
        parquet_of({"a": pa.array([[1]], pa.list_(pa.timestamp("ns")))}),
        "nanoseconds in a",
    ),
    "hidden": ("_a.csv", b"a\n1\n", "hidden"),
}


def test_unreadable(lake: Lake) -> None:
    """A file whose name, first bytes or footer say that it can't be kept is refused, and the reason says why."""
    said = {}
    for number, (name, (key, content, _)) in enumerate(UNREADABLE.items()):
        lake.put(f"{number}/{key}", content)
        try:
            [file] = [File(path, "") for path in job.files_below(lake.spark, f"s3://{lake.bucket}/{number}/{key}")]
            job.sort_out(lake.spark, file)
            job.read_footer(lake.spark, Options(), file)
        except ValueError as refused:
            said[name] = str(refused)

    assert not {
        name: (reason, said.get(name))
        for name, (_, _, reason) in UNREADABLE.items()
        if reason not in said.get(name, "").partition("': ")[2]
    }


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "zip": UNREADABLE["zip"],
    "cut gzip": ("a.csv.gz", gzip.compress(green_trips(1000, seed=1).encode())[:-9], "can't be read to its end"),
    "no text": ("a.csv", b"a\n1\n\xff\n", "line 3: The bytes are not text"),
    "a typed value": ("a.csv", b"x,trip_type\n1,1\n2,1.5\n", "line 3: In the column 'trip_type', '1.5' is no int"),
    # Two in the second batch.
    "Parquet": (
        "a.parquet",
        parquet_of({"t": pa.array([None] * 6000 + [1], pa.timestamp("ns")), "trip_type": [1.0] * 6000 + [1.5]}),
        "row 6001: In the column 't', 'a time with nanoseconds' is no timestamp_ntz",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(lake: Lake, name: str) -> None:
    """What can't be kept fails the run, and names the file; of a window, nothing is replaced."""
    key, content, reason = REFUSED[name]
    lake.put("in/good.csv", "a\nnew\n")
    lake.put(f"in/{key}", content)
    old = old_output(lake, "in/good.csv")

    with pytest.raises(ValueError, match=r"^'s3://.*/in/") as refused:
        lake.run("in/", MANIFEST=lake.manifest("in/good.csv", f"in/{key}"))

    assert f"/in/{key}'" in str(refused.value)
    assert reason in str(refused.value)
    assert [("old",)] == lake.rows("in/good.csv")
    assert [old] == lake.keys(TARGET)
    assert [] == lake.committed


def old_output(lake: Lake, source: str) -> str:
    key = f"{target_path(lake.bucket, TARGET, source)}/old.parquet".removeprefix(f"s3://{lake.bucket}/")
    lake.put(key, parquet_of({"a": ["old"]}))
    return key


def test_nothing_to_read(lake: Lake) -> None:
    """A path without an object, or a folder without data, fails the run, which says which."""
    lake.put("in/a.csv", "a,b\n1,x\n")
    for name in ("_1", ".1", "1._COPYING_"):
        lake.put(f"empty/{name}", "a\n1\n")

    for source in ("in/missing.csv", "in/*.csv", "in/{a,b}.csv", "in/a", "empty/"):
        path = re.escape(f"'s3://{lake.bucket}/{source.removesuffix('/')}'")
        with pytest.raises((FileNotFoundError, ValueError), match=f"Nothing to read at {path}|{path}: No data in"):
            lake.run(source)
    assert [] == lake.committed


def test_options(lake: Lake) -> None:
    """A run is told the types, the separator and the encoding; TIMESTAMP has no zone, as for the TLC's times."""
    lake.put(KEY, "id\tday\tt\tソ|表\n2.0\t1899-12-30\t0001-01-01\tソ表\n".encode("shift_jis"))

    lake.run(SCHEMA="ID bigint, `day` DATE, t TIMESTAMP", SEPARATOR="tab", ENCODING="Shift_JIS")

    assert ["ID", "day", "t", "ソ|表"] == lake.output(KEY).column_names
    assert ["int64", "date32[day]", "timestamp[us]", "string"] == [str(kind) for kind in lake.output(KEY).schema.types]
    assert [(2, date(1899, 12, 30), datetime(1, 1, 1), "ソ表")] == lake.rows()  # noqa: DTZ001

    lake.put(KEY, b"a\n\x82\n")
    with pytest.raises(ValueError, match="line 2: The bytes are not text in Shift_JIS"):
        lake.run(ENCODING="Shift_JIS")


BAD_OPTIONS = [
    ("SCHEMA", "id INT, day", "no Spark DDL"),
    ("SCHEMA", "id ARRAY<INT>", "gives 'id' the type"),
    ("SCHEMA", "id INT, ID INT", "twice"),
    ("SCHEMA", "Source_ID INT", "or source_id"),
    ("SCHEMA", "id INT NOT NULL", "NOT NULL"),
    ("SEPARATOR", ";;", "one character"),
    ("SEPARATOR", '"', "one character"),
    ("ENCODING", "utf-99", "not known to Java"),
    ("ENCODING", "UTF-16", "ASCII"),
]


def test_bad_options(lake: Lake) -> None:
    """A bad option is named and fails the run, as does what is no manifest."""
    said = {}
    for name, value, _ in BAD_OPTIONS:
        with pytest.raises(ValueError, match=re.escape(repr(value))) as failure:
            job.read_options(lake.spark, {name: value})
        said[name, value] = str(failure.value)
    lake.put("m.json", '{"files": [{}]}')
    with pytest.raises(ValueError, match=r"/m.json' is no manifest"):
        lake.run(MANIFEST=f"s3://{lake.bucket}/m.json")

    assert [] == [(value, said[name, value]) for name, value, reason in BAD_OPTIONS if reason not in said[name, value]]


@pytest.mark.parametrize(
    ("event", "reason", "left"),
    [
        ("the same rows", "was to hold 1 rows, and 2 were written: another run", "old"),
        ("a run", "was to hold 1 rows, and 0 were written: another run", "new"),
        ("an upload", "was replaced while it was read", "old"),
    ],
)
def test_what_comes_between(lake: Lake, monkeypatch: pytest.MonkeyPatch, event: str, reason: str, left: str) -> None:
    """Between a write and its check: the run must not end with rows twice, or old ones, and a success."""

    def upload() -> None:
        time.sleep(1)  # S3's clock counts seconds, and the length is the same
        lake.put(KEY, "a\nnex\n")

    lake.put(KEY, "a\nnew\n")
    old_output(lake, KEY)
    events = {"a run": lake.run, "an upload": upload}
    afterwards(monkeypatch, lambda write, _: events.get(event, write)())

    with pytest.raises(RuntimeError, match=reason):
        lake.run()

    assert [(left,)] == lake.rows()
    assert (["job"] if event == "a run" else []) == lake.committed


def test_s3(lake: Lake) -> None:
    """A listing is read page after page, and a positioned read leaves the stream where it is."""
    for name in "abc":
        lake.put(f"in/{name}", name * 2)
    _, path = job.file_system(lake.spark, "s3://in")
    conf = lake.spark._jvm.org.apache.hadoop.conf.Configuration(lake.spark._jsc.hadoopConfiguration())
    conf.set("fs.s3.paging.maximum", "2")
    folder = path(f"s3://{lake.bucket}/in")
    system = folder.getFileSystem(conf)
    assert ["a", "b", "c"] == [found.getName() for found in job.listed(system, folder)]
    stream = system.open(path(folder, "b"))
    stream.readFully(1, b" ")
    assert 0 == stream.getPos(), "a positioned read moved the stream"


def afterwards(monkeypatch: pytest.MonkeyPatch, event: Callable[[Callable[[], None], str], None]) -> None:
    """Let something happen once, when the first run has written its rows."""
    from pyspark.sql import DataFrameWriter  # noqa: PLC0415 - only where it is installed

    write, events = DataFrameWriter.parquet, [event]

    def write_then(self: Any, path: str) -> None:
        write(self, path)
        if events:
            events.pop()(lambda: write(self, path), path)

    monkeypatch.setattr(DataFrameWriter, "parquet", write_then)


def test_put_in_place(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a move fails, all are undone and the old output stays; what another run moves there fails this one."""
    old, target = old_output(lake, KEY), target_path(lake.bucket, TARGET, KEY)
    _, path = job.file_system(lake.spark, target)
    lake.put("staged/1", "1")
    staged = [path(f"s3://{lake.bucket}/staged/{number}") for number in (1, 2)]

    with pytest.raises(Exception, match="no such object"):
        job.put_in_place(lake.spark, {target: staged})
    assert [old] == lake.keys(TARGET)

    lake.put("staged/1", "1")
    listed = job.listed

    def listed_before(*folder: Any) -> list[Any]:
        found = listed(*folder)
        lake.put(f"{old}.other", "x")
        return found

    monkeypatch.setattr(job, "listed", listed_before)
    with pytest.raises(RuntimeError, match="Another run of this source wrote"):
        job.put_in_place(lake.spark, {target: staged[:1]})
