"""Glue job runs that a workflow starts.

AWS: Step Functions starts a run with `glue:startJobRun` and, with `.sync`, waits for its end. A failed run is
`States.TaskFailed`, and its cause is the run as JSON. A job has at most `MaxConcurrentRuns` at a time, one by default,
and refuses further starts. No run is queued: the template turns `JobRunQueuingEnabled` off.

ministack: knows no `glue:startJobRun`, forgets the limit, and its runs take no time.

With the setting `GLUE_RUNS=spark` the job's script runs (`spark_runs.py`). Without it the script is not read, but a run
looks for its source: if nothing is under `--BUCKET_NAME` and `--SRC_PREFIX`, it fails with Spark's message. A run takes
`GLUE_RUN_SECONDS`, or the `run-seconds` in the source object's own metadata, so a test can act during a run.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable

from ministack.core.responses import error_response_json, json_response
from ministack.services import glue, s3, stepfunctions
from ministack.services.cloudformation import provisioners

from local.emulator import aws, seams, settings, spark_runs
from local.emulator.aws import Json, Response
from local.emulator.spark_runs import End

KEPT = ("ExecutionProperty",)
ACTIVE = {"STARTING", "RUNNING"}
ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR"}

_starting = threading.Lock()


class RefusedError(Exception):
    """Glue did not start the run: a code, as its API names it, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@seams.replaces(glue, "_start_job_run")
def start_job_run(_original: object, data: Json) -> Response:
    """Answer StartJobRun."""
    try:
        response: Response = json_response({"JobRunId": _start(data)["Id"]})
    except RefusedError as refused:
        response = error_response_json(refused.code, str(refused), 400)
    return response


def start_from_workflow(resource: str, parameters: Json) -> Json:
    """Run the task `glue:startJobRun` or `glue:startJobRun.sync`."""
    try:
        run = _start(parameters)
    except RefusedError as refused:
        cause = f"{refused} (Service: AWSGlue; Status Code: 400; Error Code: {refused.code})"
        raise stepfunctions._ExecutionError(f"Glue.{refused.code}", cause) from refused
    if not resource.endswith(".sync"):
        return {"JobRunId": run["Id"]}
    while run["JobRunState"] not in ENDED:
        time.sleep(0.02)
    times = ("StartedOn", "LastModifiedOn", "CompletedOn")
    # Times are in epoch milliseconds.
    result = {key: int(value * 1000) if key in times else value for key, value in sorted(run.items())}
    if run["JobRunState"] != "SUCCEEDED":
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(result))
    return result


seams.adds(stepfunctions, "_SERVICE_DISPATCH", "arn:aws:states:::glue:startJobRun", start_from_workflow)


def _start(request: Json) -> Json:
    name = request.get("JobName", "")
    with _starting:
        job = glue._jobs.get(name)
        if job is None:
            raise RefusedError("EntityNotFoundException", "Failed to start job run due to missing metadata")
        if _is_full(job):
            raise RefusedError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
        run = _new_run(job, request)
        glue._job_runs.setdefault(name, []).append(run)
    aws.in_background(_live, job, run)
    return run


def _is_full(job: Json) -> bool:
    active = sum(run["JobRunState"] in ACTIVE for run in glue._job_runs.get(job["Name"], []))
    # A parameter of the template comes as text.
    return active >= int(job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1))


def _new_run(job: Json, request: Json) -> Json:
    now = time.time()
    workers = int(request.get("NumberOfWorkers") or job.get("NumberOfWorkers") or 2)
    return {
        "Id": f"jr_{secrets.token_hex(32)}",
        "JobName": job["Name"],
        "StartedOn": now,
        "LastModifiedOn": now,
        "JobRunState": "STARTING",
        # Only the run's own: GetJobRun does not repeat the job's defaults.
        "Arguments": request.get("Arguments", {}),
        "MaxCapacity": float(workers),
        "WorkerType": request.get("WorkerType") or job.get("WorkerType") or "G.1X",
        "NumberOfWorkers": workers,
        "Timeout": int(request.get("Timeout") or job.get("Timeout") or 2880),
        "GlueVersion": job.get("GlueVersion", "5.0"),
    }


def _live(job: Json, run: Json) -> None:
    """Carry the run out, and say how it ended."""
    execute = spark_runs.carry_out if settings.text("GLUE_RUNS") == "spark" else simulate
    state, message = execute(job, run)
    run["CompletedOn"] = run["LastModifiedOn"] = time.time()
    run["ExecutionTime"] = int(run["CompletedOn"] - run["StartedOn"])
    if message:
        run["ErrorMessage"] = message
    run["JobRunState"] = state


def simulate(job: Json, run: Json) -> End:
    """Take the time of a run, look at its source, and return how it ended."""
    run["JobRunState"] = "RUNNING"
    arguments = {**job.get("DefaultArguments", {}), **run["Arguments"]}
    bucket, path = arguments.get("--BUCKET_NAME"), arguments.get("--SRC_PREFIX")
    objects = (s3._buckets.get(bucket) or {"objects": {}})["objects"]
    metadata = objects.get(path, {}).get("metadata", {})
    time.sleep(float(metadata.get("x-amz-meta-run-seconds", settings.number("GLUE_RUN_SECONDS"))))
    if bucket is None or path is None:
        return "SUCCEEDED", None
    folder = path.rstrip("/") + "/"
    if path in objects or any(key.startswith(folder) for key in list(objects)):
        return "SUCCEEDED", None
    return "FAILED", f"AnalysisException: Path does not exist: s3://{bucket}/{path}"


@seams.replaces(provisioners, "_glue_job_fields")
def job_fields(original: Callable[[Json], Json], properties: Json) -> Json:
    """Let the properties through that ministack's CloudFormation drops."""
    return original(properties) | {key: properties[key] for key in KEPT if key in properties}


@seams.replaces(glue, "_create_job")
def create_job(original: Callable[[Json], Response], data: Json) -> Response:
    """Keep the property of a new job that ministack forgets."""
    response = original(data)
    _keep(data["Name"], data)
    return response


@seams.replaces(glue, "_update_job")
def update_job(original: Callable[[Json], Response], data: Json) -> Response:
    """Keep the property of a changed job that ministack forgets."""
    response = original(data)
    _keep(data["JobName"], data["JobUpdate"])
    return response


def _keep(name: str, properties: Json) -> None:
    glue._jobs[name].update({key: properties[key] for key in KEPT if key in properties})
