"""The Glue job ny-taxi-transformed-console-jb: turns one source into Parquet and never loses or alters a value.

A source is an object or a folder, with or without its trailing slash. Each source owns one folder of the target:

    s3://BUCKET_NAME/TRG_PREFIX/source_id=green_tripdata.csv-<32 hex digits>/part-….snappy.parquet

A run replaces that folder and no other, and only after everything was read, converted and counted. The folder is named
after the source's file name, for people, and a hash of the whole key: the URL-encoded key itself could exceed the 1,024
bytes that S3 allows. With --MANIFEST, the address of a window's manifest, each file in it is a source of its own.

docs/job.md has the guarantees, the options, the types, and each message with its remedy. The job works in steps:

    scan    one pass over the lines counts them, and finds the files in which each line is a whole row for any reader
    judge   Python's strict csv.reader reads each other file from the first line to the last: it finds the rows, or the
            wrong line
    parse   Arrow's reader parses the lines of the scanned files in parallel
    write   the job writes into a hidden folder beside the target, counts its rows, and then moves the files

The job does not use Spark's own CSV reader, which guesses, cuts and pads. It does not use a DynamicFrame, which expands
glob characters in keys, and with a job bookmark skips a source that it has seen before.
"""

# ruff: noqa: PLC0415, SLF001
# Spark, Arrow and Glue are imported in functions, because tests of the paths run without them. PySpark has no public
# way to Hadoop's file systems.
import csv
import hashlib
import json
import re
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The TLC's data dictionary of green trips (March 2025): https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page
CODES = (
    "VendorID",
    "RatecodeID",
    "PULocationID",
    "DOLocationID",
    "passenger_count",
    "payment_type",
    "trip_type",
)
AMOUNTS = frozenset(
    {
        "trip_distance",
        "fare_amount",
        "extra",
        "mta_tax",
        "tip_amount",
        "tolls_amount",
        "ehail_fee",
        "improvement_surcharge",
        "total_amount",
        "congestion_surcharge",
        "cbd_congestion_fee",
    }
)
TIMES = ("lpep_pickup_datetime", "lpep_dropoff_datetime")

# A key is data: `*?[]{}\` in it have no special meaning. Spark's own CSV inference sets this option for the same reason
# (SPARK-32810). Escapes would work for most keys, but Hadoop's globber can't take a colon.
VERBATIM = {"__globPaths__": "false", "recursiveFileLookup": "true"}

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "tab", "|": "a bar"}
# Characters that no header of a text file has.
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f]")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?")
TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})0*)?)?)?"
)
BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}
FRACTIONS = ("float", "double")
STAMPS = ("timestamp", "timestamp_ntz")
# If a text has only these bytes, Arrow reads it as we do, or refuses it: no hexadecimals, no NaN, no zones.
CERTAIN = {
    **dict.fromkeys(BITS, b"0123456789.-"),
    **dict.fromkeys(FRACTIONS, b"0123456789.-"),
    **dict.fromkeys(STAMPS, b"0123456789-: "),
}
# A double holds every whole number up to here.
WHOLE = 2**53

BOOLEANS = {"true": True, "false": False}
# The length of 2020-01-01 00:14:03.
STAMP = 19
# The types whose names in Spark's JSON differ from its DDL.
DDL = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint"}
SUPPORTED = re.compile(
    r"tinyint|smallint|int|bigint|float|double|string|boolean|date|timestamp(_ntz)?|decimal\([0-9]+,[0-9]+\)"
)
SUPPORTED_WORDS = "TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL, STRING, BOOLEAN, DATE and TIMESTAMP"

# Spark and Parquet can have more columns, but such a wide table is a mistake.
MOST_COLUMNS = 10_000
LINES_A_BATCH = 5_000
ROWS_A_TABLE = 2_000
CHARACTERS_A_TABLE = 4_000_000
NO_ROW = "There is no row in it, only a header or nothing at all. Upload it again, with its data"
# One partition a file: more than any object is long, and few enough that Spark's sum over the files is a long.
NEVER_SPLIT = 2**43
# The endings by which Hadoop would try to unpack a file: its codecs without those for .gz and .bz2.
OTHER_CODECS = (".deflate", ".lz4", ".passthrough", ".snappy", ".zst")
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".tar.gz", ".tar.bz2", ".7z", ".rar", ".xz")
MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"\x00\x00\xfe\xff": "text in UTF-32",
}
HEAD = 1024
BOM = b"\xef\xbb\xbf"


class RefusedError(ValueError):
    """The source can't become Parquet without a loss; the message names the file, the place, and the remedy."""


class LineError(Exception):
    """An error in a line of a file."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(line, reason)
        self.line, self.reason = line, reason


class MisfitError(Exception):
    """A value is not of its column's type."""

    def __init__(self, index: int, value: object, kind: str) -> None:
        super().__init__(index, value, kind)
        self.index, self.reason = index, f"{shortened(value)} is no {kind}"


# --------------------------------------------------------------------------------------------------------------- places


def s3_path(bucket: str, key: str) -> str:
    """Return the Hadoop path of an object or folder: its key verbatim, because Hadoop itself encodes it.

    Raises ValueError for an empty, `.` or `..` segment: Hadoop would resolve it, and read or overwrite another key.
    """
    key = key.removesuffix("/")
    if not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise ValueError(f"Spark can't address the key {key!r}: it is empty or has an empty, '.' or '..' segment")
    return f"s3://{bucket}/{key}"


def source_path(bucket: str, src_prefix: str) -> str:
    """Return the path to read."""
    return s3_path(bucket, src_prefix)


