"""The job without Spark: where it reads and writes, and the workers' functions on lines as Spark brings them.

`python -m tests.glue.test_rows 100000` runs the differential test at length.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain, groupby
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

import glue.ny_taxi_transformed as job
from glue.ny_taxi_transformed import Column, File, Options, Plan, RefusedError
from tests.glue.conftest import KEY, TARGET
from tests.glue.judge import NEW, YEARS, files, strict

FILE = 7


def batches(data: bytes, encoding: str = "UTF-8", size: int = 3) -> Iterator[Any]:
    """Cut a file into batches of lines: each with its line feed, in UTF-8, null where it is not text.

    Every second batch begins a block, as Spark cuts long files.
    """

    def decoded(line: bytes) -> bytes | None:
        try:
            return line + b"\n" if encoding == "UTF-8" else (line.decode(encoding) + "\n").encode()
        except UnicodeDecodeError:
            return None

    lines = [decoded(line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []
    for first in range(0, len(lines), size):
        some = pa.array(lines[first : first + size], pa.binary()).view(pa.string())
        marks = pa.array([FILE] * len(some)), pa.array([first // (2 * size)] * len(some))
        yield pa.RecordBatch.from_arrays([some, *marks], names=["line", "file", "start"])


def read(data: bytes, options: Options = Options()) -> tuple[str, list[Column], list[tuple[Any, ...]]]:  # noqa: B008 - frozen
    """Do with a file what the job does: return the way that it was read, the columns and the rows."""
    file = File("in/a.csv", "out", id=FILE)

    def asked(_: object, work: Callable[[Iterable[Any]], Iterator[Any]]) -> list[Any]:
        found = work(batches(data, options.encoding))
        return [json.loads(text) for batch in found for text in batch.column(0).to_pylist()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "asked", asked)  # what Spark does: to bring lines to workers
        patch.setattr(job, "lines_of", lambda *_: None)
        patch.setattr(job, "whole_files", lambda *_, **__: None)
        job.read_csvs(None, [file], options)
        job.agree([file])
        plans = {FILE: Plan(file.layout, file.order, file.skip)}
        work = partial(job.parse, options.separator) if file.way == "parse" else partial(job.rejudge, options)
        lines = groupby(batches(data, options.encoding), lambda batch: batch["start"][0] if file.way == "parse" else 0)
        try:
            found = chain.from_iterable(work(plans, block) for _, block in lines)  # each by a worker of its own
            rows = [
                row for batch in found for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]
        except Exception:
            job.diagnose(None, file.way, [file], options)
            raise
    assert file.rows == len(rows)
    return file.way, [file.layout.columns[index][1] for index in file.order], rows


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_every_value_or_a_refusal(data: bytes) -> None:
    """The job finds the rows of the strict reader, value by value; where that one refuses, the job names a line."""
    separator = ";" if b";" in data.partition(b"\n")[0].partition(b"\r")[0] else ","
    expected = strict(data, separator)
    try:
        _, columns, rows = read(data, Options(separator=separator))
    except RefusedError as refused:
        said = str(refused)
        assert (expected, True) == (None, "line " in said or "no row" in said), said
        return
    assert expected is not None
    assert expected[0] == [column.name for column in columns]
    assert [tuple(value or None for value in row[: len(columns)]) for row in expected[1:]] == rows


TIME = datetime(2020, 1, 1, 0, 14, 3)  # noqa: DTZ001 - the records hold local times without a zone
VALUES: dict[str, dict[str, object]] = {
    "int": {"2": 2, "2.0": 2, " +2. ": 2, "007": 7, "2e3": 2000, "-2147483648": -(2**31)},
    "bigint": {"9007199254740993.0": 2**53 + 1},
    "smallint": {"-5": -5},
    "double": {"1e3": 1000.0, "+.5": 0.5, "\t0.1 ": 0.1, "-0": -0.0},
    "float": {"0.5": 0.5},
    "decimal(10,2)": {"1.100": Decimal("1.10"), "-99999999.99": Decimal("-99999999.99")},
    "date": {"0001-01-01": date(1, 1, 1)},
    "timestamp_ntz": {
        "2020-01-01 00:14:03": TIME,
        "2020-01-01 00:14:03.25": TIME.replace(microsecond=250_000),
        "2020-01-01T00:14": TIME.replace(second=0),
        "2020-01-01": TIME.replace(minute=0, second=0),
        "1899-12-30 00:00:00": datetime(1899, 12, 30),  # noqa: DTZ001
        "2020-03-08T02:30": datetime(2020, 3, 8, 2, 30),  # noqa: DTZ001 - no such time in New York
    },
    "boolean": {"TRUE": True},
}
NO_NUMBERS = ("1D", "NaN", "1 2", "0x1F", "٣", "1_0", "-", "x", "1,5", "inf")
WRONG: dict[str, tuple[str, ...]] = {
    "int": (*NO_NUMBERS, "2.5", "2147483648", "1e999999999"),
    "bigint": ("9223372036854775808",),
    "smallint": ("32768",),
    "double": (*NO_NUMBERS, "1e400"),
    "float": ("1e40", "9" * 40),
    "decimal(10,2)": (*NO_NUMBERS, "1.005", "100000000"),
    "date": ("2020-02-30", "2020-1-1", "01/02/2020", "2020-01-01 00:00:00"),
    "timestamp_ntz": (
        *("2020-01-01 00:14:03Z", "2020-01-01T00:00:00+01:00", "01/02/2020 1:00:00 PM", "2020-01-01 10", "10:30"),
        *("2020-01-01 24:00:00", "2020-01-01 00:00:60", "2020-01-01 00:00:00.1234567"),
    ),
    "boolean": ("1", "yes"),
}


@pytest.mark.parametrize("kind", VALUES)
def test_typed_values(kind: str) -> None:
    """A value is of its type, or the run fails and names line, column and value; neighbours make no difference."""
    options, found = Options(schema=(Column("c", kind),)), {}
    expected = VALUES[kind] | {text: f"line {{}}: In the column 'c', {text!r} is no {kind}" for text in WRONG[kind]}
    for more in ([], ["1.5" if kind == "double" else ""]):
        for text, value in expected.items():
            lines = ["c,x", *(f"{other},y" for other in more), f'"{text}",y', ""]
            try:
                found[text], _ = read("\n".join(lines).encode(), options)[2][-1]
            except RefusedError as refused:
                reason = value.format(len(more) + 2) if isinstance(value, str) else "nothing"
                found[text] = value if reason in str(refused) else str(refused)
        assert {text: repr(value) for text, value in expected.items()} == {text: repr(found[text]) for text in expected}


def test_known_columns() -> None:
    """The TLC's columns are recognised whatever their case and blanks; SCHEMA wins; all else is text as written."""
    header = " vendorid,TOTAL_AMOUNT,Ehail_fee,cbd_congestion_fee,X "
    options = Options(schema=(Column("total_Amount", "decimal(5,1)"),))

    _, columns, rows = read(f"{header}\n2.0,5,,0.75,01220\n".encode(), options)

    names = ("VendorID", "total_Amount", "ehail_fee", "cbd_congestion_fee", "X ")
    kinds = ("int", "decimal(5,1)", "double", "double", "string")
    assert list(map(Column, names, kinds)) == columns
    assert [(2, Decimal("5.0"), None, 0.75, "01220")] == rows


