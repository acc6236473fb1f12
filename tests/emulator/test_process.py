"""The emulator as a process: it starts quickly, and leaves nothing behind."""

import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from local import procfs
from local.emulator import process
from tests.emulator.conftest import Cloud, until


def test_a_stopped_emulator_leaves_no_process(tmp_path: Path) -> None:
    """Not even a function that is busy outlives it."""
    with process.start(log=tmp_path / "log") as emulator:
        cloud = Cloud(emulator)
        function = cloud.function(
            "import os, time\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()"
        )
        worker = cloud.invoke(function, 0)["Payload"]
        cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b"60")
        time.sleep(0.3)
        assert Path(f"/proc/{worker}").exists()

    until(lambda: not procfs.alive(worker))
    assert emulator.child.returncode == 0


def test_it_answers_at_a_second_address_too(tmp_path: Path) -> None:
    """Where containers can reach it, while functions go on calling the first."""
    with process.start(log=tmp_path / "log", settings={"ALSO_LISTEN_ON": "127.0.0.2"}) as emulator:
        second = emulator.endpoint_url.replace("127.0.0.1", "127.0.0.2")
        for url in (emulator.endpoint_url, second):
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5) as answer:  # noqa: S310 - loopback
                assert 200 == answer.status


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even if that was killed."""
    code = f"""
import os, signal
from pathlib import Path
from local import procfs
from local.emulator import process
print(process.start(log=Path({str(tmp_path / "log")!r})).child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=process.REPOSITORY, capture_output=True, text=True, check=False
    )

    until(lambda: not procfs.alive(int(ran.stdout)))