def target_path(bucket: str, trg_prefix: str, src_prefix: str) -> str:
    """Return the folder that the source, and nothing else, writes to."""
    source = src_prefix.removesuffix("/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.rpartition("/")[2])[:64]
    digest = hashlib.sha256(source.encode()).hexdigest()[:32]
    target = f"{s3_path(bucket, trg_prefix)}/source_id={name}-{digest}"
    if target.startswith(source_path(bucket, src_prefix) + "/"):
        raise ValueError(
            f"TRG_PREFIX {trg_prefix!r} lies in SRC_PREFIX {src_prefix!r}: a run would read its own output"
        )
    return target


def named(paths: Collection[str]) -> str:
    """Write paths for a message: the first few."""
    first = ", ".join(map(repr, sorted(paths)[:5]))
    return f"{first} and {len(paths) - 5} more" if len(paths) > 5 else first  # noqa: PLR2004 - the few


def shortened(value: object) -> str:
    """Write a value for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - a line


# -------------------------------------------------------------------------------------------------- columns and options


@dataclass(frozen=True)
class Column:
    """A column of the output; its type as Spark writes it, such as decimal(10,2)."""

    name: str
    kind: str


@dataclass(frozen=True)
class Options:
    """How the files are written."""

    schema: tuple[Column, ...] = ()
    separator: str = ","
    encoding: str = "UTF-8"

    def column(self, name: str, kind: str = "string") -> Column:
        """Return the output's column for a column of a file: SCHEMA's, the TLC's, or the same."""
        return self.known().get(recognised(name), Column(name, kind))

    def known(self) -> Mapping[str, Column]:
        """Return the columns with fixed types."""
        return TLC | {recognised(column.name): column for column in self.schema}


def recognised(name: str) -> str:
    """Return a name for comparisons: without its case and the blanks around it."""
    return name.strip().lower()


TLC = {
    recognised(name): Column(name, kind)
    for kind, names in {
        "int": CODES,
        "double": AMOUNTS,
        "timestamp_ntz": TIMES,
        "string": ("store_and_fwd_flag",),
    }.items()
    for name in names
}


@dataclass(frozen=True)
class Layout:
    """The layout of a header: the number of values in a row, the column of each, and those without a name."""

    width: int
    columns: tuple[tuple[int, Column], ...]
    nameless: tuple[int, ...] = ()


def lay_out(names: Sequence[str], options: Options, kinds: Sequence[str] = ()) -> Layout:
    """Return the layout of a header; if it has none, raise a ValueError with the reason."""
    kinds = kinds or ["string"] * len(names)
    columns = [(place, options.column(name, kinds[place])) for place, name in enumerate(names) if name]
    seen: set[str] = set()
    for _, column in columns:
        if column.name.lower() in seen:
            raise ValueError(f"The header has the name {column.name!r} twice (case aside). Rename one of the columns")
        seen.add(column.name.lower())
        if recognised(column.name) == "source_id":
            raise ValueError(f"A column is called {column.name!r}, as the target's partitions are. Rename the column")
    missing = [column.name for column in options.schema if column.name.lower() not in seen]
    if missing:
        raise ValueError(f"SCHEMA names {', '.join(map(repr, missing))}, which the header lacks. Correct --SCHEMA")
    if not columns:
        raise ValueError("The header has no name in it")
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"The header has {len(names):,} columns, and the job takes {MOST_COLUMNS:,}. Split the file")
    return Layout(len(names), tuple(columns), tuple(place for place, name in enumerate(names) if not name))


def lay_out_csv(text: str, names: Sequence[str], options: Options) -> Layout:
    """Return the layout of a CSV's header, whose first line is `text`; if it has none, raise a ValueError."""
    begin = text.lstrip()[:1]
    if begin in {"{", "[", "<"}:
        raise ValueError(f"This is no CSV: it begins with {begin}, as JSON and XML do. Convert it to CSV")
    if names[0].strip().lower().startswith("sep="):
        raise ValueError(
            "The first line is sep=…, a note for Excel. Remove the line, and give --SEPARATOR if it is no comma"
        )
    if any(NO_TEXT.search(name) for name in names):
        raise ValueError(
            "This is no CSV: the header holds control characters, as binary files and UTF-16 do. Convert it to CSV in UTF-8"
        )
    other = [said for mark, said in SEPARATORS.items() if mark != options.separator and mark in names[0]]
    if len(names) == 1 and other:
        raise ValueError(f"The header is one column {shortened(names[0])}, with {other[0]} in it. Give --SEPARATOR")
    return lay_out(names, options)


def read_options(spark: "SparkSession", arguments: Mapping[str, str]) -> Options:
    """Read the optional arguments; a ValueError names the wrong one."""
    separator = arguments.get("SEPARATOR", ",")
    separator = "\t" if separator.lower() == "tab" else separator
    if len(separator) != 1 or separator in '"\r\n\0':
        raise ValueError(f"--SEPARATOR {separator!r} is not one character, or tab. Correct it")
    return Options(read_schema(spark, arguments.get("SCHEMA", "")), separator, read_encoding(spark, arguments))


def read_encoding(spark: "SparkSession", arguments: Mapping[str, str]) -> str:
    """Return the name of a character set that Java knows; it must include ASCII."""
    name = arguments.get("ENCODING", "UTF-8")
    try:
        charset = spark._jvm.java.nio.charset.Charset.forName(name)
    except Exception as error:
        raise ValueError(f"--ENCODING {name!r} is not known to Java. Give one such as UTF-8 or windows-1252") from error
    for order in (range(128), range(127, -1, -1)):
        ascii_text = bytes(order)
        if spark._jvm.java.lang.String(ascii_text, charset) != ascii_text.decode("ascii") or not charset.canEncode():
            raise ValueError(f"--ENCODING {name!r} does not take ASCII for what it is. Convert the file to UTF-8")
    return str(charset.name())


def read_schema(spark: "SparkSession", text: str) -> tuple[Column, ...]:
    """Read Spark DDL; a ValueError names the error in it."""
    if not text:
        return ()
    try:
        fields = json.loads(spark._jvm.org.apache.spark.sql.types.StructType.fromDDL(text).json())["fields"]
    except Exception as error:
        reason = str(getattr(error, "java_exception", error)).strip().partition("\n")[0]
        raise ValueError(f"--SCHEMA {text!r} is no Spark DDL such as 'id INT, day DATE': {reason}") from error
    columns = []
    for found in fields:
        kind = DDL.get(str(found["type"]), str(found["type"]))
        if not SUPPORTED.fullmatch(kind):
            raise ValueError(
                f"--SCHEMA {text!r} gives {found['name']!r} the type {kind}. Give one of {SUPPORTED_WORDS}"
            )
        if not found["nullable"]:
            raise ValueError(f"--SCHEMA {text!r} says NOT NULL, which the job does not check. Leave it out")
        columns.append(Column(found["name"], kind))
    names = {recognised(column.name) for column in columns}
    if len(names) != len(columns) or "source_id" in names:
        raise ValueError(f"--SCHEMA {text!r} has a name twice (case aside), or source_id. Correct it")
    return tuple(columns)


# ----------------------------------------------------------------------------------------------------- values and types


