"""Every file of events/ in Lambda's own runtime, on the artifact of `sam build`: sam local invoke without Docker."""

import json
import os
import platform
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import stack as local_stack
from local.emulator import process
from local.emulator.process import REPOSITORY
from tests.integration.conftest import Arrivals

BUCKET = "glueworkshop-123456789012-us-east-2"
ARTIFACT = REPOSITORY / ".aws-sam" / "build" / "StartExecutionFunction"
ARCHITECTURE = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
RIE = next((REPOSITORY / ".venv" / "sam").glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"))
EVENTS = sorted((REPOSITORY / "events").glob("*.json"))
# Versions that the events name are not in the bucket of the test: such an object is gone.
EXPECTED = {
    "cloudtrail-complete-multipart-upload": "object_gone",
    "cloudtrail-put-object-access-denied": "failed_call",
    "malformed-no-key": "MalformedEventError",
    "object-created-copy-object": "object_gone",
    "object-created-folder-marker": "folder_marker",
    "object-created-put-versioned": "object_gone",
    "object-created-zero-bytes": "empty_object",
    "object-deleted": "not_an_arrival",
}


@pytest.fixture(scope="module")
def runtime(arrivals: Arrivals) -> Iterator[str]:
    """Run the function in the runtime interface emulator, in an environment that holds only the runtime client."""
    local_stack.make_bucket(arrivals.stack.cloud, BUCKET)
    for path in EVENTS:
        detail = json.loads(path.read_text())["detail"]
        found = detail.get("object") or detail.get("requestParameters")
        if key := found.get("key"):
            content = b"" if "zero-bytes" in path.name or key.endswith("/") else b"a,b\n1,2\n"
            arrivals.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    variables = arrivals.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    port, runtime_port = process.free_port(), process.free_port()
    environment = {
        "PATH": os.environ["PATH"],
        **arrivals.stack.cloud.environment,
        **variables,
        "SOURCE_BUCKET_NAME": BUCKET,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "LAMBDA_TASK_ROOT": str(ARTIFACT),
    }
    command = [
        *(str(RIE), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_port}"),
        *(
            str(REPOSITORY / ".venv" / "lambda" / "bin" / "python"),
            "-m",
            "awslambdaric",
            "handlers.start_execution.handler",
        ),
    ]
    with Path(".local", "runtime.log").open("w") as log:
        running = subprocess.Popen(command, cwd=ARTIFACT, env=environment, stdout=log, stderr=log)
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        running.terminate()
        running.wait(timeout=10)


def invoke(url: str, payload: bytes) -> Any:
    """Invoke the function, once the emulator is there."""
    request = urllib.request.Request(url, data=payload)  # noqa: S310 - the loopback address
    for _ in range(50):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
                return json.loads(answer.read())
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_every_event_is_answered(runtime: str, path: Path) -> None:
    """Outcome, reason and execution, or the one error for malformed events."""
    answer = invoke(runtime, path.read_bytes())

    expected = EXPECTED.get(path.stem)
    if expected is None:
        assert answer["outcome"] in {"started", "duplicate"}
        assert ":execution:glueworkshop:" in answer["execution_arn"]
    elif expected.endswith("Error"):
        assert expected == answer["errorType"]
    else:
        assert {"outcome": "skipped", "reason": expected, "execution_arn": None} == answer


def test_the_artifact_is_small_and_compiled(tmp_path: Path) -> None:
    """Under 9 MB zipped; every module has bytecode that is never checked against its source's time."""
    sources = [path for path in ARTIFACT.rglob("*.py") if "__pycache__" not in path.parts]

    assert Path(shutil.make_archive(str(tmp_path / "artifact"), "zip", ARTIFACT)).stat().st_size < 9_000_000
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert 0b01 == int.from_bytes(compiled.read_bytes()[4:8], "little"), source
    assert {"s3", "stepfunctions"} == {
        path.name for path in (ARTIFACT / "botocore" / "data").iterdir() if path.is_dir()
    }
