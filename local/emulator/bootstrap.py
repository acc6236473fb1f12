"""The runtime of a function: runs in the function's interpreter and speaks ministack's protocol.

Each message is one JSON line. In: the handler's place, then an event and its context for each invocation. Out: `ready`
or `error`, then a result for each. The function's output goes to standard error, where a mark ends each invocation. It
may import only Python 3.13's standard library.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

END_OF_LOG = "\x1e"


class Context:
    """The context object of an invocation."""

    identity = None
    client_context = None

    def __init__(self, function: dict[str, Any], invocation: dict[str, Any]) -> None:
        """Take both from the messages."""
        self.function_name = function["function_name"]
        self.function_version = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        self.memory_limit_in_mb = str(function["memory"])
        self.invoked_function_arn = invocation["invoked_function_arn"]
        self.aws_request_id = invocation["request_id"]
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", f"/aws/lambda/{self.function_name}")
        self.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        self._deadline = time.monotonic() + invocation["timeout_ms"] / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the timeout."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main() -> None:
    """Load the handler and invoke it until no more events come."""
    answers, sys.stdout = sys.stdout, sys.stderr
    function = json.loads(sys.stdin.readline())
    os.environ.update(function["env"])
    sys.path.insert(0, function["code_dir"])
    try:
        handler = getattr(importlib.import_module(function["module"]), function["handler"])
    except BaseException as error:  # noqa: BLE001 - the invocation must get any exception
        traceback.print_exc()
        kind = "Runtime.ImportModuleError" if isinstance(error, ImportError) else f"Runtime.{type(error).__name__}"
        _answer(
            answers, {"status": "error", "error": f"{kind}: Unable to import module '{function['module']}': {error}"}
        )
        return
    _answer(answers, {"status": "ready", "cold": True})
    for line in sys.stdin:
        message = json.loads(line)
        _set_trace(message["ctx"].get("trace_id"))
        result = _invoke(handler, message["event"], Context(function, message["ctx"]))
        sys.stderr.write(f"{END_OF_LOG}\n")
        sys.stderr.flush()
        # Always `ok`: on an error ministack would end this process.
        _answer(answers, {"status": "ok", "result": result})


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _set_trace(header: str | None) -> None:
    os.environ.pop("_X_AMZN_TRACE_ID", None)
    if header:
        os.environ["_X_AMZN_TRACE_ID"] = header


def _invoke(handler: Callable[[Any, Context], Any], event: object, context: Context) -> Any:
    try:
        result = handler(event, context)
        json.dumps(result)
    except Exception as error:  # noqa: BLE001 - any exception of the function's
        return {"_function_error": _described(error, context)}
    return result


def _described(error: Exception, context: Context) -> dict[str, Any]:
    """Log the error as the runtime does, and return its answer."""
    kind, message = type(error).__name__, str(error)
    # The first frame is ours.
    stack = traceback.format_tb(error.__traceback__)[1:]
    sys.stderr.write(f"[ERROR] {kind}: {message}\nTraceback (most recent call last):\n{''.join(stack)}")
    return {"errorMessage": message, "errorType": kind, "requestId": context.aws_request_id, "stackTrace": stack}


if __name__ == "__main__":
    main()
