"""What the job finds in a file, without Spark: the workers' functions on batches of lines, as Spark makes them.

The judge is Python's own csv.reader(strict=True) over text opened with newline="". `python -m tests.glue.test_rows 100000`
runs the differential test at length.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

import glue.ny_taxi_transformed as job
from glue.ny_taxi_transformed import Column, File, Options, Plan, RefusedError
from tests.glue.judge import files, strict

FILE = 7


def batches(data: bytes, encoding: str = "UTF-8", size: int = 3) -> Iterator[Any]:
    """Cut a file into batches of lines: each with its line feed, in UTF-8, null where it is not text."""

    def decoded(line: bytes) -> bytes | None:
        try:
            return line + b"\n" if encoding == "UTF-8" else (line.decode(encoding) + "\n").encode()
        except UnicodeDecodeError:
            return None

    lines = [decoded(line) for line in data.removesuffix(b"\n").split(b"\n")] if data else []
    for first in range(0, len(lines), size):
        some = pa.array(lines[first : first + size], pa.binary()).view(pa.string())
        marks = pa.array([FILE] * len(some)), pa.array([0] * len(some))
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
        lines = batches(data, options.encoding)
        try:
            found = (
                job.parse(options.separator, plans, lines)
                if file.way == "parse"
                else job.rejudge(options, plans, lines)
            )
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
    """The job finds the rows that the strict reader finds, value by value; where that one refuses, the job names a line."""
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


SCHEMA = Options(
    schema=(
        Column("n", "bigint"),
        Column("price", "decimal(10,2)"),
        Column("day", "date"),
        Column("t", "timestamp_ntz"),
        Column("ok", "boolean"),
        Column("f", "float"),
        Column("small", "smallint"),
        Column("total_amount", "string"),
    )
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "2", 2),
        ("int", "2.0", 2),
        ("int", " +2. ", 2),
        ("int", "007", 7),
        ("int", "2e3", 2000),
        ("int", "-2147483648", -(2**31)),
        ("bigint", "9007199254740993.0", 2**53 + 1),
        ("smallint", "-5", -5),
        ("double", "1e3", 1000.0),
        ("double", "+.5", 0.5),
        ("double", "\t0.1 ", 0.1),
        ("double", "-0", -0.0),
        ("float", "0.5", 0.5),
        ("decimal(10,2)", "1.100", Decimal("1.10")),
        ("decimal(10,2)", "-99999999.99", Decimal("-99999999.99")),
        ("date", "0001-01-01", date(1, 1, 1)),
        ("timestamp_ntz", "1899-12-30 00:00:00", datetime(1899, 12, 30)),  # noqa: DTZ001
        ("timestamp_ntz", "2020-03-08T02:30", datetime(2020, 3, 8, 2, 30)),  # noqa: DTZ001
        ("timestamp_ntz", "2020-01-01 00:14:03.25", datetime(2020, 1, 1, 0, 14, 3, 250_000)),  # noqa: DTZ001
        ("timestamp_ntz", "2020-01-01", datetime(2020, 1, 1)),  # noqa: DTZ001
        ("boolean", "TRUE", True),
        *(
            (kind, text, None)
            for kind in ("int", "double", "decimal(10,2)")
            for text in ("1D", "NaN", "1 2", "0x1F", "٣", "1_0", "-", "x", "1,5", "inf")
        ),
        *(("int", text, None) for text in ("2.5", "2147483648", "1e999999999")),
        ("bigint", "9223372036854775808", None),
        ("smallint", "32768", None),
        ("double", "1e400", None),
        ("float", "1e40", None),
        ("decimal(10,2)", "1.005", None),
        ("decimal(10,2)", "100000000", None),
        *(("date", text, None) for text in ("2020-02-30", "2020-1-1", "01/02/2020", "2020-01-01 00:00:00")),
        *(
            ("timestamp_ntz", text, None)
            for text in (
                "2020-01-01 00:14:03Z",
                "2020-01-01T00:00:00+01:00",
                "01/02/2020 1:00:00 PM",
                "2020-01-01 10",
                "10:30",
                "2020-01-01 24:00:00",
                "2020-01-01 00:00:60",
                "2020-01-01 00:00:00.1234567",
            )
        ),
        *(("boolean", text, None) for text in ("1", "yes")),
    ],
)
def test_typed_values(kind: str, text: str, value: object) -> None:
    """A typed value is what it says, or the run fails and names line, column and value; neighbours make no difference."""
    options = Options(schema=(Column("c", kind),))
    for more in ([], ["1.5" if kind == "double" else ""]):
        lines = ["c,x", *(f"{other},y" for other in more), f'"{text}",y', ""]
        data = "\n".join(lines).encode()
        if value is None:
            with pytest.raises(RefusedError, match=rf"line {len(more) + 2}: In the column 'c', .* is no ") as refused:
                read(data, options)
            assert repr(text) in str(refused.value)
        else:
            assert (value, "y") == read(data, options)[2][-1]


def test_known_columns() -> None:
    """The TLC's columns are recognised whatever their case and blanks; SCHEMA wins; everything else is text as written."""
    header = " vendorid,Lpep_Pickup_Datetime,TOTAL_AMOUNT,Ehail_fee,Pickup_longitude,STORE_AND_FWD_FLAG,cbd_congestion_fee,X "
    row = "2.0,2020-01-01 00:14:03,5,,-73.9500,N,0.75,01220"

    _, columns, rows = read(f"{header}\n{row}\n".encode(), Options(schema=(Column("total_Amount", "decimal(5,1)"),)))

    assert [
        Column("VendorID", "int"),
        Column("lpep_pickup_datetime", "timestamp_ntz"),
        Column("total_Amount", "decimal(5,1)"),
        Column("ehail_fee", "double"),
        Column("Pickup_longitude", "string"),
        Column("store_and_fwd_flag", "string"),
        Column("cbd_congestion_fee", "double"),
        Column("X ", "string"),
    ] == columns
    assert [(2, datetime(2020, 1, 1, 0, 14, 3), Decimal("5.0"), None, "-73.9500", "N", 0.75, "01220")] == rows  # noqa: DTZ001


