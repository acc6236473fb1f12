"""Glue job runs, started by its API or by a workflow.

AWS: Step Functions starts a run with `glue:startJobRun` and, with `.sync`, waits for its end; a run that ends badly is
`States.TaskFailed` with the run as JSON for a cause. A job has at most `MaxConcurrentRuns` at a time, one by default,
and refuses or, where run queuing is on, queues what comes on top. GetJobRun shows what the run was given.

ministack: knows no `glue:startJobRun`, forgets the limit, and shows the job's values instead of the run's.

No Spark runs here, the script is never read. But a run reads its source as the script would: when nothing lies under
`--BUCKET_NAME` and `--SRC_PREFIX`, it fails with Spark's message.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable

from ministack.core.responses import error_response_json, json_response
from ministack.services import eventbridge, glue, s3, stepfunctions
from ministack.services.cloudformation import provisioners

from local.emulator import aws, seams, settings
from local.emulator.aws import Json, Response

type Handler = Callable[[Json], Response]

KEPT = ("ExecutionProperty", "ExecutionClass", "JobRunQueuingEnabled", "JobMode", "MaintenanceWindow", "LogUri")
ACTIVE = {"STARTING", "RUNNING", "STOPPING"}
ENDED = {"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR"}
DPUS = {"G.025X": 0.25, "G.1X": 1.0, "G.2X": 2.0, "G.4X": 4.0, "G.8X": 8.0, "Standard": 1.0}

_starting = threading.Lock()


class RefusedError(Exception):
    """Glue did not start the run: a code, as its API names it, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@seams.replaces(glue, "_create_job")
def create_job(original: Handler, data: Json) -> Response:
    """Keep the properties of the job that ministack forgets."""
    response = original(data)
    if response[0] == 200:  # noqa: PLR2004
        _keep(data["Name"], data)
    return response


@seams.replaces(glue, "_update_job")
def update_job(original: Handler, data: Json) -> Response:
    """Keep the properties of the job that ministack forgets."""
    response = original(data)
    if response[0] == 200:  # noqa: PLR2004
        _keep(data["JobName"], data.get("JobUpdate", {}))
    return response


def _keep(name: str, properties: Json) -> None:
    job = glue._jobs[name]
    job.setdefault("ExecutionProperty", {"MaxConcurrentRuns": 1})
    job.update({key: properties[key] for key in KEPT if key in properties})


@seams.replaces(glue, "_start_job_run")
def start_job_run(_original: Handler, data: Json) -> Response:
    """Answer StartJobRun."""
    try:
        run = _start(data)
    except RefusedError as refused:
        return _error(refused.code, str(refused))
    return _answer({"JobRunId": run["Id"]})


def start_from_workflow(resource: str, parameters: Json) -> Json:
    """Do what the task `glue:startJobRun` or `glue:startJobRun.sync` does."""
    try:
        run = _start(parameters)
    except RefusedError as refused:
        cause = f"{refused} (Service: AWSGlue; Status Code: 400; Error Code: {refused.code})"
        raise stepfunctions._ExecutionError(f"Glue.{refused.code}", cause) from refused
    if not resource.endswith(".sync"):
        return {"JobRunId": run["Id"]}
    while run["JobRunState"] not in ENDED:
        time.sleep(0.02)
    result = _as_task_result(run)
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
        run = _new_run(job, request)
        if _is_full(job):
            if not request.get("JobRunQueuingEnabled", job.get("JobRunQueuingEnabled", False)):
                raise RefusedError("ConcurrentRunsExceededException", f"Concurrent runs exceeded for {name}")
            run["JobRunState"] = "WAITING"
        glue._job_runs.setdefault(name, []).append(run)
    aws.in_background(_run, job, run)
    return run


def _is_full(job: Json) -> bool:
    active = sum(run["JobRunState"] in ACTIVE for run in glue._job_runs.get(job["Name"], []))
    # A parameter of the template comes as text.
    return active >= int(job.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1))


