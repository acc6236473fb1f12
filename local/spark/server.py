"""A Spark that outlives its runs: `python -m local.spark.server ENDPOINT REGION`.

It prints the address of its gateway as one line of JSON. A line to its standard input cancels all runs in it, and the
end of that input ends it.
"""

import json
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from local.spark import engine


def main() -> None:
    """Start Spark, warm it up, and wait."""
    with tempfile.TemporaryDirectory(prefix="spark-") as scratch:
        tempfile.tempdir = scratch
        context = engine.start(*sys.argv[1:])
        warm_up(SparkSession(context), Path(scratch, "warm-up"))
        parameters = context._gateway.gateway_parameters
        sys.stdout.write(json.dumps({"port": parameters.port, "secret": parameters.auth_token}) + "\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            context._jvm.org.apache.spark.SparkContext.getOrCreate().cancelAllJobs()


def warm_up(spark: SparkSession, folder: Path) -> None:
    """Do the work of a job once: the first time takes seconds."""
    folder.mkdir()
    (folder / "in.csv").write_text("a,b\n1,x\n")
    lines = spark.read.text(str(folder / "in.csv"))
    # A lambda, because PySpark looks for a signature, and iter has none.
    same = lines.mapInArrow(lambda batches: iter(batches), "value string")  # noqa: PLW0108 - as said
    same.write.parquet(str(folder / "out"))
    spark.read.parquet(str(folder / "out")).groupBy("value").count().collect()


if __name__ == "__main__":
    main()
