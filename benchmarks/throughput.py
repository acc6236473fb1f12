"""Bursts of files on the local cloud: from the first upload to the last execution, `.venv/dev/bin/python -m benchmarks.throughput`.

It measures emulator and function together on one machine, so only the growth from burst to burst means something, and
who used the processors meanwhile.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for a burst (%(default)s)")
    arguments = parser.parse_args()
    stack.build()
    with process.start(log=LOG) as cloud:
        deployed = stack.deploy(cloud)
        # The trigger is measured, not the workflow.
        deployed.client("stepfunctions").update_state_machine(
            stateMachineArn=deployed.outputs["StateMachineArn"], definition=SUCCEED
        )
        print(
            "| files | uploaded after | all started after | arrivals per second | CPU per file: uploads | function | local cloud |"
        )
        print("|---|---|---|---|---|---|---|")
        for size in arguments.bursts:
            print(burst(deployed, cloud.child.pid, size, arguments.patience), flush=True)


def burst(deployed: Stack, cloud: int, size: int, patience: float) -> str:
    """Upload the files, wait for their executions, and write what it took as a row of the table."""
    s3, bucket = deployed.client("s3"), deployed.outputs["SourceBucketName"]

    def upload(number: int) -> None:
        s3.put_object(Bucket=bucket, Key=f"input/lab2/eventdriven/burst/{number}.csv", Body=b"a,b\n1,2\n")

    # The log tells of each start without asking the local cloud, which would keep it from its work.
    with LOG.open() as log:
        log.seek(0, os.SEEK_END)
        used, begin = cpu_by_part(cloud), time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(size)))
        uploaded, started, rest = time.perf_counter() - begin, 0, ""
        while started < size:
            if time.perf_counter() - begin > patience:
                sys.exit(f"{started} of {size} files were started after {patience:.0f} s; see {LOG}")
            time.sleep(0.05)
            said = rest + log.read()
            started += said.count(STARTED)
            rest = said[1 - len(STARTED) :]
        taken = time.perf_counter() - begin
    parts = [(now - then) / size for now, then in zip(cpu_by_part(cloud), used, strict=True)]
    cpu = " | ".join(f"{part:.1f} ms" for part in parts)
    return f"| {size:,} | {uploaded:.1f} s | {taken:.1f} s | {size / taken:.0f} | {cpu} |"


def cpu_by_part(cloud: int) -> tuple[float, float, float]:
    """Return the CPU in milliseconds that this process, the functions, and the local cloud have used so far."""
    return (
        gauges.cpu_ever(os.getpid()),
        sum(gauges.cpu_ever(function) for function in children(cloud)),
        gauges.cpu_ever(cloud),
    )


if __name__ == "__main__":
    main()