def _new_run(job: Json, request: Json) -> Json:
    now = time.time()
    workers = int(request.get("NumberOfWorkers") or job.get("NumberOfWorkers") or 2)
    kind = request.get("WorkerType") or job.get("WorkerType") or "G.1X"
    capacity = request.get("MaxCapacity") or workers * DPUS.get(kind, 1.0)
    return {
        "Id": f"jr_{secrets.token_hex(32)}",
        "Attempt": 0,
        "JobName": job["Name"],
        "StartedOn": now,
        "LastModifiedOn": now,
        "JobRunState": "STARTING",
        # Only the run's own: GetJobRun does not repeat the job's defaults.
        "Arguments": request.get("Arguments", {}),
        "PredecessorRuns": [],
        "AllocatedCapacity": int(capacity),
        "ExecutionTime": 0,
        "Timeout": int(request.get("Timeout") or job.get("Timeout") or 2880),
        "MaxCapacity": float(capacity),
        "WorkerType": kind,
        "NumberOfWorkers": workers,
        "LogGroupName": "/aws-glue/jobs",
        "GlueVersion": job.get("GlueVersion", "4.0"),
        "ExecutionClass": request.get("ExecutionClass") or job.get("ExecutionClass") or "STANDARD",
    }


def _run(job: Json, run: Json) -> None:
    while run["JobRunState"] == "WAITING":
        with _starting:
            if not _is_full(job):
                run["JobRunState"] = "STARTING"
        time.sleep(0.02)
    if run["JobRunState"] == "STARTING":
        run["JobRunState"] = "RUNNING"
    time.sleep(settings.number("GLUE_RUN_SECONDS"))
    missing = _missing_source({**job.get("DefaultArguments", {}), **run["Arguments"]})
    run["CompletedOn"] = run["LastModifiedOn"] = time.time()
    run["ExecutionTime"] = int(run["CompletedOn"] - run["StartedOn"])
    if missing:
        run["ErrorMessage"] = f"AnalysisException: Path does not exist: {missing}"
    if run["JobRunState"] == "RUNNING":
        run["JobRunState"] = "FAILED" if missing else "SUCCEEDED"
    _report(run)


def _missing_source(arguments: dict[str, str]) -> str | None:
    """Return the URL that the script would not find; a job without these arguments reads nothing."""
    bucket, path = arguments.get("--BUCKET_NAME"), arguments.get("--SRC_PREFIX")
    if bucket is None or path is None:
        return None
    objects = (s3._buckets.get(bucket) or {"objects": {}})["objects"]
    folder = path.rstrip("/") + "/"
    found = path in objects or any(key.startswith(folder) for key in list(objects))
    return None if found else f"s3://{bucket}/{path}"


def _report(run: Json) -> None:
    """Send the event that AWS sends at the end of a run."""
    state = run["JobRunState"]
    message = "Job run succeeded" if state == "SUCCEEDED" else run.get("ErrorMessage", "")
    detail = {
        "jobName": run["JobName"],
        "severity": "INFO" if state == "SUCCEEDED" else "ERROR",
        "state": state,
        "jobRunId": run["Id"],
        "message": message,
    }
    entry = {"Source": "aws.glue", "DetailType": "Glue Job State Change", "Detail": json.dumps(detail)}
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def _as_task_result(run: Json) -> Json:
    """Return the run as a workflow sees it: times in epoch milliseconds."""
    times = ("StartedOn", "LastModifiedOn", "CompletedOn")
    return {key: int(value * 1000) if key in times else value for key, value in sorted(run.items())}


def _answer(content: Json) -> Response:
    response: Response = json_response(content)
    return response


def _error(code: str, message: str) -> Response:
    response: Response = error_response_json(code, message, 400)
    return response


@seams.replaces(provisioners, "_glue_job_fields")
def job_fields(original: Callable[[Json], Json], properties: Json) -> Json:
    """Let the properties through that ministack's CloudFormation drops."""
    return original(properties) | {key: properties[key] for key in KEPT if key in properties}