def arrow_type(kind: str) -> Any:
    """Return Arrow's type."""
    import pyarrow as pa

    if kind.startswith("decimal"):
        return pa.decimal128(*precision(kind))
    return {
        "tinyint": pa.int8(),
        "smallint": pa.int16(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
        "timestamp_ntz": pa.timestamp("us"),
    }[kind]


def precision(kind: str) -> tuple[int, int]:
    """Return the digits of a decimal, and those of them after the point."""
    digits, places = kind.removeprefix("decimal(").removesuffix(")").split(",")
    return int(digits), int(places)


def converted(values: Any, kind: str) -> Any:
    """Return an array with another type and the same values; a MisfitError names the first value that does not fit."""
    import pyarrow as pa

    certain = quickly(values, kind)
    if certain is not None:
        return certain
    result = []
    for index, value in enumerate(values.to_pylist()):
        try:
            result.append(None if value is None else exactly(value, kind))
        except (ValueError, ArithmeticError) as error:
            raise MisfitError(index, value, kind) from error
    return pa.array(result, arrow_type(kind))


def quickly(values: Any, kind: str) -> Any:  # noqa: C901, PLR0911 - a case after the other
    """Convert an array if Arrow's rules and ours certainly agree; otherwise return None."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = arrow_type(kind)
    if values.type == wanted:
        return values
    try:
        if pa.types.is_timestamp(values.type) and kind in STAMPS:
            return values.cast(pa.timestamp(values.type.unit)).cast(pa.timestamp("us")).cast(wanted)
        if pa.types.is_integer(values.type) and kind in {*BITS, "double"}:
            return values.cast(wanted)
        if pa.types.is_floating(values.type) and (kind in BITS or kind == "double"):
            return values.cast(wanted)
        if not pa.types.is_string(values.type) or kind not in CERTAIN:
            return None
        text = text_of(values)
        if text.translate(None, CERTAIN[kind]):
            return None
        if kind in STAMPS:
            lengths = pc.min_max(pc.binary_length(values)).as_py()
            return values.cast(pa.timestamp("us")).cast(wanted) if lengths["min"] == lengths["max"] == STAMP else None
        if kind in BITS and b"." in text:
            values = values.cast(pa.float64())
            if not pc.all(pc.less(pc.abs(values), WHOLE)).as_py():
                return None
        values = values.cast(wanted)
        return None if kind in FRACTIONS and not pc.all(pc.is_finite(values)).as_py() else values
    except pa.ArrowInvalid:
        return None


def text_of(values: Any) -> bytes:
    """Return the texts of an array as one."""
    _, offsets, text = values.buffers()
    if text is None or not len(values):
        return b""
    bounds = memoryview(offsets).cast("i")
    first, last = bounds[values.offset], bounds[values.offset + len(values)]
    return bytes(text.slice(first, last - first))


def exactly(value: object, kind: str) -> object:  # noqa: PLR0911 - one for each type
    """Convert a value; raise a ValueError or ArithmeticError if it is not of the type, or would change."""
    text = value.strip(" \t") if isinstance(value, str) else written(value)
    if kind == "string":
        return text
    if kind == "boolean":
        return BOOLEANS[text.lower()] if text.lower() in BOOLEANS else unfit(text)
    if kind == "date":
        return exact_date(text, is_text=isinstance(value, str))
    if kind in STAMPS:
        return exact_time(text)
    number = Decimal(text if NUMBER.fullmatch(text) else unfit(text))
    if kind in BITS:
        limit = 2 ** (BITS[kind] - 1)
        return int(number) if -limit <= number < limit and number == int(number) else unfit(text)
    if kind in FRACTIONS:
        return exact_fraction(number, kind, may_round=isinstance(value, str))
    return exact_decimal(number, kind)


def unfit(text: str) -> Any:
    """Refuse a value."""
    raise ValueError(text)


def exact_fraction(number: Decimal, kind: str, *, may_round: bool) -> float:
    """Return the nearest double or float; only text may be between two of them."""
    import pyarrow as pa

    result: float = pa.array([str(number)]).cast(arrow_type(kind))[0].as_py()
    changed = not may_round and Decimal(repr(result) if kind == "double" else result) != number
    return unfit(str(number)) if abs(result) == float("inf") or changed else result


def exact_decimal(number: Decimal, kind: str) -> Decimal:
    """Return a number with at most so many digits."""
    digits, places = precision(kind)
    scaled = number.scaleb(places, Context(prec=200)) if abs(number.adjusted()) < 100 or not number else unfit(kind)  # noqa: PLR2004 - more than any has
    if scaled != int(scaled) or abs(scaled) >= 10**digits:
        unfit(kind)
    return Decimal(int(scaled)).scaleb(-places, Context(prec=200))


def exact_date(text: str, *, is_text: bool) -> date:
    """Return a date; of a Parquet's it may be a time at midnight."""
    moment = exact_time(text)
    if moment.time() != datetime.min.time() or (is_text and len(text) != len("2020-01-31")):
        unfit(text)
    return moment.date()


def exact_time(text: str) -> datetime:
    """Return a time without a zone, to the microsecond."""
    found = TIME.fullmatch(text) or unfit(text)
    *parts, fraction = found.groups()
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    return datetime(year, month, day, hour, minute, second, int((fraction or "").ljust(6, "0")))  # noqa: DTZ001 - it has none


def written(value: object) -> str:
    """Write a value of a Parquet file as in a CSV."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return str(naive)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (int, float, date)):
        return str(value)
    raise ValueError(type(value).__name__)


# ------------------------------------------------------------------------------------------------------- scan the lines

# These functions run in Spark's Python workers, on batches of (line with its line feed, file, begin of its block).


@dataclass
class Tally:
    """The count of the lines of a file, or of a block of it; `odd` if it is not certain that each line is a row."""

    rows: int = 0
    least: int | None = None
    most: int = 0
    odd: bool = False
    header: str | None = None
    skip: int = 0

    def merge(self, other: "Tally") -> None:
        """Add the count of another part of the file."""
        self.rows += other.rows
        if other.least is not None:
            self.least = other.least if self.least is None else min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.odd |= other.odd
        if other.header is not None:
            self.header, self.skip = other.header, other.skip


def scan(options: Options, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield for each block the number of its lines, and whether each line is certainly a row."""
    tallies: dict[tuple[int, int], Tally] = defaultdict(Tally)
    for batch in batches:
        for file, start, rows in runs(batch):
            look(tallies[file, start], rows.column(0), options.separator, begins=start == 0)
    yield told([file, vars(tally)] for (file, _), tally in tallies.items())


def told(found: Iterable[object]) -> Any:
    """Return the results of a worker, as a batch."""
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array(map(json.dumps, found), pa.string())], names=["found"])


def runs(batch: Any) -> Iterator[tuple[int, int, Any]]:
    """Cut a batch at each change of file or block, its last two columns."""
    marks = batch.columns[-2:]
    position = 0
    for (file, start), run in groupby(zip(*(mark.to_pylist() for mark in marks), strict=True)):
        length = sum(1 for _ in run)
        yield file, start, batch.slice(position, length)
        position += length


def look(tally: Tally, lines: Any, separator: str, *, begins: bool) -> None:
    """Add lines to a tally."""
    import pyarrow.compute as pc

    tally.odd = tally.odd or not is_plain(lines, separator)
    if tally.odd:
        return
    if begins and tally.header is None:
        lines = behind_header(tally, lines)
    lines = not_blank(lines)
    tally.rows += len(lines)
    if len(lines):
        if b'"' in text_of(lines):  # the rest of a quoted value has no separator
            lines = pc.replace_substring_regex(lines, rf'(\A|{mark_of(separator)})"(?:[^"]|"")*"', r"\1")
        found = pc.min_max(pc.count_substring(lines, separator)).as_py()
        tally.merge(Tally(least=found["min"], most=found["max"]))


def mark_of(separator: str) -> str:
    """Write a separator for Arrow's regular expressions."""
    return rf"\x{{{ord(separator):x}}}"


