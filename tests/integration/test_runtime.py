"""Every file of events/ in Lambda's own runtime, on the artifact of `sam build`: sam local invoke without Docker."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import gauges
from local import runtime as local_runtime
from local import stack as local_stack
from local.emulator.process import REPOSITORY
from local.runtime import Runtime, RuntimeFailedError
from local.stack import ARTIFACT
from tests.integration.stacks import Arrivals

BUCKET = "glueworkshop-123456789012-us-east-2"
LOG = Path(".local", "runtime.log")
# The machine field of an ELF header: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {"x86_64": 62, "aarch64": 183}
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
def runtime(arrivals: Arrivals) -> Iterator[Runtime]:
    local_stack.make_bucket(arrivals.stack.cloud, BUCKET)
    for path in EVENTS:
        detail = json.loads(path.read_text())["detail"]
        found = detail.get("object") or detail.get("requestParameters")
        if key := found.get("key"):
            content = b"" if "zero-bytes" in path.name or key.endswith("/") else b"a,b\n1,2\n"
            arrivals.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    variables = arrivals.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    environment = {
        **arrivals.stack.cloud.environment,
        **variables,
        "SOURCE_BUCKET_NAME": BUCKET,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
    }
    artifact = local_stack.with_routes(local_stack.NO_ROUTES, "runtime") / ARTIFACT.name
    with local_runtime.run(artifact, "handlers.start_execution.handler", environment, LOG) as running:
        yield running


def test_every_event_is_answered(runtime: Runtime) -> None:
    """Outcome, reason and execution, or the one error for malformed events."""
    answers = {path.stem: runtime.invoke(path.read_bytes()) for path in EVENTS}
    started = answers.keys() - EXPECTED.keys()

    assert {
        name: answer.get("errorType") or answer["reason"] for name, answer in answers.items()
    } == EXPECTED | dict.fromkeys(started)
    assert [] == [
        (name, answers[name])
        for name in started
        if answers[name]["outcome"] not in {"started", "duplicate"}
        or ":execution:glueworkshop:" not in answers[name]["execution_arn"]
    ]


def test_a_runtime_that_fails_says_why(tmp_path: Path) -> None:
    """Lambda would send the event again; here it is sent once, so that nothing is hidden."""
    code = "import os\ndef handler(event, _):\n    open(event, 'a').write('x')\n    os._exit(1)"
    (tmp_path / "app.py").write_text(code)
    calls = tmp_path / "calls"
    environment = {"AWS_LAMBDA_FUNCTION_TIMEOUT": "60"}

    with (
        local_runtime.run(tmp_path, "app.handler", environment, tmp_path / "log") as failing,
        pytest.raises(RuntimeFailedError, match=r"Runtime\.ExitError"),
    ):
        failing.invoke(json.dumps(str(calls)).encode())
    assert "x" == calls.read_text()


def test_the_benchmark_reads_the_runtime(runtime: Runtime) -> None:
    """One duration for init and one for each event, from the emulator's log; CPU and memory of the real process."""
    payload = (REPOSITORY / "events" / "object-deleted.json").read_bytes()
    runtime.invoke(payload)
    before = len(gauges.durations(LOG)[1])
    used = gauges.cpu(runtime.process())
    for _ in range(3):
        runtime.invoke(payload)
    init, events = gauges.durations(LOG)

    assert 3 == len(events) - before
    assert min(init, *events) > 0
    assert 0 < used < gauges.cpu(runtime.process())
    assert 20 < gauges.peak_memory(runtime.process()) < 512


def test_the_artifact_is_small_and_runs_on_both_architectures(tmp_path: Path) -> None:
    """Under 9 MB zipped, without what no function reads; each native module for both, as Python looks for it."""
    native = {
        path.relative_to(ARTIFACT).as_posix(): int.from_bytes(path.read_bytes()[18:20], "little")
        for path in ARTIFACT.rglob("*.so")
    }
    modules = {name.partition(".")[0] for name in native}

    assert Path(shutil.make_archive(str(tmp_path / "artifact"), "zip", ARTIFACT)).stat().st_size < 9_000_000
    assert {"data", "examples"}.isdisjoint(path.name for path in (ARTIFACT / "boto3").iterdir())
    assert modules
    assert native == {
        f"{name}.cpython-313-{machine}-linux-gnu.so": number for name in modules for machine, number in MACHINES.items()
    }