@pytest.mark.parametrize("year", YEARS)
def test_all_years_have_the_same_columns(year: str) -> None:
    """What the TLC has published since 2013 gets the same names and types, and old columns stay text."""
    _, columns, rows = read(YEARS[year].encode())

    codes = {"VendorID", "RatecodeID", "PULocationID", "DOLocationID", "passenger_count", "payment_type", "trip_type"}
    known = dict.fromkeys([*NEW.split(","), "congestion_surcharge"], "double") | dict.fromkeys(codes, "int")
    known |= {"lpep_pickup_datetime": "timestamp_ntz", "lpep_dropoff_datetime": "timestamp_ntz"}
    known |= dict.fromkeys(("store_and_fwd_flag", "Pickup_longitude", "Pickup_latitude"), "string")
    known |= dict.fromkeys(("Dropoff_longitude", "Dropoff_latitude"), "string")
    assert {column.name: known.get(column.name) for column in columns} == {
        column.name: column.kind for column in columns
    }
    assert [2 if year == "2020-07" else 1, len(columns)] == [len(rows), len(rows[0])]


def test_files_of_one_folder() -> None:
    """They get the first one's order and spelling; other columns or types are refused with both files' names."""

    def file(path: str, *names: str, kinds: tuple[str, ...] = ()) -> File:
        return File(path, "out", layout=job.lay_out(names, Options(), kinds))

    good = file("2", "b", "", "A")
    job.agree([file("1", "a", "b"), good])
    assert ((1, 0), ("a", "b")) == (good.order, good.names)
    for other, reason in [
        (
            file("2", "a", "c"),
            "'2': The files of a folder must have the same columns. 'b', 'c' is in this one or in '1' only",
        ),
        (
            file("2", "a", "b", kinds=("bigint", "string")),
            "'2': The column 'a' is bigint, and in '1' string. Give its type",
        ),
    ]:
        with pytest.raises(RefusedError, match=re.escape(reason)):
            job.agree([file("1", "a", "b"), other])