def not_blank(lines: Any) -> Any:
    """Return the lines without the blank ones."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return lines.filter(pc.invert(pc.is_in(lines, pa.array(["\n", "\r\n"]))))


def is_plain(lines: Any, separator: str) -> bool:
    """Return whether each line is text, and a row for any reader: its quotes are closed and well-formed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return False
    text = text_of(lines)
    if lines.null_count or not separator.isascii() or text.count(b"\r") != text.count(b"\r\n"):
        return False
    if b'"' not in text:
        return True
    mark = mark_of(separator)
    value = rf'(?:"(?:[^"\r\n]|"")*"|[^"\r\n{mark}][^\r\n{mark}]*|)'
    quoted = lines.filter(pc.match_substring(lines, '"'))
    return bool(pc.all(pc.match_substring_regex(quoted, rf"\A{value}(?:{mark}{value})*\r?\n\z")).as_py())


def behind_header(tally: Tally, lines: Any) -> Any:
    """Return the lines after the header of a file; the header goes to the tally."""
    for index in range(len(lines)):
        text = lines[index].as_py()
        text = text if tally.skip else text.removeprefix("\ufeff")
        tally.skip += 1
        if text.strip("\r\n"):
            tally.header = text
            return lines.slice(index + 1)
    return lines.slice(len(lines))


# ------------------------------------------------------------------------------------------------------ judge the files


def physical(lines: Iterable[Any], encoding: str) -> Iterator[str]:
    """Return the lines of a text file, each with its end; a lone CR is an end too. Raise LineError for other files."""
    number = 0
    for line in lines:
        try:
            text = line.as_py().decode()
        except (UnicodeDecodeError, AttributeError) as error:
            raise LineError(
                number + 1,
                f"The bytes are not text in {encoding}. Give --ENCODING, such as windows-1252, or convert the file",
            ) from error
        text = text if number else text.removeprefix("\ufeff")
        for part in re.findall(r"[^\r\n]*(?:\r\n|\r|\n)", text) if "\r" in text else [text]:
            number += 1
            yield part


@dataclass
class Counter:
    """Counts rows only by their quotes, independently of the reader of the values."""

    separator: str
    first: str = ""
    rows: int = 0
    is_open: bool = False

    def watch(self, lines: Iterable[str]) -> Iterator[str]:
        """Count while the lines pass."""
        mark = re.escape(self.separator)
        quoted, opened = re.compile(rf'(^|{mark})"(?:[^"]|"")*+"'), re.compile(rf'(?:^|{mark})"')
        closed = re.compile(r'(?:[^"]|"")*+"')
        for line in lines:
            self.first = self.first or line.rstrip("\r\n")
            yield line
            if self.is_open:
                found = closed.match(line)
                rest = "-" + line[found.end() :] if found else ""
                self.is_open = not found
            else:
                rest = line.rstrip("\r\n")
                self.rows += bool(rest)
            if '"' in rest:
                self.is_open = opened.search(quoted.sub(r"\1", rest)) is not None


def strict_rows(lines: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Return each row and the line it begins in, without blank lines; raise a LineError if the strict reader fails."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                reason = (
                    "A quote is opened in this row and never closed. Close it, or double it if it is part of a value"
                )
            else:
                reason = (
                    f"A quote is closed in line {reader.line_num} and followed by something else than a separator. "
                    "Double the quotes that are part of a value"
                )
            raise LineError(line, reason) from error
        if row:
            yield line, row


def judge(lines: Iterable[Any], options: Options) -> Iterator[Any]:
    """Read a file by the strict reader: return the names in its header, and then its rows as lists of arrays.

    Raises LineError for any error in the file.
    """
    counter = Counter(options.separator)
    rows = strict_rows(counter.watch(physical(lines, options.encoding)), options.separator)
    line, names = next(rows, (1, []))
    if not names:
        raise LineError(1, NO_ROW)
    try:
        layout = lay_out_csv(counter.first, names, options)
    except ValueError as error:
        raise LineError(line, str(error)) from error
    yield names
    read = 0
    for some in portions(rows):
        read += len(some)
        yield tabulated(some, layout)
    if not read:
        raise LineError(line, NO_ROW)
    if read != counter.rows - 1:
        raise LineError(
            line, f"Two readers find {read} and {counter.rows - 1} rows. This is a mistake of the job: tell its authors"
        )


def portions(rows: Iterable[tuple[int, list[str]]]) -> Iterator[list[tuple[int, list[str]]]]:
    """Gather rows, not too many and not too long."""
    some, size = [], 0
    for line, row in rows:
        some.append((line, row))
        size += sum(map(len, row))
        if len(some) == ROWS_A_TABLE or size > CHARACTERS_A_TABLE:
            yield some
            some, size = [], 0
    if some:
        yield some


def tabulated(rows: Sequence[tuple[int, list[str]]], layout: Layout) -> list[Any]:
    """Return rows as arrays, one for each column of the layout; raise a LineError for a row that does not fit."""
    import pyarrow as pa

    for line, row in rows:
        if len(row) < layout.width:
            raise LineError(line, f"The row has {len(row)} values, and the header {layout.width}. Complete the row")
        for place in (*range(layout.width, len(row)), *layout.nameless):
            if row[place]:
                raise LineError(
                    line,
                    f"The value {shortened(row[place])} is in a column without a name, the {place + 1}th. "
                    "Complete the header, or quote the value that holds a separator",
                )
    arrays = []
    for place, column in layout.columns:
        try:
            arrays.append(converted(pa.array([row[place] or None for _, row in rows], pa.string()), column.kind))
        except MisfitError as error:
            raise LineError(rows[error.index][0], misfit(column, error)) from error
    return arrays


def misfit(column: Column, error: MisfitError) -> str:
    """Return the message for a value that is not of its column's type."""
    return f"In the column {column.name!r}, {error.reason}. Correct it, or give the column another type in --SCHEMA"


def by_file(batches: Iterable[Any]) -> Iterator[tuple[int, Iterator[Any]]]:
    """Return each file of a partition with its lines."""
    import pyarrow as pa

    lines = (
        (file, line) for batch in batches for file, _, rows in runs(batch) for line in rows.column(0).cast(pa.binary())
    )
    for file, some in groupby(lines, lambda pair: pair[0]):
        yield file, (line for _, line in some)


