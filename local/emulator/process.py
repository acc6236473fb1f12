"""Start the emulator from any environment; only the standard library is needed.

```python
with process.start() as cloud:
    boto3.client("s3", endpoint_url=cloud.endpoint_url, **cloud.credentials)
```
"""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv" / "cloud" / "bin" / "python"

ACCOUNT = "123456789012"
REGION = "us-east-2"


class StartError(RuntimeError):
    """The emulator did not come up; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator; as a context manager it stops at the end."""

    endpoint_url: str
    log: Path | None
    child: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that send an AWS SDK, or the SAM and AWS command lines, to the emulator as root."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def credentials(self) -> dict[str, str]:
        """Return the arguments of a boto3 client that make it root."""
        return {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": REGION}

    def reset(self) -> None:
        """Forget everything that was ever made in it."""
        _ask(f"{self.endpoint_url}/_ministack/reset", method="POST", timeout=30)

    def stop(self) -> None:
        """End it and its functions; harmless when it has ended already."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def start(
    port: int | None = None,
    *,
    log: Path | None = None,
    settings: dict[str, str] | None = None,
    python: Path = PYTHON,
    patience: float = 30,
) -> Emulator:
    """Start the emulator and return when it answers; it ends with this process at the latest.

    `settings` are variables of `settings.py`, such as `GLUE_RUN_SECONDS`; `patience` is in seconds.
    """
    port = port or free_port()
    command = [str(python), "-m", "local.emulator", "--port", str(port), "--exit-with-parent"]
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        command += ["--log", str(log.resolve())]
    child = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        command,
        cwd=REPOSITORY,
        env=_environment() | (settings or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if log else None,
        stderr=subprocess.DEVNULL if log else None,
    )
    emulator = Emulator(f"http://127.0.0.1:{port}", log, child)
    deadline = time.monotonic() + patience
    while not _healthy(emulator):
        if child.poll() is not None or time.monotonic() > deadline:
            emulator.stop()
            raise StartError(f"the emulator did not start: {_end_of(log)}")
        time.sleep(0.05)
    return emulator


def free_port() -> int:
    """Return a port that is free now, and that no outgoing connection gets before it is used.

    Linux takes those from 32768 on: https://docs.kernel.org/networking/ip-sysctl.html
    """
    while True:
        port = 10_240 + secrets.randbelow(32_768 - 10_240)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _environment() -> dict[str, str]:
    """Return the caller's variables, without those that would change the emulator's."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON", "COV_"))}


def _healthy(emulator: Emulator) -> bool:
    with contextlib.suppress(OSError):
        _ask(f"{emulator.endpoint_url}/_ministack/health", timeout=2)
        return True
    return False


def _ask(url: str, *, method: str = "GET", timeout: float) -> None:
    # Not urllib: it reads all certificates of this machine for each plain question.
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request(method, parts.path)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"{url} answers {answer.status}")
    finally:
        connection.close()


def _end_of(log: Path | None) -> str:
    return log.read_text(errors="replace")[-2000:] if log and log.exists() else "see its output"
