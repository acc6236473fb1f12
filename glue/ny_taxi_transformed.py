"""The Glue job ny-taxi-transformed-console-jb: turns the CSV of one source into Parquet.

A source is an object or a folder, with or without its trailing slash. Each source owns one folder of the target:

    s3://BUCKET_NAME/TRG_PREFIX/source_id=green_tripdata.csv-<32 hex digits>/part-….snappy.parquet

and a run overwrites that folder and no other. A second run (a redrive, a reprocess, a new upload under the same key)
replaces what the first one wrote, and what came from other sources stays. The folder is named after the source's file
name, for the reader, and a hash of the whole key: the URL-encoded key itself could exceed the 1,024 bytes S3 allows.
Spark, Athena and the Glue crawler read the target as one table, partitioned by source_id.

With --MANIFEST, the address of a window's manifest, a run reads exactly the files that the manifest lists and not the folder
SRC_PREFIX. Each file is a source of its own, so two windows of one folder never overwrite each other's output.

Plain Spark reads the CSV, not a DynamicFrame: that one expands glob characters in keys, and a job bookmark would make it
skip a source it has seen before.
"""

# ruff: noqa: PLC0415, SLF001
# Spark and Glue are imported where they are needed: the paths are tested without them. And PySpark has no public way to
# Hadoop's file systems.
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Inferred as integers where a file happens to hold whole numbers only; doubles keep one schema over all sources.
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
    }
)

# A key is data: `*?[]{}\` in it mean themselves. Spark's own CSV inference sets this option for the same reason
# (SPARK-32810); escaping would do for most keys, but Hadoop's globber can't take a colon.
VERBATIM = {"__globPaths__": "false"}
# What a key must not hold for that, where there is no such option.
GLOB = re.compile(r"[*?\[\]{}\\:]")


# No column of a file is called so: a name that Spark gives has no such characters, and no header holds them.
FILE_COLUMN = "\x00file"

# What no header of a text file holds: control characters, and what stands for bytes that are not UTF-8.
NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ufffd]")


