"""Measure the function beside its peers, in Lambda's own runtime, all in one interleaved run.

Cold is the runtime's CPU from process start to the end of the first event; warm is CPU and latency per event after it.
CPU is read from the kernel, so it does not depend on neighbours as much as time does; quote the ratios. The artifacts are
read-only in effect: no bytecode is written.
"""

import argparse
import compileall
import json
import os
import py_compile
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import stub
from local import stack
from local.emulator.process import REPOSITORY, free_port

PEERS = REPOSITORY / "benchmarks" / "peers"
EVENT = (REPOSITORY / "events" / "object-created-put.json").read_bytes()
OURS = REPOSITORY / ".aws-sam" / "build" / "StartExecutionFunction"
RIE = next((REPOSITORY / ".venv" / "sam").glob("lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-x86_64"))
PYTHON = REPOSITORY / ".venv" / "lambda" / "bin" / "python"
ROUTE = {
    "ACCOUNT_ID": "123456789012",
    "SOURCE_BUCKET_NAME": "glueworkshop-123456789012-us-east-2",
    "SOURCE_PREFIX": "input/lab2/eventdriven/",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop",
    "JOB_NAME": "ny-taxi-transformed-console-jb",
    "TARGET_PREFIX": "target/event-transformed",
    "GLUE_MAX_CAPACITY_DPUS": "2",
    "POWERTOOLS_SERVICE_NAME": "glueworkshop",
    "POWERTOOLS_TRACE_DISABLED": "true",
}


@dataclass
class Contender:
    """An artifact, its handler, and what was measured: CPU in ms, latency in ms, memory in MB."""

    name: str
    artifact: Path
    handler: str
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    calls: float = 0


def main() -> None:
    """Prepare the artifacts, measure in turn, print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="cold starts of each (%(default)s)")
    parser.add_argument("--events", type=int, default=200, help="warm events of each round (%(default)s)")
    arguments = parser.parse_args()
    stack.build()
    endpoint = stub.serve()
    with tempfile.TemporaryDirectory() as scratch:
        contenders = prepare(Path(scratch))
        for number in range(arguments.rounds):
            for contender in contenders:
                print(f"round {number + 1}/{arguments.rounds}: {contender.name:<60}", end="\r", file=sys.stderr)
                measure(contender, endpoint, arguments.events)
        print(table(contenders))


def prepare(scratch: Path) -> list[Contender]:
    """Make one artifact a peer."""
    bare = install(scratch / "bare", "boto3")
    compiled = scratch / "compiled"
    shutil.copytree(bare, compiled)
    compileall.compile_dir(compiled, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    typical = install(scratch / "typical", "boto3", "aws-lambda-powertools[all]")
    plain = install(scratch / "plain", "-r", str(REPOSITORY / "src" / "requirements.txt"))
    for package in ("handlers", "shared"):
        shutil.copytree(REPOSITORY / "src" / package, plain / package, ignore=shutil.ignore_patterns("__pycache__"))
    return [
        Contender("bare: boto3, one call, bytecode", compiled, "bare.handler"),
        Contender("bare, plus HeadObject", compiled, "bare_two.handler"),
        Contender("bare as plain sam build packages it", bare, "bare.handler"),
        Contender("typical Powertools handler, plain sam build", typical, "typical.handler"),
        Contender("ours, as plain sam build would package it", plain, "handlers.start_execution.handler"),
        Contender("**ours**", OURS, "handlers.start_execution.handler"),
    ]


def install(target: Path, *what: str) -> Path:
    """Install without bytecode, as sam build does, with the pins of the tests where they know a name."""
    pins = [
        line.partition(" ")[0]
        for line in (REPOSITORY / "requirements" / "dev.txt").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    ]
    constraints = target.with_suffix(".txt")
    constraints.write_text("\n".join(pin for pin in pins if "[" not in pin))
    extra = [] if "-r" in what else ["-c", str(constraints)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--target", str(target), *extra, *what], check=True, stderr=subprocess.DEVNULL)  # noqa: S603 - our own arguments
    for peer in PEERS.glob("*.py"):
        shutil.copy(peer, target)
    return target


def measure(contender: Contender, endpoint: str, events: int) -> None:
    """Start the runtime cold, send the first event, then the warm ones."""
    with runtime(contender, endpoint) as (url, child):
        before = stub.count()
        invoke(url)
        cold = cpu(child)
        begin = cold
        for _ in range(events):
            start = time.perf_counter()
            invoke(url)
            contender.latency.append((time.perf_counter() - start) * 1000)
        contender.cold.append(cold)
        contender.warm.append((cpu(child) - begin) / events)
        contender.memory.append(peak(child))
        contender.calls = (stub.count() - before) / (events + 1)


@contextmanager
def runtime(contender: Contender, endpoint: str) -> Iterator[tuple[str, int]]:
    """Run the runtime interface emulator; gives its URL and the process of the runtime."""
    port, api = free_port(), free_port()
    environment = {
        **ROUTE,
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_REGION": "us-east-2",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAMBDA_TASK_ROOT": str(contender.artifact),
    }
    command = [
        *(
            str(RIE),
            "--runtime-interface-emulator-address",
            f"127.0.0.1:{port}",
            "--runtime-api-address",
            f"127.0.0.1:{api}",
        ),
        *(str(PYTHON), "-m", "awslambdaric", contender.handler),
    ]
    emulator = subprocess.Popen(  # noqa: S603 - our own arguments
        command, cwd=contender.artifact, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    try:
        yield url, emulator.pid
    finally:
        emulator.terminate()
        emulator.wait(timeout=10)


def invoke(url: str) -> None:
    """Send the event; the first call waits for the emulator."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=EVENT), timeout=30) as answer:  # noqa: S310 - loopback
                said = json.loads(answer.read())
                if "execution_arn" not in said:
                    raise RuntimeError(said)
                return
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.02)
    raise TimeoutError(url)


