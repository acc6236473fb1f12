"""Lambda's own runtime without Docker: SAM CLI's runtime interface emulator around the real runtime client.

The interpreter holds nothing but that client, so whatever the artifact lacks is missed.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.process import REPOSITORY, free_port
from local.stack import ARCHITECTURE

PYTHON = REPOSITORY / ".venv" / "lambda" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running function: it starts cold with the first event, and takes one event at a time."""

    url: str
    emulator: int

    def invoke(self, payload: bytes) -> Any:
        """Send an event and give the answer, which after an error of the function names it as `errorType`.

        Raises TimeoutError when the emulator does not come up within ten seconds.
        """
        request = urllib.request.Request(self.url, data=payload)  # noqa: S310 - the loopback address
        for _ in range(500):
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - likewise
                    return json.loads(answer.read())
            except (ConnectionError, urllib.error.URLError):
                time.sleep(0.02)
        raise TimeoutError(self.url)

    def process(self) -> int:
        """Give the process id of the runtime itself.

        Raises LookupError before the first event.
        """
        for child in children(self.emulator):
            return child
        raise LookupError(self.emulator)


def children(process: int) -> Iterator[int]:
    """Find the processes that a process has started and that still run; on Linux."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                yield int(stat.parent.name)


@contextmanager
def run(
    artifact: Path, handler: str, environment: Mapping[str, str], log: Path, wrapper: Sequence[str] = ()
) -> Iterator[Runtime]:
    """Run a handler of an artifact until the block ends; `wrapper` is a command to run the runtime under."""
    port, api_port = free_port(), free_port()
    [emulator] = (REPOSITORY / ".venv" / "sam").glob(
        f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{ARCHITECTURE}"
    )
    command = [
        *(str(emulator), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{api_port}"),
        *(*wrapper, str(PYTHON), "-m", "awslambdaric", handler),
    ]
    # AWS mounts the code read-only.
    fixed = {"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(artifact), "PYTHONDONTWRITEBYTECODE": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as stream:
        running = subprocess.Popen(  # noqa: S603 - our own arguments
            command, cwd=artifact, env={**fixed, **environment}, stdout=stream, stderr=stream
        )
    try:
        yield Runtime(f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations", running.pid)
    finally:
        running.terminate()
        running.wait(timeout=10)