def examine(options: Options, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield for each file its header and its number of rows, or the wrong line and its error."""
    for file, lines in by_file(batches):
        names, rows = [], 0
        try:
            tables = judge(lines, options)
            names = next(tables)
            rows = sum(len(arrays[0]) for arrays in tables)
            yield told([[file, names, rows, 0, ""]])
        except LineError as error:
            yield told([[file, names, rows, error.line, error.reason]])


# ---------------------------------------------------------------------------------------------------- parse and convert


@dataclass(frozen=True)
class Plan:
    """The conversion of a file."""

    layout: Layout
    order: tuple[int, ...]
    """The places in the layout of the output's columns."""
    skip: int = 0
    """Lines to the end of the header."""
    mark: str = ""
    """Its source_id, if the output's folder does not have it."""
    changed: frozenset[int] = frozenset()
    """Of a Parquet file: the places whose values get another type."""
    nanos: frozenset[int] = frozenset()
    """Of a Parquet file: the places whose values are nanoseconds."""

    def batch(self, arrays: Sequence[Any]) -> Any:
        """Return the output's columns of some rows."""
        import pyarrow as pa

        columns = [arrays[index] for index in self.order]
        if self.mark:
            columns.append(pa.array([self.mark], pa.string()).take(pa.array([0] * len(columns[0]))))
        return pa.RecordBatch.from_arrays(columns, names=[str(number) for number in range(len(columns))])


def parse(separator: str, plans: Mapping[int, Plan], batches: Iterable[Any]) -> Iterator[Any]:
    """Turn lines that are certain to be rows into the output's columns."""
    left = {file: plan.skip for file, plan in plans.items()}
    for batch in batches:
        for file, start, rows in runs(batch):
            lines = rows.column(0)
            if start == 0:
                skipped = min(left[file], len(lines))
                left[file] -= skipped
                lines = lines.slice(skipped)
            text = text_of(lines)
            if text.strip(b"\r\n"):
                layout = plans[file].layout
                values = split(text, layout.width, separator)
                if any(values[place].null_count < len(values[place]) for place in layout.nameless):
                    raise LineError(0, "a value in a column without a name")
                yield plans[file].batch([converted(values[place], column.kind) for place, column in layout.columns])


def split(text: bytes, width: int, separator: str) -> list[Any]:
    """Split lines into so many columns of text; an empty value is null."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(place) for place in range(width)]
    if text.startswith(BOM):  # in the middle of a file it is a character, and Arrow would drop it
        text = b"\n" + text
    table = arrow_csv.read_csv(
        pa.BufferReader(text),
        arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
        arrow_csv.ParseOptions(delimiter=separator, quote_char='"' if b'"' in text else False),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    return [pa.concat_arrays(column.chunks) for column in table.columns]


def rejudge(options: Options, plans: Mapping[int, Plan], batches: Iterable[Any]) -> Iterator[Any]:
    """Turn files that the strict reader has accepted into the output's columns."""
    for file, lines in by_file(batches):
        tables = judge(lines, options)
        next(tables)
        yield from map(plans[file].batch, tables)


def recast(plans: Mapping[int, Plan], batches: Iterable[Any]) -> Iterator[Any]:
    """Turn the columns of Parquet files into the output's."""
    for batch in batches:
        for file, _, rows in runs(batch):
            plan = plans[file]
            yield plan.batch(
                [retyped(rows.column(place), place, column, plan) for place, column in plan.layout.columns]
            )


def retyped(values: Any, place: int, column: Column, plan: Plan) -> Any:
    """Return the values of a Parquet's column with the output's type."""
    import pyarrow as pa

    if place in plan.nanos:
        try:
            values = values.cast(pa.timestamp("ns")).cast(pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            index = next(row for row, time in enumerate(values.cast(pa.int64()).to_pylist()) if time and time % 1000)
            raise MisfitError(index, "a time with nanoseconds", column.kind) from error
    return converted(values, column.kind) if place in plan.changed else values


def find_misfit(plans: Mapping[int, Plan], batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the first value of each Parquet file that does not fit the output's type."""
    passed: dict[int, int] = defaultdict(int)
    found: dict[int, list[object]] = {}
    for batch in batches:
        for file, _, rows in runs(batch):
            for place, column in plans[file].layout.columns:
                try:
                    retyped(rows.column(place), place, column, plans[file])
                except MisfitError as error:
                    found.setdefault(file, [file, [], 0, passed[file] + error.index + 1, misfit(column, error)])
            passed[file] += len(rows)
    yield told(found.values())


# --------------------------------------------------------------------------------------------------------- Spark's side


@dataclass
class File:
    """A file of a source, and the facts found about it."""

    path: str
    target: str
    id: int = 0
    way: str = "parse"
    rows: int = 0
    skip: int = 0
    layout: Layout = Layout(0, ())
    fields: tuple[tuple[str, Any], ...] = ()
    """Of a Parquet file: the names of its columns, and Spark's types."""
    changed: frozenset[int] = frozenset()
    nanos: frozenset[int] = frozenset()
    order: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def refuse(self, reason: str, line: int = 0) -> RefusedError:
        """Return an error about this file."""
        where = f", {'row' if self.way == 'recast' else 'line'} {line}" if line else ""
        return RefusedError(f"{self.path!r}{where}: {reason}")


def prepare(spark: "SparkSession") -> None:
    """Set the options that must not depend on the environment of the run."""
    for name, value in {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.caseSensitive": "true",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.files.ignoreCorruptFiles": "false",
        "spark.sql.files.ignoreMissingFiles": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(LINES_A_BATCH),
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
        "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
        "spark.sql.parquet.int96RebaseModeInWrite": "CORRECTED",
        "spark.sql.legacy.parquet.nanosAsLong": "true",
    }.items():
        spark.conf.set(name, value)


def whole_files(spark: "SparkSession", *, whole: bool) -> None:
    """Let each file be one partition, or let Spark cut and join files."""
    for name in ("spark.sql.files.maxPartitionBytes", "spark.sql.files.openCostInBytes"):
        if whole:
            spark.conf.set(name, str(NEVER_SPLIT))
        else:
            spark.conf.unset(name)


def lines_of(spark: "SparkSession", files: Sequence[File], encoding: str) -> "DataFrame":
    """Return the lines of files, in UTF-8 and with their line feeds; null if a line is not text in the encoding."""
    from pyspark.sql import functions as sql

    frame = spark.read.options(lineSep="\n", **VERBATIM).text([file.path for file in files])
    line = frame["value"]
    if encoding != "UTF-8":
        written_as = line.cast("binary")
        text = sql.decode(written_as, encoding)
        is_text = (sql.instr(text, "\ufffd") == 0) | (sql.encode(text, encoding) == written_as)
        line = sql.when(is_text, text)
    return frame.select(sql.concat(line, sql.lit("\n")), *marks_of(files))


def marks_of(files: Sequence[File]) -> list[Any]:
    """Return the columns for file and block."""
    from pyspark.sql import functions as sql

    file = sql.xxhash64(sql.input_file_name()) if len(files) > 1 else sql.lit(files[0].id)
    return [file.cast("bigint"), sql.expr("input_file_block_start()")]


def identify(spark: "SparkSession", files: Sequence[File]) -> None:
    """Give each file the number by which the workers know it."""
    from pyspark.sql import functions as sql

    path = spark._jvm.org.apache.hadoop.fs.Path
    addresses = json.dumps([path(file.path).toUri().toString() for file in files])
    texts = spark.range(1).select(sql.explode(sql.from_json(sql.lit(addresses), "array<string>")).alias("address"))
    for file, (number,) in zip(files, texts.select(sql.xxhash64("address")).collect(), strict=True):
        file.id = number
    if len({file.id for file in files}) != len(files):
        raise RuntimeError("Two files have one hash. Run the files apart")


def asked(frame: "DataFrame", function: Callable[[Iterable[Any]], Iterator[Any]]) -> list[Any]:
    """Return the results of the workers."""
    return [json.loads(found) for (found,) in frame.mapInArrow(function, "found string").collect()]


def scanned(spark: "SparkSession", files: Sequence[File], options: Options) -> dict[int, Tally]:
    """Scan files; the error names one that can't be read to its end."""
    whole_files(spark, whole=any(file.path.endswith(".bz2") for file in files))
    tallies: dict[int, Tally] = defaultdict(Tally)
    try:
        found = asked(lines_of(spark, files, options.encoding), partial(scan, options))
    except Exception as error:
        if len(files) > 1:
            for file in files:
                scanned(spark, [file], options)
            raise
        raise files[0].refuse(f"It can't be read to its end: {innermost(error)}. Upload it again") from error
    for file, tally in found:
        tallies[file].merge(Tally(**tally))
    return tallies


def innermost(error: Exception) -> str:
    """Return Java's own message of an error."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    text = str(cause.toString() if cause is not None else error).strip()
    failed = re.search(r"executor \w+\): (?:[\w.]+: )?([^\n]+)", text)
    said = failed[1] if failed else text
    return said.rpartition("\n")[2] if "Traceback" in said else said.partition("\n")[0]


def read_csvs(spark: "SparkSession", files: Sequence[File], options: Options) -> None:
    """Find the header and the number of rows of CSV files; raise a RefusedError for the first that is no CSV."""
    tallies = scanned(spark, files, options)
    doubtful = []
    for file in files:
        tally = tallies[file.id]
        if tally.header is None and not tally.odd:
            raise file.refuse(NO_ROW)
        names = header_of(tally, options)
        if tally.odd or names is None:
            doubtful.append(file)
            continue
        try:
            file.layout = lay_out_csv(str(tally.header), names, options)
        except ValueError as error:
            raise file.refuse(str(error), tally.skip) from error
        file.rows, file.skip = tally.rows, tally.skip
        width = tally.most + 1
        if tally.least != tally.most or width < file.layout.width:
            doubtful.append(file)
        else:
            file.layout = widened(file.layout, width)
    verdicts(spark, doubtful, options)
    for file in files:
        if not file.rows:
            raise file.refuse(NO_ROW)


def header_of(tally: Tally, options: Options) -> list[str] | None:
    """Return the names in a header of one line."""
    try:
        return next(iter(csv.reader([tally.header or ""], delimiter=options.separator, strict=True)), None)
    except csv.Error:
        return None


def widened(layout: Layout, width: int) -> Layout:
    """Return a layout whose rows have more values than the header, all of which must be empty."""
    return Layout(width, layout.columns, (*layout.nameless, *range(layout.width, width)))


def verdicts(spark: "SparkSession", files: Sequence[File], options: Options) -> None:
    """Let the strict reader judge files; raise a RefusedError for the first wrong one."""
    if not files:
        return
    whole_files(spark, whole=True)
    found = {
        verdict[0]: verdict for verdict in asked(lines_of(spark, files, options.encoding), partial(examine, options))
    }
    for file in files:
        _, names, file.rows, line, reason = found.get(file.id, (0, [], 0, 1, NO_ROW))
        if reason:
            raise file.refuse(reason, line)
        file.layout, file.way = lay_out(names, options), "judge"


def files_below(spark: "SparkSession", path: str) -> list[str]:
    """Return the files of a source: the object, or all files below the folder without hidden and empty ones."""
    place = spark._jvm.org.apache.hadoop.fs.Path(path)
    system = place.getFileSystem(spark._jsc.hadoopConfiguration())
    if not system.exists(place):
        raise FileNotFoundError(f"Nothing to read at {path!r}: no such object or folder")
    if not system.getFileStatus(place).isDirectory():
        if is_hidden(place.getName()):
            raise RefusedError(f"{path!r}: Spark passes over hidden files (_…, .…). Give the object another name")
        return [path]
    found, folders = [], [place]
    while folders:
        for status in system.listStatus(folders.pop()):
            if is_hidden(status.getPath().getName()):
                continue
            if status.isDirectory():
                folders.append(status.getPath())
            elif status.getLen():
                found.append(status.getPath().toString())
    if not found:
        raise RefusedError(f"{path!r}: No data in the folder: no file in it but hidden (_…, .…) and empty ones")
    return sorted(found)


def is_hidden(name: str) -> bool:
    """Return whether Spark ignores files and folders of this name."""
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or name.endswith("._COPYING_")


def side_by_side(function: Callable[[Any], Any], things: Sequence[Any]) -> list[Any]:
    """Do something with each of many things in parallel, because S3 answers slowly."""
    if len(things) == 1:
        return [function(things[0])]
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(function, things))


def sort_out(spark: "SparkSession", file: File) -> None:  # noqa: C901 - a case after the other
    """Look at the first bytes of a file; raise a RefusedError if they are neither Parquet nor text."""
    place = spark._jvm.org.apache.hadoop.fs.Path(file.path)
    stream = place.getFileSystem(spark._jsc.hadoopConfiguration()).open(place)
    try:
        head = bytes(stream.readNBytes(HEAD))
    finally:
        stream.close()
    name = file.path.rpartition("/")[2]
    if head.startswith(b"PAR1"):
        file.way = "recast"
        return
    if name.lower().endswith(ARCHIVES):
        raise file.refuse("This is an archive. Unpack it, and upload the files in it")
    if head.startswith(b"\x1f\x8b"):
        if not name.endswith(".gz"):
            raise file.refuse("This is compressed with gzip. Give it a name that ends with .gz")
        head = zlib.decompressobj(31).decompress(head, HEAD)
    elif head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        if not name.endswith(".bz2"):
            raise file.refuse("This is compressed with bzip2. Give it a name that ends with .bz2")
        return
    elif head and name.endswith((".gz", ".bz2", *OTHER_CODECS)):
        ending = name.rpartition(".")[2]
        raise file.refuse(
            f"Hadoop would unpack it for its ending .{ending}, and can't. Give it another name, or compress it as .gz"
        )
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            raise file.refuse(f"This is {kind}. Convert it to CSV in UTF-8, which may be compressed as .gz or .bz2")
    if head[257:262] == b"ustar" or head.startswith(b"PAR1"):
        raise file.refuse("This is an archive or a compressed Parquet file. Unpack it, and upload the files in it")


# ----------------------------------------------------------------------------------------------------------- Parquet in


def read_footer(spark: "SparkSession", options: Options, file: File) -> None:
    """Find the columns and the number of rows of a Parquet file."""
    hadoop = spark._jvm.org.apache.parquet.hadoop
    path = spark._jvm.org.apache.hadoop.fs.Path(file.path)
    try:
        reader = hadoop.ParquetFileReader.open(
            hadoop.util.HadoopInputFile.fromPath(path, spark._jsc.hadoopConfiguration())
        )
        try:
            file.rows = reader.getRecordCount()
            fields = list(reader.getFileMetaData().getSchema().getFields())
        finally:
            reader.close()
    except Exception as error:
        raise file.refuse(f"The Parquet file is damaged: {innermost(error)}. Upload it again") from error
    if not file.rows:
        raise file.refuse(NO_ROW)
    names = [field.getName() for field in fields]
    try:
        lay_out(names, options)
        whole = spark.read.options(**VERBATIM).parquet(file.path).schema
    except ValueError as error:
        raise file.refuse(str(error)) from error
    except Exception as error:
        raise file.refuse(f"Spark can't read this Parquet file: {innermost(error)}") from error
    file.fields = tuple((name, whole[name].dataType) for name in names)
    kinds = [kind.simpleString() for _, kind in file.fields]
    nanos = {}
    for place, field in enumerate(fields):
        text = field.toString()
        if "TIMESTAMP(NANOS" in text:
            if not field.isPrimitive():
                raise file.refuse(
                    f"The column {names[place]!r} holds nanoseconds in a structure, which Spark can't keep"
                )
            nanos[place] = "timestamp" if "NANOS,true" in text else "timestamp_ntz"
    stated = [nanos.get(place, kind) for place, kind in enumerate(kinds)]
    file.layout = lay_out(names, options, stated)
    if file.layout.nameless:
        raise file.refuse("A column has no name. Give it one")
    file.nanos = frozenset(nanos)
    file.changed = frozenset(place for place, column in file.layout.columns if column.kind != kinds[place])


# -------------------------------------------------------------------------------------------------------------- the run


def spark_type(kind: str) -> Any:
    """Return Spark's type."""
    from pyspark.sql import types

    if kind.startswith("decimal"):
        return types.DecimalType(*precision(kind))
    return {
        "tinyint": types.ByteType,
        "smallint": types.ShortType,
        "int": types.IntegerType,
        "bigint": types.LongType,
        "float": types.FloatType,
        "double": types.DoubleType,
        "string": types.StringType,
        "boolean": types.BooleanType,
        "date": types.DateType,
        "timestamp": types.TimestampType,
        "timestamp_ntz": types.TimestampNTZType,
    }[kind]()


def agree(files: Sequence[File]) -> None:
    """Give the files of a source the order and names of the first; raise a RefusedError if they have other columns."""
    firsts: dict[str, File] = {}
    for file in files:
        first = firsts.setdefault(file.target, file)
        wanted = [column for _, column in first.layout.columns]
        places = {column.name.lower(): index for index, (_, column) in enumerate(file.layout.columns)}
        other = places.keys() ^ {column.name.lower() for column in wanted}
        if other:
            raise file.refuse(
                f"The files of a folder must have the same columns. {named(other)} is in this one or in {first.path!r} only"
            )
        file.order = tuple(places[column.name.lower()] for column in wanted)
        file.names = tuple(column.name for column in wanted)
        for index, column in zip(file.order, wanted, strict=True):
            if file.layout.columns[index][1].kind != column.kind:
                kind = file.layout.columns[index][1].kind
                raise file.refuse(
                    f"The column {column.name!r} is {kind}, and in {first.path!r} {column.kind}. Give its type in --SCHEMA"
                )


def output_of(file: File) -> tuple[str, Any]:
    """Return the way to read a file, and the output's schema: files that share both are read together."""
    from pyspark.sql.types import StructField, StructType

    fields = []
    for name, index in zip(file.names, file.order, strict=True):
        place, column = file.layout.columns[index]
        kept = file.way == "recast" and place not in file.changed
        fields.append(StructField(name, file.fields[place][1] if kept else spark_type(column.kind)))
    return file.way, StructType(fields)


def frame_of(  # noqa: PLR0913 - all properties of a group of files
    spark: "SparkSession", way: str, schema: Any, files: Sequence[File], options: Options, *, marked: bool
) -> "DataFrame":
    """Return the rows of files that are read in one way."""
    from pyspark.sql.types import StringType

    plans = {
        file.id: Plan(
            file.layout,
            file.order,
            file.skip,
            file.target.rpartition("source_id=")[2] if marked else "",
            file.changed,
            file.nanos,
        )
        for file in files
    }
    if marked:
        schema = type(schema)(schema.fields).add("source_id", StringType())
    whole_files(spark, whole=way == "judge" or any(file.path.endswith(".bz2") for file in files))
    if way == "recast":
        return columns_of(spark, files).mapInArrow(partial(recast, plans), schema)
    work = partial(parse, options.separator, plans) if way == "parse" else partial(rejudge, options, plans)
    return lines_of(spark, files, options.encoding).mapInArrow(work, schema)


def columns_of(spark: "SparkSession", files: Sequence[File]) -> "DataFrame":
    """Return the unchanged columns of Parquet files with the same columns."""
    frame = spark.read.options(**VERBATIM).parquet(*(file.path for file in files))
    return frame.toDF(*map(str, range(len(frame.columns)))).select("*", *marks_of(files))


def diagnose(spark: "SparkSession", way: str, files: Sequence[File], options: Options) -> None:
    """Find the reason why files could not be written: a RefusedError names the line or row."""
    if way != "recast":
        verdicts(spark, files, options)
        return
    whole_files(spark, whole=True)
    plans = {file.id: Plan(file.layout, file.order, changed=file.changed, nanos=file.nanos) for file in files}
    found = {verdict[0]: verdict for verdict in asked(columns_of(spark, files), partial(find_misfit, plans))}
    for file in files:
        if file.id in found:
            raise file.refuse(found[file.id][4], found[file.id][3])


def transform(spark: "SparkSession", sources: Mapping[str, str], options: Options, staging: str) -> int:
    """Replace each file's folder of the target; return the number of rows.

    An error before the last step does not change the targets.
    """
    files = [File(path, target) for path, target in sources.items()]
    before = side_by_side(partial(state, spark), files)
    if len(files) > 1:
        identify(spark, files)
    side_by_side(partial(sort_out, spark), files)
    tables = [file for file in files if file.way == "recast"]
    if texts := [file for file in files if file.way != "recast"]:
        read_csvs(spark, texts, options)
    if tables:
        side_by_side(partial(read_footer, spark, options), tables)
    agree(files)
    remove(spark, staging)
    try:
        stage(spark, files, options, staging)
        for file, was, is_now in zip(files, before, side_by_side(partial(state, spark), files), strict=True):
            if was != is_now:
                raise RuntimeError(f"{file.path!r} was replaced while it was read. Run it again")
        put_in_place(spark, staged_files(spark, files, staging))
    finally:
        remove(spark, staging)
    return sum(file.rows for file in files)


def state(spark: "SparkSession", file: File) -> tuple[int, int]:
    """Return length and time of a file, which change when it is replaced."""
    system, path = file_system(spark, file.path)
    status = system.getFileStatus(path(file.path))
    return status.getLen(), status.getModificationTime()


def stage(spark: "SparkSession", files: Sequence[File], options: Options, staging: str) -> None:
    """Write files beside their targets."""
    marked = len({file.target for file in files}) > 1
    groups: dict[tuple[str, str], list[File]] = defaultdict(list)
    for file in files:
        way, schema = output_of(file)
        # Parquet files are read together if they have the same columns, of the same types, in the same order.
        same = (file.layout, file.fields, file.nanos, file.order) if way == "recast" else ()
        groups[way, f"{schema.json()} {same}"].append(file)
    for (way, _), some in groups.items():
        try:
            frame = frame_of(spark, way, output_of(some[0])[1], some, options, marked=marked)
            writer = frame.write.mode("append").option("compression", "snappy")
            if marked:
                writer.partitionBy("source_id").parquet(staging)
            else:
                writer.parquet(f"{staging}/{some[0].target.rpartition('/')[2]}")
        except Exception:
            diagnose(spark, way, some, options)
            raise


def staged_files(spark: "SparkSession", files: Sequence[File], staging: str) -> dict[str, list[Any]]:
    """Return the written files of each target; raise a RuntimeError if their rows are not those counted before."""
    expected: dict[str, int] = defaultdict(int)
    for file in files:
        expected[file.target] += file.rows
    system, path = file_system(spark, staging)
    found = {}
    for target in expected:
        folder = path(f"{staging}/{target.rpartition('/')[2]}")
        found[target] = [
            status.getPath()
            for status in (system.listStatus(folder) if system.exists(folder) else [])
            if not is_hidden(status.getPath().getName())
        ]
    rows = counted(spark, list(chain.from_iterable(found.values())))
    for target, parts in found.items():
        written_rows = sum(rows[f"{part.getParent().getName()}/{part.getName()}"] for part in parts)
        if written_rows != expected[target]:
            raise RuntimeError(
                f"{target!r} was to hold {expected[target]} rows, and {written_rows} were written: another run of this "
                "source, or an upload, came between. Run it again"
            )
    return found


def counted(spark: "SparkSession", parts: Sequence[Any]) -> Mapping[str, int]:
    """Return the number of rows of each Parquet file, by its folder and name."""
    from pyspark.sql import functions as sql

    if not parts:
        return {}
    frame = spark.read.options(**VERBATIM).parquet(*(part.toString() for part in parts))
    rows = frame.select(sql.substring_index(sql.input_file_name(), "/", -2).alias("name")).groupBy("name").count()
    return defaultdict(int, dict(rows.collect()))


def file_system(spark: "SparkSession", path: str) -> tuple[Any, Any]:
    """Return Hadoop's file system of a path, and its class of paths."""
    make = spark._jvm.org.apache.hadoop.fs.Path
    return make(path).getFileSystem(spark._jsc.hadoopConfiguration()), make


def remove(spark: "SparkSession", folder: str) -> None:
    """Delete a folder, if it is there."""
    system, path = file_system(spark, folder)
    system.delete(path(folder), True)  # noqa: FBT003 - Java's


def put_in_place(spark: "SparkSession", staged: Mapping[str, Sequence[Any]]) -> None:
    """Move files into their targets, and then delete the earlier ones; if a move fails, undo the others."""
    system, path = file_system(spark, next(iter(staged)))
    before = {target: listed(system, path(target)) for target in staged}
    moves = [(part, path(path(target), part.getName())) for target, parts in staged.items() for part in parts]
    for target in staged:
        system.mkdirs(path(target))

    def move(pair: tuple[Any, Any]) -> None:
        if not system.rename(*pair):
            raise OSError(f"{pair[1].toString()!r} could not be written")

    def delete(place: Any) -> None:
        system.delete(place, True)  # noqa: FBT003 - Java's

    try:
        side_by_side(move, moves)
    except BaseException:
        side_by_side(delete, [new for _, new in moves])
        raise
    if old := list(chain.from_iterable(before.values())):
        side_by_side(delete, old)
    for target, parts in staged.items():
        if {place.getName() for place in listed(system, path(target))} != {part.getName() for part in parts}:
            raise RuntimeError(f"Another run of this source wrote to {target!r} meanwhile. Run it again")


def listed(system: Any, folder: Any) -> list[Any]:
    """Return the content of a folder, if it is there."""
    return [status.getPath() for status in system.listStatus(folder)] if system.exists(folder) else []


def read_manifest(spark: "SparkSession", manifest: str) -> list[str]:
    """Read the keys of a manifest: {"files": [{"key": …}, …]}.

    Raises ValueError for anything else.
    """
    texts = spark.read.options(**VERBATIM).text(manifest, wholetext=True).collect()
    try:
        return [str(file["key"]) for file in json.loads("".join(text for (text,) in texts))["files"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{manifest!r} is no manifest: {error!r}") from error


def present(spark: "SparkSession", bucket: str, keys: Iterable[str]) -> set[str]:
    """Return the keys that still have an object; each folder is listed once."""
    found = set()
    for folder in {key.rpartition("/")[0] for key in keys}:
        place = s3_path(bucket, folder) if folder else f"s3://{bucket}/"
        system, path = file_system(spark, place)
        found |= {f"{folder}/{child.getName()}".removeprefix("/") for child in listed(system, path(place))}
    return found


def main() -> None:
    """Run the job; any exception fails the run, and its message is the run's error message."""
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    optional = [name for name in ("MANIFEST", "SCHEMA", "SEPARATOR", "ENCODING") if f"--{name}" in sys.argv]
    args = getResolvedOptions(sys.argv, ["JOB_NAME", "BUCKET_NAME", "SRC_PREFIX", "TRG_PREFIX", *optional])
    bucket, trg_prefix, source = args["BUCKET_NAME"], args["TRG_PREFIX"], args["SRC_PREFIX"]

    glue = GlueContext(SparkContext.getOrCreate())
    job = Job(glue)
    job.init(args["JOB_NAME"], args)
    spark, journal = glue.spark_session, glue.get_logger()
    prepare(spark)
    options = read_options(spark, args)
    about = args.get("MANIFEST", source)
    staging = f"{s3_path(bucket, trg_prefix)}/_staged-{hashlib.sha256(about.encode()).hexdigest()[:32]}"
    if "MANIFEST" in args:
        keys = read_manifest(spark, args["MANIFEST"])
        there = present(spark, bucket, keys)
        for key in keys:
            if key not in there:
                journal.warn(f"Skipped {key!r}: deleted since the window closed")
        sources = {
            path: target_path(bucket, trg_prefix, key)
            for key in keys
            if key in there
            for path in files_below(spark, source_path(bucket, key))
        }
        rows = transform(spark, sources, options, staging) if sources else 0
        journal.info(f"{rows} rows from {len(sources)} files of {about!r} to {s3_path(bucket, trg_prefix)!r}")
    else:
        path, target = source_path(bucket, source), target_path(bucket, trg_prefix, source)
        rows = transform(spark, dict.fromkeys(files_below(spark, path), target), options, staging)
        journal.info(f"{rows} rows from {path!r} to {target!r}")
    job.commit()


if __name__ == "__main__":
    main()
