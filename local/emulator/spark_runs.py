"""Real Glue job runs: the job's own script on Spark, with the permissions of the job's role.

AWS: a run gets the script from `ScriptLocation` and runs it with the job's role. The run's arguments replace those of
the job. The error is the run's `ErrorMessage`; after `Timeout` minutes the run is stopped. The log group
/aws-glue/jobs/output has the script's output, /aws-glue/jobs/error the lines of Spark and of Glue's logger, both under
RUN_ID-driver: https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html

One Spark serves all runs, one after the other, because its start takes some ten seconds. Each run is a process of its
own.
Not proven: the text of an ErrorMessage is the script's own exception, or the innermost one in Java. Glue puts a
category in front.
"""

import json
import os
import secrets
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from ministack.services import cloudwatch_logs, iam, sts

from local.emulator import settings
from local.emulator.aws import Json

type End = tuple[str, str | None]
"""The state that a run ends in, and its error message."""

PYTHON = settings.REPOSITORY / ".venv" / "spark" / "bin" / "python"
ENDPOINT = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}"

_turn = threading.Lock()


class _Spark:
    """A running Spark, and its log."""

    def __init__(self) -> None:
        """Start it; returns when it is warm."""
        command: list[str | Path] = [PYTHON, "-m", "local.spark.server", ENDPOINT, settings.REGION]
        self.process = _start(command, {}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.log: list[str] = []
        threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True).start()
        ready = self.process.stdout.readline()
        if not ready:
            raise RuntimeError(f"Spark did not start: {''.join(self.log)[-2000:]}")
        self.gateway: Json = json.loads(ready)

    def _read(self, stream: IO[str]) -> None:
        self.log.extend(stream)

    def cancel(self) -> None:
        """Stop the leftovers of a run in it."""
        assert self.process.stdin is not None
        self.process.stdin.write("cancel\n")
        self.process.stdin.flush()


_sparks: list[_Spark] = []


def _spark() -> _Spark:
    """Return the one that is up, or start one."""
    if not _sparks or _sparks[-1].process.poll() is not None:
        _sparks.append(_Spark())
    return _sparks[-1]


def start_early() -> None:
    """Start Spark before the first run needs it."""

    def start() -> None:
        with _turn:
            _spark()

    threading.Thread(target=start, daemon=True).start()


def carry_out(job: Json, run: Json) -> End:
    """Run the job's script to its end; until its turn comes the run is starting.

    `job` and `run` are as GetJob and GetJobRun show them.
    """
    with _turn:
        try:
            spark = _spark()
            if run["JobRunState"] != "STARTING":
                return run["JobRunState"], None
            credentials = _assume(job["Role"], run["Id"])
        except (PermissionError, RuntimeError) as error:
            return "FAILED", str(error)
        run["JobRunState"] = "RUNNING"
        logged = len(spark.log)
        with tempfile.TemporaryDirectory(prefix="glue-", ignore_cleanup_errors=True) as scratch:
            output, error_file = Path(scratch, "output"), Path(scratch, "error")
            command = [PYTHON, "-m", "local.spark.run", job["Command"]["ScriptLocation"], error_file]
            arguments = {**job.get("DefaultArguments", {}), **run["Arguments"], "--JOB_RUN_ID": run["Id"]}
            command += [part for pair in arguments.items() for part in pair]
            gateway = {
                "PYSPARK_GATEWAY_PORT": str(spark.gateway["port"]),
                "PYSPARK_GATEWAY_SECRET": spark.gateway["secret"],
            }
            with output.open("w") as stream:
                process = _start(command, credentials | gateway, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
                state = _wait(process, run)
            if state != "RUNNING":
                spark.cancel()
            _log("output", run, output.read_text(errors="replace").splitlines())
            _log("error", run, [line.rstrip("\n") for line in spark.log[logged:]])
            if state != "RUNNING":
                return state, None
            if process.returncode == 0:
                return "SUCCEEDED", None
            unsaid = f"The script ended with exit code {process.returncode}"
            return "FAILED", error_file.read_text() if error_file.exists() else unsaid


def _start(command: list[str | Path], environment: dict[str, str], **streams: int | IO[str]) -> subprocess.Popen[str]:
    """Start one of Spark's processes; it gets only the variables of our environment that any program needs."""
    base = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ},
        "LC_ALL": "C.UTF-8",
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_REGION": settings.REGION,
        "AWS_DEFAULT_REGION": settings.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return] # noqa: S603 - our own interpreter and modules
        command, cwd=settings.REPOSITORY, env=base | environment, text=True, encoding="utf-8", **streams
    )


def _wait(process: subprocess.Popen[str], run: Json) -> str:
    """Wait for the end of the process; stop it when its time is up or the run was stopped. Return the run's state."""
    deadline = time.monotonic() + run["Timeout"] * settings.number("GLUE_SECONDS_A_MINUTE")
    while process.poll() is None:
        if run["JobRunState"] != "RUNNING" or time.monotonic() > deadline:
            process.kill()
            process.wait()
            return "TIMEOUT" if run["JobRunState"] == "RUNNING" else run["JobRunState"]
        time.sleep(0.02)
    return "RUNNING"


def _assume(role: str, session: str) -> dict[str, str]:
    """Assume the job's role as the service does; raises PermissionError when its trust policy does not let Glue."""
    name = role.rsplit("/", 1)[-1]
    known = iam._roles.get(name)
    if known is None or not _trusts_glue(known["AssumeRolePolicyDocument"]):
        raise PermissionError(f"Role {role} should be given assume role permissions for Glue Service.")
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
    described = {
        "Arn": f"arn:aws:sts::{settings.ACCOUNT}:assumed-role/{name}/{session[:64]}",
        "UserId": f"{name}:{session[:64]}",
        "SecretAccessKey": secret,
        "SessionToken": token,
        "AccountId": settings.ACCOUNT,
        "PrincipalType": "AssumedRole",
    }
    sts.register_session(key, described)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def _trusts_glue(policy: str | Json) -> bool:
    """Return whether a trust policy names the service; ministack's own evaluation knows no services."""
    document = json.loads(policy) if isinstance(policy, str) else policy
    return any(
        statement["Effect"] == "Allow" and "glue.amazonaws.com" in json.dumps(statement.get("Principal", {}))
        for statement in document["Statement"]
    )


def _log(group: str, run: Json, lines: list[str]) -> None:
    """Put lines into one of Glue's log groups."""
    name = {"logGroupName": f"/aws-glue/jobs/{group}", "logStreamName": f"{run['Id']}-driver"}
    cloudwatch_logs._create_log_group(name)
    cloudwatch_logs._create_log_stream(name)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": line} for line in lines if line.strip()]
    cloudwatch_logs._put_log_events(name | {"logEvents": events})


if settings.text("GLUE_RUNS") == "spark":
    start_early()
