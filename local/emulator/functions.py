"""Functions: asynchronous invocation, errors, logs, and the number that run at once.

AWS: an event is tried three times under one request id, and a throttled one until it is too old. Then it goes to the
`OnFailure` destination with the function's role. An error has the exception's name and stack and is logged; the
environment survives it, but not a crash or a timeout.

ministack: counts a throttle as an attempt, always says three attempts, leaves out version, timestamp and request id,
calls every error `Runtime.HandlerError`, ends the environment after each, may lose the last log lines, and starts as
many processes as there are events. Functions see the packages of the emulator. It unpacks the code for every
environment, which takes longer than everything else.

If more than `LAMBDA_MAX_WORKERS` run at once, further invocations wait. AWS would throttle them instead. A function
that invokes functions synchronously could wait for ever here.
"""

import contextvars
import hashlib
import queue
import random
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import lambda_svc

from local.emulator import aws, deliveries, roles, seams, settings
from local.emulator.aws import Json

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
END_OF_LOG = "\x1e"
"""The line that the bootstrap prints after the last line of an invocation."""

_request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)
_environments = threading.Semaphore(int(settings.number("LAMBDA_MAX_WORKERS")))


# ── Asynchronous invocation ──


@seams.replaces(lambda_svc, "invoke_async_with_retry")
def invoke_async_with_retry(_original: object, function: Json, event: object) -> None:
    """Queue an event for a function."""
    aws.in_background(_work_off, function, event, time.monotonic())


def _work_off(function: Json, event: object, received: float) -> None:
    config = function["config"]
    options = _event_invoke_config(function)
    attempts = 1 + int(options.get("MaximumRetryAttempts", 2))
    give_up = received + int(options.get("MaximumEventAgeInSeconds", 21_600))
    request_id = new_uuid()
    _request_id.set(request_id)
    count, result, condition = 0, {}, "RetriesExhausted"
    while count < attempts:
        result = lambda_svc._execute_function(function, event)
        if result.get("throttle"):
            pause = random.uniform(0.05, 0.2)  # noqa: S311 - no secret
        else:
            count += 1
            if not result.get("error"):
                return
            pause = lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS * 2 ** (count - 1)
        if count < attempts:
            if time.monotonic() + pause > give_up:
                condition = "EventAgeExceeded"
                break
            time.sleep(pause)
    _report_failure(function, options, _failure_record(config, request_id, condition, count, event, result))


def _event_invoke_config(function: Json) -> Json:
    by_qualifier = function.get("event_invoke_configs") or {}
    options: Json = function.get("event_invoke_config") or by_qualifier.get("$LATEST") or {}
    return {name: value for name, value in options.items() if value is not None}


def _failure_record(config: Json, request_id: str, condition: str, count: int, event: object, result: Json) -> Json:
    version = config.get("Version", "$LATEST")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    record: Json = {
        "version": "1.0",
        "timestamp": now.replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{config['FunctionArn']}:{version}",
            "condition": condition,
            "approximateInvokeCount": count,
        },
        "requestPayload": event,
    }
    if count:
        record["responseContext"] = {"statusCode": 200, "executedVersion": version, "functionError": "Unhandled"}
        record["responsePayload"] = result.get("body")
    return record


def _report_failure(function: Json, options: Json, record: Json) -> None:
    """Send the record to the destination, if it is a queue that the function's role may send to."""
    config = function["config"]
    queue = options.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if queue and not roles.denial(config["Role"], "sqs:SendMessage", queue, session=config["FunctionName"]):
        deliveries.send(queue, aws.compact(record))


@seams.replaces(lambda_svc, "_execute_function_dispatch")
def execute_function_dispatch(
    original: Callable[..., Json], function: Json, config: Json, event: object, request_id: str, started: float
) -> Json:
    """Keep the request id over the attempts of an asynchronous invocation."""
    return original(function, config, event, _request_id.get() or request_id, started)


# ── The environment of a function ──


@seams.replaces(lambda_runtime, "_detect_runtime_binary")
def detect_runtime_binary(original: Callable[[str], tuple[str, str]], runtime: str) -> tuple[str, str]:
    """Run Python functions with our own bootstrap, in an interpreter without packages."""
    if runtime.startswith("python"):
        return settings.function_python(), BOOTSTRAP.read_text()
    return original(runtime)


class UnpackedOnce(zipfile.ZipFile):
    """An archive that is unpacked once, however often its content is asked for: code is read only."""

    unpacking = threading.Lock()

    def extractall(self, path: Any = None, *_: Any) -> None:
        """Put a link in the place of an empty folder."""
        content = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        once = Path(tempfile.gettempdir(), f"code-{content}")
        with self.unpacking:
            if not once.exists():
                super().extractall(once)
        Path(path).rmdir()
        Path(path).symlink_to(once)


seams.sets(lambda_runtime, "zipfile", SimpleNamespace(**{**vars(zipfile), "ZipFile": UnpackedOnce}))


@seams.replaces(lambda_svc, "_execute_function_warm")
def execute_function_warm(original: Callable[..., Json], function: Json, event: object, request_id: str) -> Json:
    """Invoke the function when there is room, and name its error as AWS does."""
    with _environments:
        result = original(function, event, request_id)
    content = result.get("body")
    if isinstance(content, dict) and "_function_error" in content:
        return {**result, "body": content["_function_error"], "error": True}
    if result.get("error") and not result.get("throttle"):
        message = content.get("errorMessage", "") if isinstance(content, dict) else ""
        error, text = _environment_error(str(message), request_id)
        return {**result, "body": {"errorType": error, "errorMessage": text}, "log": f"{result['log']}\n{text}".strip()}
    return result


def _environment_error(message: str, request_id: str) -> tuple[str, str]:
    """Return type and message of an error that did not come from the handler itself."""
    if "Task timed out" in message:
        return "Sandbox.Timedout", f"RequestId: {request_id} Error: {message}"
    if message.startswith("Worker init failed: "):
        kind, _, text = message.removeprefix("Worker init failed: ").partition(": ")
        return kind, text
    return "Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited with error: {message}"


@seams.replaces(lambda_runtime.Worker, "_drain_stderr_bounded")
def drain_stderr(_original: object, worker: Any, *_: float) -> str:
    """Read the log up to its end, which the bootstrap marks, instead of waiting for a pause; a crash leaves no mark."""
    lines: list[str] = []
    try:
        while (line := worker._stderr_queue.get(timeout=0.25)) != END_OF_LOG:
            lines.append(line)
    except queue.Empty:
        pass
    return "\n".join(lines)