def s3_path(bucket: str, key: str) -> str:
    """Return the Hadoop path of an object or folder: its key verbatim, since Hadoop encodes what it must by itself.

    Hadoop would resolve empty, `.` and `..` segments and so read or overwrite another key: a ValueError.
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


def read_csv(spark: "SparkSession", *sources: str) -> "DataFrame":
    """Read the CSV with the columns of its header and inferred types; money and distances are doubles.

    Raises FileNotFoundError where nothing is, and ValueError for what is no text, such as the Parquet that the TLC publishes.
    """
    from pyspark.sql.utils import AnalysisException

    options = {"header": True, "inferSchema": True, "escape": '"', "recursiveFileLookup": True, **VERBATIM}
    try:
        frame = spark.read.options(**options).csv([*sources])
    except AnalysisException as error:
        raise FileNotFoundError(
            f"Nothing to read at {named(sources)}: no such object or folder, or no file in it but hidden ones (_…, .…)"
        ) from error
    if any(NO_TEXT.search(name) for name in frame.columns):
        raise ValueError(
            f"{named(no_text(spark, sources))} is no CSV in UTF-8: its header is no text. "
            "Upload it again, as CSV, under the same key"
        )
    if has_line_breaks(spark, sources):
        patterns = [name for name in map(unquote, frame.inputFiles()) if GLOB.search(name.removeprefix("s3:"))]
        if patterns:  # with multiLine, Spark infers types from what Hadoop's globber finds
            raise ValueError(
                f"Spark can't read line breaks in quoted values from a key with one of *?[]{{}}\\: {named(patterns)}"
            )
        options["multiLine"] = True
        frame = spark.read.options(**options).csv([*sources])
    if len(frame.inputFiles()) > 1:  # columns go by position: the files of a folder must agree on their header
        frame = spark.read.options(**options, enforceSchema=False).schema(frame.schema).csv([*sources])
    whole = [name for name, kind in frame.dtypes if name.lower() in AMOUNTS and kind in {"int", "bigint"}]
    return frame.withColumns({name: frame[name].cast("double") for name in whole}) if whole else frame


def read_lines(spark: "SparkSession", sources: Iterable[str]) -> "DataFrame":
    """Read the lines of the files, without their structure."""
    return spark.read.options(recursiveFileLookup=True, **VERBATIM).text([*sources])


def no_text(spark: "SparkSession", sources: Iterable[str]) -> list[str]:
    """Return the files that hold what no text does."""
    lines = read_lines(spark, sources)
    found = lines.where(lines["value"].rlike(NO_TEXT.pattern)).selectExpr("input_file_name()").distinct()
    return sorted(unquote(name) for (name,) in found.collect())


def has_line_breaks(spark: "SparkSession", sources: Iterable[str]) -> bool:
    """Return whether a line of the sources has an odd number of quotes: then a quoted value may go over several lines.

    To read such a file takes a single worker, so that only those that need it are read so.
    """
    odd = "length(replace(value, '\"', '')) % 2 != length(value) % 2"
    return not read_lines(spark, sources).where(odd).isEmpty()


def named(paths: Collection[str]) -> str:
    """Write paths for a message: the first few."""
    first = ", ".join(map(repr, sorted(paths)[:5]))
    return f"{first} and {len(paths) - 5} more" if len(paths) > 5 else first  # noqa: PLR2004 - the few


def kept_columns(frame: "DataFrame", sources: Collection[str]) -> tuple[int, list[str]]:
    """Return the number of rows, and the columns that are not null throughout.

    Raises ValueError when none is left: before a write, so that an earlier run's output stands.
    """
    quoted = ["`" + name.replace("`", "``") + "`" for name in frame.columns]
    rows, *values = frame.selectExpr("count(*)", *(f"count({name})" for name in quoted)).head()
    kept = [name for name, count in zip(quoted, values, strict=True) if count]
    if not kept:
        raise ValueError(f"No data in {named(sources)}: {rows} rows, all of them null")
    return rows, kept


def check_written(spark: "SparkSession", targets: Collection[str], rows: int) -> None:
    """Raise RuntimeError unless the targets hold so many rows."""
    written = spark.read.options(**VERBATIM).parquet(*targets).count()
    if written != rows:
        raise RuntimeError(
            f"{named(targets)} holds {written} rows, the source had {rows}: another run wrote there, or the source changed, "
            "meanwhile. Run it again"
        )


def transform(spark: "SparkSession", source: str, target: str) -> int:
    """Write the source, without the columns that are null throughout, over the target; return the number of rows."""
    frame = read_csv(spark, source)
    rows, kept = kept_columns(frame, [source])
    frame.select(*kept).write.mode("overwrite").parquet(target)
    check_written(spark, [target], rows)
    return rows


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
    hadoop = spark._jvm.org.apache.hadoop.fs
    found = set()
    for folder in {key.rpartition("/")[0] for key in keys}:
        path = hadoop.Path(s3_path(bucket, folder) if folder else f"s3://{bucket}/")
        system = path.getFileSystem(spark._jsc.hadoopConfiguration())
        if system.exists(path):
            found |= {f"{folder}/{status.getPath().getName()}".removeprefix("/") for status in system.listStatus(path)}
    return found


def transform_files(spark: "SparkSession", bucket: str, trg_prefix: str, keys: list[str]) -> int:
    """Write each of the files over its own target, in one run; return the number of rows.

    Raises ValueError for a file that Spark passes over.
    """
    from pyspark.sql.functions import explode, from_json, lit

    targets = {source_path(bucket, key): target_path(bucket, trg_prefix, key) for key in keys}
    path = spark._jvm.org.apache.hadoop.fs.Path
    addresses = {path(source).toUri().toString(): target for source, target in targets.items()}
    frame = read_csv(spark, *targets)
    if passed_over := addresses.keys() - set(frame.inputFiles()):
        raise ValueError(f"Nothing to read at {named(passed_over)}: Spark passes over hidden files (_…, .…)")
    rows, kept = kept_columns(frame, targets)

    folders = [[address, target.rpartition("source_id=")[2]] for address, target in addresses.items()]
    by_file = spark.range(1).select(explode(from_json(lit(json.dumps(folders)), "array<array<string>>")).alias("pair"))
    by_file = by_file.selectExpr("pair[0] AS file", "pair[1] AS source_id")
    read = frame.selectExpr(*kept, f"input_file_name() AS `{FILE_COLUMN}`")
    marked = read.join(by_file.hint("broadcast"), read[FILE_COLUMN] == by_file["file"]).drop(FILE_COLUMN, "file")
    # Dynamic: of the folders that are there, only those written to are replaced.
    marked.write.partitionBy("source_id").mode("overwrite").option("partitionOverwriteMode", "dynamic").parquet(
        s3_path(bucket, trg_prefix)
    )
    written = [target for (target,) in marked.select("source_id").distinct().collect()]
    check_written(spark, [f"{s3_path(bucket, trg_prefix)}/source_id={target}" for target in written], rows)
    return rows


def main() -> None:
    """Run the job; any exception fails the run, and its message is the run's error message."""
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    optional = ["MANIFEST"] if "--MANIFEST" in sys.argv else []
    args = getResolvedOptions(sys.argv, ["JOB_NAME", "BUCKET_NAME", "SRC_PREFIX", "TRG_PREFIX", *optional])
    bucket, trg_prefix, source = args["BUCKET_NAME"], args["TRG_PREFIX"], args["SRC_PREFIX"]

    glue = GlueContext(SparkContext.getOrCreate())
    job = Job(glue)
    job.init(args["JOB_NAME"], args)
    spark, journal = glue.spark_session, glue.get_logger()
    spark.conf.set("spark.sql.session.timeZone", "UTC")  # times as the file has them, without gaps for summer time
    if optional:
        keys = read_manifest(spark, args["MANIFEST"])
        there = present(spark, bucket, keys)
        for key in keys:
            if key not in there:
                journal.warn(f"Skipped {key!r}: deleted since the window closed")
        left = [key for key in keys if key in there]
        rows = transform_files(spark, bucket, trg_prefix, left) if left else 0
        journal.info(f"{rows} rows from {len(left)} files of {args['MANIFEST']!r} to {s3_path(bucket, trg_prefix)!r}")
    else:
        path, target = source_path(bucket, source), target_path(bucket, trg_prefix, source)
        rows = transform(spark, path, target)
        journal.info(f"{rows} rows from {path!r} to {target!r}")
    job.commit()


if __name__ == "__main__":
    main()
