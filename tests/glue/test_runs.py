"""Glue job runs of the local cloud on a real Spark, and the deployed application end to end.

The witness is pandas: it reads the CSV and the Parquet, neither with our code nor with Spark's.
"""

import io
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from glue.ny_taxi_transformed import target_path
from local import stack
from tests.glue.conftest import PATIENCE, SCRIPT, SCRIPT_OF_A_RUN, TARGET, Runs
from tests.waiting import until

CSV = (
    'id,Straße,"Preis, netto",leer,bemerkung,wann\n'
    '1,Kölner Straße,"1,5",,"sagte ""nein""",2020-01-31 23:59:59\n'
    "2,,2.25,,ohne,2020-02-01 00:00:00\n"
    '3,Ährenweg,,,"zwei\nZeilen",\n'
)


def read(runs: Runs, bucket: str, source: str) -> list[Any]:
    import pandas  # noqa: PLC0415, ICN001 - lives in an environment of its own

    s3, folder = runs.client("s3"), target_path("", TARGET, source).removeprefix("s3:///")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=folder).get("Contents", [])]
    files = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys if key.endswith(".parquet")]
    return [pandas.read_parquet(io.BytesIO(file)) for file in files]


def test_an_upload_becomes_parquet(runs: Runs) -> None:
    """From the upload to the Parquet, through the trigger and the workflow: the rows are those that pandas reads."""
    import pandas  # noqa: PLC0415, ICN001 - lives in an environment of its own

    deployed = stack.deploy(runs.cloud)
    bucket, machine = deployed.outputs["SourceBucketName"], deployed.outputs["StateMachineArn"]
    key, sfn = "input/lab2/eventdriven/a b+c/Übung 100% \"x\" 'y'.csv", runs.client("stepfunctions")
    runs.client("s3").put_object(Bucket=bucket, Key=key, Body=CSV)

    def executions() -> list[dict[str, Any]]:
        listed = sfn.list_executions(stateMachineArn=machine)["executions"]
        return [sfn.describe_execution(executionArn=execution["executionArn"]) for execution in listed]

    until(lambda: [found for found in executions() if found["status"] != "RUNNING"], PATIENCE)
    assert [(key, "SUCCEEDED", None)] == [
        (json.loads(found["input"])["SRC_PREFIX"], found["status"], found.get("cause")) for found in executions()
    ]
    expected = pandas.read_csv(io.StringIO(CSV), dtype=str, keep_default_na=False, na_values=[""])
    [written] = read(runs, bucket, key)
    pandas.testing.assert_frame_equal(expected, written, check_dtype=False)


@pytest.mark.parametrize(
    ("missing", "effect", "service", "message"),
    [
        ("s3:PutObject", "Allow", "glue", "Status Code: 403"),
        ("s3:GetObject", "Allow", "glue", "LAUNCH ERROR | Error downloading from S3 for bucket: scripts, key: "),
        ("", "Allow", "lambda", "should be given assume role permissions for Glue"),
        ("", "Deny", "glue", "should be given assume role permissions for Glue"),
    ],
)
def test_what_the_role_may_not_do_fails_the_run(
    runs: Runs, missing: str, effect: str, service: str, message: str
) -> None:
    """With S3's own word for it, and nothing is written; a script that can't be fetched, and a role, is named."""
    key = f"elsewhere/{uuid.uuid4().hex}.csv"
    runs.client("s3").put_object(Bucket=runs.bucket, Key=key, Body=CSV)
    actions = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} - {missing}
    role = runs.role(*sorted(actions), service=f"{service}.amazonaws.com", effect=effect)

    run = runs.run(runs.job(SCRIPT.read_text(), role), key)

    said = run.get("ErrorMessage", "")
    # Of an error in Java, the innermost cause: a line, and no trace.
    assert ("FAILED", True, missing != "", 1) == (
        run["JobRunState"],
        message in said,
        "403" in said,
        len(said.splitlines()),
    ), said
    assert [] == read(runs, runs.bucket, key)


