"""Bursts of files on the local cloud, from the first upload to the last execution.

It measures emulator and function together on one machine. So only the growth from burst to burst matters, and the share
of each process in the CPU.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from benchmarks import gauges
from local import stack
from local.emulator import process
from local.procfs import children
from local.stack import Stack

BURSTS = (100, 1_000, 5_000)
LOG = Path(".local") / "throughput.log"
STARTED = "Step Functions execution started: "
SUCCEED = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


def main() -> None:
    """Upload each burst with eight threads and wait for its executions."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.throughput", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("bursts", type=int, nargs="*", default=BURSTS, help="files of each burst (100 1000 5000)")
    parser.add_argument(
        "--windows", type=int, default=0, metavar="SECONDS", help="gather each burst into windows (%(default)s: off)"
    )
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for a burst (%(default)s)")
    arguments = parser.parse_args()
    stack.build()
    with process.start(log=LOG) as cloud:
        deployed = stack.deploy(cloud, parameters={"WindowSeconds": str(arguments.windows)})
        # The trigger is measured, not the workflow.
        deployed.client("stepfunctions").update_state_machine(
            stateMachineArn=deployed.outputs["StateMachineArn"], definition=SUCCEED
        )
        print(
            "| files | uploaded after | all started after | arrivals per second | CPU per file: uploads | function | local cloud | windows | runs |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for size in arguments.bursts:
            wait = wait_for_runs if arguments.windows else wait_for_starts
            print(burst(deployed, cloud.child.pid, size, arguments.patience, wait), flush=True)


def burst(deployed: Stack, cloud: int, size: int, patience: float, wait: Callable[..., tuple[int, int]]) -> str:
    """Upload the files, wait for their executions, and write the figures as a row of the table."""
    s3, bucket = deployed.client("s3"), deployed.outputs["SourceBucketName"]
    folder = f"input/lab2/eventdriven/burst-{size}/"

    def upload(number: int) -> None:
        s3.put_object(Bucket=bucket, Key=f"{folder}{number}.csv", Body=b"a,b\n1,2\n")

    with LOG.open() as log:
        log.seek(0, os.SEEK_END)
        used, begin = cpu_by_part(cloud), time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(size)))
        uploaded = time.perf_counter() - begin
        windows, runs = wait(deployed, folder, size, log, begin + patience)
        taken = time.perf_counter() - begin
    parts = [(now - then) / size for now, then in zip(cpu_by_part(cloud), used, strict=True)]
    cpu = " | ".join(f"{part:.1f} ms" for part in parts)
    return f"| {size:,} | {uploaded:.1f} s | {taken:.1f} s | {size / taken:.0f} | {cpu} | {windows or '–'} | {runs:,} |"


def wait_for_starts(_deployed: Stack, _folder: str, size: int, log: TextIO, deadline: float) -> tuple[int, int]:
    """Wait until as many executions have started as there are files; returns no windows, and the executions.

    The log tells of each start without asking the local cloud, which would keep it from its work.
    """
    started, rest = 0, ""
    while started < size:
        if time.perf_counter() > deadline:
            sys.exit(f"{started} of {size} files were started in time; see {LOG}")
        time.sleep(0.05)
        said = rest + log.read()
        started += said.count(STARTED)
        rest = said[1 - len(STARTED) :]
    return 0, started


def wait_for_runs(deployed: Stack, folder: str, size: int, _log: TextIO, deadline: float) -> tuple[int, int]:
    """Wait until the manifests of a folder's runs hold all files; returns its windows, and its runs."""
    while True:
        runs = [one for one in inputs(deployed, deployed.outputs["StateMachineArn"]) if one["SRC_PREFIX"] == folder]
        gathered = sum(one["files"] for one in runs)
        if gathered == size:
            windows = inputs(deployed, deployed.physical_id("WindowStateMachine"))
            return sum(one["folder"] == folder for one in windows), len(runs)
        if gathered > size or time.perf_counter() > deadline:
            sys.exit(f"{gathered} of {size} files were gathered in time; see {LOG}")
        time.sleep(0.5)


def inputs(deployed: Stack, machine: str) -> list[dict[str, Any]]:
    """Return the inputs of all executions of a machine."""
    sfn = deployed.client("stepfunctions")
    pages = sfn.get_paginator("list_executions").paginate(stateMachineArn=machine)
    names = [one["executionArn"] for page in pages for one in page["executions"]]
    return [json.loads(sfn.describe_execution(executionArn=arn)["input"]) for arn in names]


def cpu_by_part(cloud: int) -> tuple[float, float, float]:
    """Return the CPU in milliseconds that this process, the functions, and the local cloud have used so far."""
    return (
        gauges.cpu_ever(os.getpid()),
        sum(gauges.cpu_ever(function) for function in children(cloud)),
        gauges.cpu_ever(cloud),
    )


if __name__ == "__main__":
    main()
