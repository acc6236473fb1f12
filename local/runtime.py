"""Lambda's own runtime without Docker: SAM CLI's runtime interface emulator around the real runtime client.

The interpreter has only that client, so a package that the artifact lacks makes an error.
"""

import http.client
import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator.process import REPOSITORY, free_port
from local.procfs import children

PYTHON = REPOSITORY / ".venv" / "lambda" / "bin" / "python"
# As SAM CLI calls this machine.
ARCHITECTURE = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


class RuntimeFailedError(RuntimeError):
    """The runtime itself failed, not just the handler; the message has its last lines."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A running function: it starts cold with the first event, and takes one event at a time."""

    port: int
    emulator: int
    log: Path

    def wait(self) -> None:
        """Return once the emulator listens.

        Raises RuntimeFailedError when it does not within ten seconds.
        """
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise RuntimeFailedError(f"nothing listens on port {self.port}: {self._last_words()}")

    def invoke(self, payload: bytes) -> Any:
        """Send an event once, and return the answer; after an error of the function it has `errorType`.

        Raises RuntimeFailedError when there is no answer: the process ended, or the module can't be imported.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", payload)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise RuntimeFailedError(f"{error}: {self._last_words()}") from error
        finally:
            connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeFailedError(f"{answer.status} {answer.reason}: {self._last_words()}")
        return json.loads(body)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def process(self) -> int:
        """Return the process id of the runtime itself.

        Raises LookupError before the first event.
        """
        for child in children(self.emulator):
            return child
        raise LookupError(self.emulator)


@contextmanager
def run(
    artifact: Path, handler: str, environment: Mapping[str, str], log: Path, wrapper: Sequence[str] = ()
) -> Iterator[Runtime]:
    """Run a handler of an artifact until the block ends; `wrapper` is a command that runs the runtime.

    Raises RuntimeFailedError when the emulator does not come up.
    """
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
        one = Runtime(port, running.pid, log)
        one.wait()
        yield one
    finally:
        running.terminate()
        running.wait(timeout=10)