# An argument that begins like an option is that option to Glue 5.0: no parameter of a route may be called so.
ABBREVIATED = """
from awsglue.utils import getResolvedOptions
given = getResolvedOptions(["script", "--SRC_PREFIX", "key", "--SRC", "another"], ["SRC_PREFIX"])
raise SystemExit(given["SRC_PREFIX"])
"""


def test_a_script_that_fails(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exception is the run's error message; this is what a run's process does, but for joining Spark."""
    from local.spark import engine, run  # noqa: PLC0415 - lives in an environment of its own

    scripts = {
        "print('a'\n": "SyntaxError: '(' was never closed",
        "import nowhere\n": "ModuleNotFoundError: No module named 'nowhere'",
        "raise SystemExit(3)\n": "SystemExit: 3",
        "raise SystemExit\n": "",
        "assert __name__ == '__main__'\n": "",
        "from awsglue.utils import getResolvedOptions\ngetResolvedOptions(['x'], ['DATE'])\n": (
            "GlueArgumentError: the following arguments are required: --DATE"
        ),
        "import sys\nraise KeyError(*sys.argv[1:])\n": "KeyError: ('--a', '-b')",
        ABBREVIATED: "SystemExit: another",
    }
    for name, value in runs.cloud.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(engine, "join", lambda _: None)
    said = {}
    for number, script in enumerate(scripts):
        error_file = tmp_path / str(number)
        runs.client("s3").put_object(Bucket=runs.bucket, Key="a/script.py", Body=script)
        monkeypatch.setattr(sys, "argv", ["run", f"s3://{runs.bucket}/a/script.py", str(error_file), "--a", "-b"])
        code = run.main()
        said[script] = error_file.read_text() if code else ""

    assert [] == [
        (script, message, said[script])
        for script, message in scripts.items()
        if said[script][: len(message) or None] != message
    ]


def test_runs_do_not_see_each_other(runs: Runs, first_run: dict[str, Any]) -> None:
    """Neither settings nor views nor tasks nor a stopped Spark outlive a run, however it ends.

    Each has its own log, and its own arguments before those of the job.

    What a script prints is in Glue's output group, what it tells Glue's logger in its error group.
    """
    # As many tasks as Spark does at once.
    hangs = "spark.sparkContext.parallelize(range(2), 2).foreach(lambda _: time.sleep(600))"
    late = runs.run(runs.job(f"{SCRIPT_OF_A_RUN}{hangs}\n"), timeout=1)
    stops_itself = (
        "boto3.client('glue').batch_stop_job_run(JobName=given['--JOB_NAME'], JobRunIds=[given['--JOB_RUN_ID']])"
    )
    may_stop = runs.role("s3:*", "glue:*")
    stopped = runs.run(runs.job(f"{SCRIPT_OF_A_RUN}import boto3\n{stops_itself}\ntime.sleep(3)\n", may_stop))
    left = runs.run(runs.job(f"{SCRIPT_OF_A_RUN}spark.range(10).count()\nspark.stop()\nos._exit(7)\n"))
    last = runs.run(runs.job(SCRIPT_OF_A_RUN))
    # How a stopped run ends can be seen only after it has ended, and Glue says that it has at once.
    stopped = runs.look(stopped)

    assert [
        ("SUCCEEDED", None),
        ("TIMEOUT", None),
        ("STOPPED", None),
        ("FAILED", "The script ended with exit code 7"),
        ("SUCCEEDED", None),
    ] == [(run["JobRunState"], run.get("ErrorMessage")) for run in (first_run, late, stopped, left, last)]
    for run in (first_run, late, stopped, left, last):
        printed = [line.rsplit(maxsplit=2)[0] for line in runs.log(run, "output")]
        logged = [line.partition("INFO GlueLogger: ")[2] for line in runs.log(run, "error") if " GlueLogger: " in line]
        assert ([f"printed ü default {TARGET} {run['Id']}"], ["logged ü"]) == (printed, logged)
