"""Read a running process: CPU, memory, instructions, and the durations that Lambda's runtime reports."""

import os
import re
import shutil
from pathlib import Path

from local import procfs

HAS_VALGRIND = shutil.which("valgrind") is not None


def cpu(process: int) -> float:
    """Return the CPU that all living threads have used, in milliseconds.

    The kernel's scheduler counts it in nanoseconds: https://docs.kernel.org/scheduler/sched-stats.html
    """
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def cpu_ever(process: int) -> float:
    """Return the CPU of all threads, also of ended ones; in milliseconds, in ticks of ten."""
    user, system = procfs.stat(process)[11:13]
    return (int(user) + int(system)) * 1000 / os.sysconf("SC_CLK_TCK")


def peak_memory(process: int) -> float:
    """Return the peak memory of the process, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def durations(log: Path) -> tuple[float, list[float]]:
    """Read the durations of init and of each event, in milliseconds, from the log of the runtime interface emulator."""
    said = log.read_text(errors="replace")
    [init] = re.findall(r"\(rapid\) INIT REPORT\(durationMs: ([\d.]+)\)", said)
    events = re.findall(r"\(rapid\) INVOKE RTDONE\(status: success, .*duration: ([\d.]+)ms\)", said)
    return float(init), [float(event) for event in events]


def counting_instructions(report: Path) -> tuple[str, ...]:
    """Return the command that counts the instructions of the command after it.

    https://valgrind.org/docs/manual/cg-manual.html
    """
    return (
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
        f"--log-file={report}",
    )


def instructions(report: Path) -> float:
    """Read its count, in millions."""
    [count] = re.findall(r"I\s+refs:\s+([\d,]+)", report.read_text())
    return int(count.replace(",", "")) / 1e6