TEXTS = [
    "01220",
    "12E5",
    "10:30",
    "+49123",
    "1D",
    "1.10",
    "2024-01",
    "null",
    "NaN",
    " a ",
    "0" * 40,
    "'x'",
    "\\N",
    '6" pipe',
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
        (b"a,A\n1,2\n", 1, "'A' twice"),
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
        (b"a;b\n1,5;2\n", Options(separator=";"), [("1,5", "2")]),
        ("a§b\n1§2\n".encode(), Options(separator="§"), [("1", "2")]),
        ("a|b\nソ|表\n".encode("shift_jis"), Options(separator="|", encoding="shift_jis"), [("ソ", "表")]),
        ("a,b\nKöln,€\n".encode("cp1252"), Options(encoding="cp1252"), [("Köln", "€")]),
        (b"a,b\n" + b"x" * 300_000 + b",1\n", Options(), [("x" * 300_000, "1")]),
        (b'a,b\n"' + b"x\n" * 100_000 + b'",1\n', Options(), [("x\n" * 100_000, "1")]),
    ],
)
def test_readings(data: bytes, options: Options, rows: list[tuple[Any, ...]]) -> None:
    """Small print: empty columns and fields, blanks, separators, encodings, long values."""
    assert rows == read(data, options)[2]


def test_most_files_are_read_side_by_side() -> None:
    """Quotes closed in their line, commas too many in all rows and CRLF don't make a file one for a single worker."""
    for data in (b'a,b\r\n"x, ""y""",2\r\n\r\n3,4\r\n', b"a,b\n1,2,,\n3,4,,\n", b'a,b\n6" pipe,"x"\n'):
        assert "parse" == read(data)[0]


if __name__ == "__main__":
    settings(max_examples=int(sys.argv[1]), deadline=None, suppress_health_check=list(HealthCheck))(
        given(files())(test_every_value_or_a_refusal.hypothesis.inner_test)  # type: ignore[attr-defined]
    )()
