"""The Glue job ny-taxi-transformed-console-jb: turns the CSV of one source into Parquet.

A source is an object or a folder, with or without its trailing slash. Each source owns one folder of the target:

    s3://BUCKET_NAME/TRG_PREFIX/source_id=green_tripdata.csv-<32 hex digits>/part-….snappy.parquet

and a run overwrites that folder and no other. A second run (a redrive, a reprocess, a new upload under the same key)
replaces what the first one wrote, and what came from other sources stays. The folder is named after the source's file
name, for the reader, and a hash of the whole key: the URL-encoded key itself could exceed the 1,024 bytes S3 allows.
Spark, Athena and the Glue crawler read the target as one table, partitioned by source_id.

Plain Spark reads the CSV, not a DynamicFrame: that one expands glob characters in keys, and a job bookmark would make it
skip a source it has seen before.
"""

# ruff: noqa: PLC0415 - Spark and Glue are imported where they are needed: the paths are tested without them
import hashlib
import re
import sys
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
GLOB = re.compile(r"[*?\[\]{}\\:]")


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


def read_csv(spark: "SparkSession", source: str) -> "DataFrame":
    """Read the CSV with the columns of its header and inferred types; money and distances are doubles.

    Raises FileNotFoundError where nothing is, and ValueError for what is no text, such as the Parquet that the TLC publishes.
    """
    from pyspark.sql.utils import AnalysisException

    options = {"header": True, "inferSchema": True, "escape": '"', "recursiveFileLookup": True, **VERBATIM}
    try:
        frame = spark.read.options(**options).csv(source)
    except AnalysisException as error:
        raise FileNotFoundError(
            f"Nothing to read at {source!r}: no such object or folder, or no file in it but hidden ones (_…, .…)"
        ) from error
    if any(NO_TEXT.search(name) for name in frame.columns):
        raise ValueError(
            f"{source!r} is no CSV in UTF-8: its header is no text. Upload it again, as CSV, under the same key"
        )
    if has_line_breaks(spark, source):
        for_globber = [name for name in frame.inputFiles() if GLOB.search(unquote(name).removeprefix("s3:"))]
        if for_globber:  # with multiLine, Spark infers types from what Hadoop's globber finds
            raise ValueError(
                f"Spark can't read line breaks in quoted values from a key with one of *?[]{{}}\\: {for_globber}"
            )
        options["multiLine"] = True
        frame = spark.read.options(**options).csv(source)
    if len(frame.inputFiles()) > 1:  # columns go by position: the files of a folder must agree on their header
        frame = spark.read.options(**options, enforceSchema=False).schema(frame.schema).csv(source)
    whole = [name for name, kind in frame.dtypes if name.lower() in AMOUNTS and kind in {"int", "bigint"}]
    return frame.withColumns({name: frame[name].cast("double") for name in whole}) if whole else frame


def has_line_breaks(spark: "SparkSession", source: str) -> bool:
    """Return whether a line of the source has an odd number of quotes: then a quoted value may go over several lines.

    To read such a file takes a single worker, so that only those that need it are read so.
    """
    lines = spark.read.options(recursiveFileLookup=True, **VERBATIM).text(source)
    return not lines.where("length(replace(value, '\"', '')) % 2 != length(value) % 2").isEmpty()


def transform(spark: "SparkSession", source: str, target: str) -> int:
    """Write the source, without the columns that are null throughout, over the target; return the number of rows."""
    frame = read_csv(spark, source)
    quoted = ["`" + name.replace("`", "``") + "`" for name in frame.columns]
    rows: int
    rows, *values = frame.selectExpr("count(*)", *(f"count({name})" for name in quoted)).head()
    kept = [name for name, count in zip(quoted, values, strict=True) if count]
    if not kept:  # before the write: an earlier run's output stands
        raise ValueError(f"No data in {source!r}: {rows} rows, all of them null")

    frame.select(*kept).write.mode("overwrite").parquet(target)

    written = spark.read.options(**VERBATIM).parquet(target).count()
    if written != rows:
        raise RuntimeError(
            f"{target!r} holds {written} rows, {source!r} had {rows}: another run wrote there, or the source changed, "
            "meanwhile. Run it again"
        )
    return rows


def main() -> None:
    """Run the job; any exception fails the run, and its message is the run's error message."""
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    args = getResolvedOptions(sys.argv, ["JOB_NAME", "BUCKET_NAME", "SRC_PREFIX", "TRG_PREFIX"])
    source = source_path(args["BUCKET_NAME"], args["SRC_PREFIX"])
    target = target_path(args["BUCKET_NAME"], args["TRG_PREFIX"], args["SRC_PREFIX"])

    glue = GlueContext(SparkContext.getOrCreate())
    job = Job(glue)
    job.init(args["JOB_NAME"], args)
    spark = glue.spark_session
    spark.conf.set("spark.sql.session.timeZone", "UTC")  # times as the file has them, without gaps for summer time
    rows = transform(spark, source, target)
    glue.get_logger().info(f"{rows} rows from {source!r} to {target!r}")
    job.commit()


if __name__ == "__main__":
    main()