def python_of(emulator: int) -> int:
    """Find the runtime below the emulator."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == emulator:
            return int(status.parent.name)
    raise LookupError(emulator)


def cpu(emulator: int) -> float:
    """Give the CPU the runtime has used, all threads, in milliseconds."""
    tasks = Path(f"/proc/{python_of(emulator)}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def peak(emulator: int) -> float:
    """Give the runtime's peak memory in MB."""
    status = Path(f"/proc/{python_of(emulator)}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def zipped(artifact: Path) -> float:
    """Give the artifact's size as a zip, in MB."""
    with tempfile.TemporaryDirectory() as scratch:
        return Path(shutil.make_archive(f"{scratch}/a", "zip", artifact)).stat().st_size / 1e6


def table(contenders: list[Contender]) -> str:
    """Write what was measured as Markdown; ratios are pair by pair, round by round."""
    base, two = contenders[0], contenders[1]
    lines = [
        "| | cold CPU | cold, × bare (min–max) | warm CPU/event | warm, × bare with both calls | p50 / p99 | peak memory | zip | AWS calls/event |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in contenders:
        ratios = [mine / theirs for mine, theirs in zip(one.cold, base.cold, strict=True)]
        warm = [mine / theirs for mine, theirs in zip(one.warm, two.warm, strict=True)]
        cuts = statistics.quantiles(one.latency, n=100)
        lines.append(
            f"| {one.name} | {statistics.median(one.cold):.0f} ms "
            f"| {statistics.median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f}) "
            f"| {statistics.median(one.warm):.2f} ms | {statistics.median(warm):.2f}× ({min(warm):.2f}–{max(warm):.2f}) "
            f"| {cuts[49]:.1f} / {cuts[98]:.1f} ms | {statistics.median(one.memory):.0f} MB | {zipped(one.artifact):.1f} MB | {one.calls:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
