"""The emulator as a process: it starts quickly, and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import urllib3

from local import procfs
from local.emulator import process
from tests.emulator.conftest import Cloud, until


def test_a_stopped_emulator_leaves_nothing(tmp_path: Path) -> None:
    """No file, and not even a function that is busy outlives it."""
    with process.start(log=tmp_path / "log", settings={"TMPDIR": str(tmp_path)}) as emulator:
        cloud = Cloud(emulator)
        function = cloud.function(
            "import os, time\ndef handler(event, context):\n    time.sleep(event)\n    return os.getpid()"
        )
        worker = cloud.invoke(function, 0)["Payload"]
        cloud.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=b"60")
        time.sleep(0.3)
        assert Path(f"/proc/{worker}").exists()

    until(lambda: not procfs.alive(worker))
    assert (0, ["log"]) == (emulator.child.returncode, [one.name for one in tmp_path.iterdir()])


def test_it_answers_at_a_second_address_too(tmp_path: Path) -> None:
    """Where containers can reach it; and Ctrl-C ends it in order."""
    with process.start(log=tmp_path / "log", settings={"ALSO_LISTEN_ON": "127.0.0.2"}) as emulator:
        second = emulator.endpoint_url.replace("127.0.0.1", "127.0.0.2")
        assert 200 == urllib3.request("GET", f"{second}/_ministack/health").status
        emulator.child.send_signal(signal.SIGINT)
        assert 0 == emulator.child.wait(10), "Ctrl-C did not end it in order"


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


def test_one_spark_serves_all_runs_while_it_is_up(tmp_path: Path) -> None:
    """A run that was stopped before its turn does not use it. A shell that says that it is ready stands for Spark."""
    spark = tmp_path / "spark"
    spark.write_text("#!/bin/sh\necho {}\nread line\n")
    spark.chmod(0o755)
    code = f"""
from pathlib import Path
from local.emulator import settings
settings.configure(1, Path())
from local.emulator import spark_runs
spark_runs.PYTHON = {str(spark)!r}
first, second = spark_runs._spark(), spark_runs._spark()
first.process.kill()
first.process.wait()
print("one for all:", first is second, "again:", first is spark_runs._spark())
print("stopped before its turn:", spark_runs.carry_out({{}}, {{"JobRunState": "STOPPED"}}))
"""
    ran = subprocess.run(
        [process.PYTHON, "-c", code], cwd=process.REPOSITORY, capture_output=True, text=True, check=False
    )

    expected = "one for all: True again: False\nstopped before its turn: ('STOPPED', None)\n"
    assert expected == ran.stdout, ran.stderr
