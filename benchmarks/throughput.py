"""Bursts of files on the local cloud: from the first upload to the last execution, `python -m benchmarks.throughput`.

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
from typing import Any

from benchmarks import gauges
from local import stack
from local.emulator import process
from local.runtime import children
from local.stack import Stack

BURSTS = (100, 1_000, 5_000)
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
    with process.start(log=Path(".local") / "throughput.log") as cloud:
        deployed = stack.deploy(cloud)
        # The trigger is measured, not the workflow.
        deployed.client("stepfunctions").update_state_machine(
            stateMachineArn=deployed.outputs["StateMachineArn"], definition=SUCCEED
        )
        print(
            "| files | uploaded after | all started after | arrivals per second | CPU per file: uploads | function | local cloud |"
        )
        print("|---|---|---|---|---|---|---|")
        before = 0.0
        for size in arguments.bursts:
            print(burst(deployed, size, before, arguments.patience), flush=True)
            before += size


def burst(deployed: Stack, size: int, before: float, patience: float) -> str:
    """Upload the files, wait for their executions, and write what it took as a row of the table."""
    s3, metrics = deployed.client("s3"), deployed.client("cloudwatch")
    used, begin = cpu_by_part(deployed), time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        for number in range(size):
            key = f"input/lab2/eventdriven/burst-{size}/{number}.csv"
            pool.submit(s3.put_object, Bucket=deployed.outputs["SourceBucketName"], Key=key, Body=b"a,b\n1,2\n")
    uploaded = time.perf_counter() - begin
    while (counted := started(metrics, deployed.name) - before) < size:
        if time.perf_counter() - begin > patience:
            sys.exit(f"only {counted:.0f} of {size} were started; see .local/throughput.log")
        time.sleep(0.2)
    taken = time.perf_counter() - begin
    parts = [(now - then) / size for now, then in zip(cpu_by_part(deployed), used, strict=True)]
    cpu = " | ".join(f"{part:.1f} ms" for part in parts)
    return f"| {size:,} | {uploaded:.1f} s | {taken:.1f} s | {size / taken:.0f} | {cpu} |"


def cpu_by_part(deployed: Stack) -> tuple[float, float, float]:
    """Give the CPU in milliseconds that this process, the functions, and the local cloud have used so far."""
    cloud = deployed.cloud.child.pid
    return (
        gauges.cpu_ever(os.getpid()),
        sum(gauges.cpu_ever(function) for function in children(cloud)),
        gauges.cpu_ever(cloud),
    )


def started(metrics: Any, service: str) -> float:
    """Give how many arrivals were started so far."""
    answer = metrics.get_metric_statistics(
        Namespace="FileArrival",
        MetricName="Started",
        Dimensions=[{"Name": "service", "Value": service}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 3600,
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


if __name__ == "__main__":
    main()