TEXTS = [
    *("01220", "12E5", "10:30", "+49123", "1D", "1.10", "2024-01", "null", "NaN", " a ", "0" * 40, "'x'"),
    *("\\N", '6" pipe'),
]


def test_text_stays_text() -> None:
    """What is not known is not interpreted; no name of a column is special; columns without a value stay."""
    header = ["_corrupt_record", "file", "_metadata", "empty", *(f"c{number}" for number in range(len(TEXTS)))]
    data = f"{','.join(header)}\nr,f,m,,{','.join(TEXTS)}\n,,,,{',' * (len(TEXTS) - 1)}\n".encode()

    _, columns, rows = read(data)

    assert header == [column.name for column in columns]
    assert [("r", "f", "m", None, *TEXTS), (None,) * len(header)] == rows


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b'a,b\n1,2\n3,"x\n4,5\n', 3, "never closed"),
        (b'a,b\n"Bob" Smith,1\n', 2, "closed in line 2"),
        (b'a,b\n1,"5\\" x"\n', 2, "closed in line 2"),
        (b"id,name,city\n1,x,y\n2,Smith, John,NYC\n", 3, "'NYC' is in a column without a name"),
        (b"a,b\n1,2\n3\n", 3, "1 values, and the header 2"),
        (b"a\n1\n\xff\n", 3, "not text in UTF-8. Give --ENCODING"),
        (b"K\xf6ln\n1\n", 1, "not text in UTF-8. Give --ENCODING"),
        *((f"name{mark}price\n1{mark}2\n".encode(), 1, "Give --SEPARATOR") for mark in ";\t|"),
        (b"sep=;\na;b\n1;2\n", 1, "Remove the line"),
        (b"sep=,\na,b\n1,2\n", 1, "Remove the line"),
        *((begin + b"a,b\n1,2\n", 1, "no CSV") for begin in (b"{", b" [", b"<")),
        (b"a\0,b\n1,2\n", 1, "no CSV"),
        (b"a,a,a1\n1,2,3\n", 1, "'a' twice"),
        (b"\na,A\n1,2\n", 2, "'A' twice"),
        (b"VendorID, vendorid\n1,2\n", 1, "'VendorID' twice"),
        (b"a,Source_ID\n1,2\n", 1, "'Source_ID'"),
        (b"a,\n1,\n2,x\n", 3, "'x' is in a column without a name"),
        (b"a,\n1,\n2,x,\n", 3, "'x' is in a column without a name"),
        (b",,\n1,,\n", 1, "no name"),
        (
            ",".join(f"c{number}" for number in range(21_000)).encode() + b"\n" + b"," * 20_999 + b"\n",
            1,
            "21,000 columns",
        ),
        (b"", 0, "no row"),
        (b"\n\r\n", 0, "no row"),
        (b"a,b\n", 0, "no row"),
        (b"a,b\n\n\n", 0, "no row"),
        (b'\xef\xbb\xbf"a\nb",c\n1\n', 3, "1 values"),
        (b'a,b\r1,2\r"x\ry",2\r3\r', 5, "1 values"),
    ],
)
def test_refusals(data: bytes, line: int, reason: str) -> None:
    """What can't be read without a loss fails and names the file, the physical line, and what to do."""
    with pytest.raises(RefusedError) as refused:
        read(data)

    assert str(refused.value).startswith(f"'in/a.csv', line {line}: " if line else "'in/a.csv'"), refused.value
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("data", "options", "rows"),
    [
        (b"a,\n1,\n,\n", Options(), [("1",), (None,)]),
        (b'a\n""\n \n', Options(), [(None,), (" ",)]),
        (b"a,b\n1,2,,\n3,4\n", Options(), [("1", "2"), ("3", "4")]),
        *(
            (b"a,b\n" + first * 9 + last * 9, Options(), [("1", "2")] * 18)
            for first, last in ((b"1,2\n", b"1,2\n"), (b"1,2\n", b"1,2,,\n"), (b"1,2,,\n", b"1,2\n"))
        ),
        (b"a,b\n1,2\r3,4\n", Options(), [("1", "2"), ("3", "4")]),
        (
            b"a,b\n" + b"1,2\n" * 9 + b'"3\n",4\n' * 3 + b"5,6\n" * 9,
            Options(),
            [("1", "2")] * 9 + [("3\n", "4")] * 3 + [("5", "6")] * 9,
        ),
        (b"a;b\n1,5;2\n", Options(separator=";"), [("1,5", "2")]),
        ("a§b\n1§2\n".encode(), Options(separator="§"), [("1", "2")]),
        ("a|b\nソ|表\n".encode("shift_jis"), Options(separator="|", encoding="shift_jis"), [("ソ", "表")]),
        ("a,b\nKöln,€\n".encode("cp1252"), Options(encoding="cp1252"), [("Köln", "€")]),
        (b"a,b\n" + b"x" * 300_000 + b",1\n", Options(), [("x" * 300_000, "1")]),
        (b'a,b\n"' + b"x" * 300_000 + b'\n",1\n', Options(), [("x" * 300_000 + "\n", "1")]),
    ],
)
def test_readings(data: bytes, options: Options, rows: list[tuple[Any, ...]]) -> None:
    """Small print: empty columns and fields, blanks, separators, encodings, long values."""
    assert rows == read(data, options)[2]


