"""One job run, in a process of its own: `python -m local.spark.run SCRIPT_LOCATION ERROR_FILE ARGUMENT…`.

The environment names the Spark, the endpoint, and the credentials of the job's role. The run prints to its standard
output and error. If it fails, the file gets the text of a job run's ErrorMessage.
"""

import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from py4j.protocol import Py4JJavaError

from local.spark import engine


def main() -> int:
    """Fetch the script and run it as Glue does: as the main program, with the run's arguments."""
    location, error_file, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="glue-run-") as scratch:
        try:
            script = fetch(location, Path(scratch))
            engine.join(os.environ)
            take_abbreviations()
            sys.argv = [str(script), *arguments]
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as ended:
            if ended.code in {None, 0}:
                return 0
            message = f"SystemExit: {ended.code}"
        except BaseException as error:  # noqa: BLE001 - any exception fails the run
            traceback.print_exc()
            message = describe(error)
        else:
            return 0
    Path(error_file).write_text(message)
    return 1


def take_abbreviations() -> None:
    """Let `--SRC` set SRC_PREFIX, as Glue 5.0's getResolvedOptions does; the one of awsglue 6.0 no longer does."""
    from awsglue.utils import getResolvedOptions  # noqa: PLC0415 - engine prepares its import

    getResolvedOptions.__defaults__ = (True,)


def fetch(location: str, folder: Path) -> Path:
    """Download the script with the job's role; a refusal of S3 is a RuntimeError."""
    parts = urlsplit(location)
    bucket, key = parts.netloc, parts.path.removeprefix("/")
    script = folder / (Path(key).name or "script")
    try:
        boto3.client("s3").download_file(bucket, key, str(script))
    except (BotoCoreError, ClientError, ValueError) as error:
        raise FetchError(f"Error downloading from S3 for bucket: {bucket}, key: {key}. {error}") from error
    return script


class FetchError(Exception):
    """The script is not in the job's place, or the job's role may not read it."""


def describe(error: BaseException) -> str:
    """Return an exception as the text of a job run's ErrorMessage: for one in Java, the innermost cause."""
    if isinstance(error, FetchError):
        return f"LAUNCH ERROR | {error}"
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        called = str(error).partition("\n")[0].removesuffix(".")
        return f"{called}. {cause.getMessage() or cause.toString()}"
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