@pytest.mark.parametrize("found", [1, 3])
def test_a_reader_that_miscounts(monkeypatch: pytest.MonkeyPatch, found: int) -> None:
    """Rows that the reader of the values loses, or finds twice, are noticed by the count of the quotes."""
    monkeypatch.setattr(job, "portions", lambda rows: [(list(rows) * 2)[:found]])

    with pytest.raises(RefusedError, match=f"Two readers find {found} and 2 rows"):
        read(b'a\n"1\n"\n2\n')


def test_most_files_are_read_side_by_side() -> None:
    """Quotes closed in their line, commas too many in all rows and CRLF don't make a file one for a single worker."""
    for data in (b'a,b\r\n"x, ""y""",2\r\n\r\n3,4\r\n', b"a,b\n1,2,,\n3,4,,\n", b'a,b\n6" pipe,"x"\n'):
        assert "parse" == read(data)[0]


# ---- Where the job reads and writes ----

KEYS = (KEY, "sp ace+plus%20%.csv", "q'uo\"te.csv", "😀/é.csv", r"*?[1]{a,b}\.csv", "co:lon/12:30", "a/.hidden/..b")


def target_of(key: str) -> str:
    return job.target_path("bucket", TARGET, key)


def test_source_is_the_key_verbatim() -> None:
    """No character of a key is encoded, escaped or dropped; a folder may have a slash at its end, or not."""
    assert [f"s3://bucket/{key}" for key in KEYS] == [job.source_path("bucket", key) for key in KEYS]
    assert job.source_path("bucket", "input/lab2") == job.source_path("bucket", "input/lab2/")
    assert target_of("input/lab2") == target_of("input/lab2/")


@pytest.mark.parametrize("key", ["", "/", "/a.csv", "a//b.csv", "a/./b.csv", "a/../b.csv", "..", "a//"])
def test_key_that_hadoop_would_rewrite(key: str) -> None:
    """A key that Hadoop would resolve to another one is refused, by name."""
    refused = re.escape(f"can't address the key {key.removesuffix('/')!r}")
    with pytest.raises(ValueError, match=refused):
        job.source_path("bucket", key)
    with pytest.raises(ValueError, match=refused):
        target_of(key)


def test_target_is_a_readable_folder_of_the_source() -> None:
    """The folder says which file it came from, and is the same each time; it is short and plain ASCII for any key."""
    folder = "source_id=green_tripdata.csv-9a1b1eeeea2eda9ac8ea1a10f9c0bd7c"

    assert f"s3://bucket/target/event-transformed/{folder}" == target_of(KEY)
    assert target_of(KEY) == job.target_path("bucket", "target/event-transformed/", KEY)
    for key in (*KEYS, "targ", "n" * 1024, "é" * 512, " ", "\n"):
        assert re.fullmatch(r"source_id=[A-Za-z0-9._-]{1,64}-[0-9a-f]{32}", target_of(key).rpartition("/")[2]), key


def test_no_two_sources_share_a_target() -> None:
    """Keys that look alike once made readable still have folders of their own."""
    keys = ["a/x.csv", "A/x.csv", "b/x.csv", "a/x csv", "a/x+csv", "a/x%20csv", "a/X.csv", "n" * 100, "n" * 101]

    assert len(keys) == len({target_of(key) for key in keys}), "some keys share a folder"


@pytest.mark.parametrize("prefix", ["target", "target/", TARGET])
def test_target_in_source(prefix: str) -> None:
    """A folder that holds the target is refused as a source: the second run would read the first one's output."""
    with pytest.raises(ValueError, match="read its own output"):
        target_of(prefix)


if __name__ == "__main__":
    settings(max_examples=int(sys.argv[1]), deadline=None, suppress_health_check=list(HealthCheck))(
        given(files())(test_every_value_or_a_refusal.hypothesis.inner_test)  # type: ignore[attr-defined]
    )()
