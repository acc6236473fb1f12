"""Bursts of files on the local cloud: from the first upload to the last execution, `python -m benchmarks.throughput`.

It measures emulator and function together on one machine, so only the growth from burst to burst means something.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local import stack
from local.emulator import process

BURSTS = (100, 1_000, 5_000)
PATIENCE = 600
SUCCEED = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


def main() -> None:
    """Upload each burst with eight threads and wait for its executions."""
    stack.build()
    with process.start(log=Path(".local") / "throughput.log") as cloud:
        deployed = stack.deploy(cloud)
        s3, states = deployed.client("s3"), deployed.client("stepfunctions")
        bucket, machine = deployed.outputs["SourceBucketName"], deployed.outputs["StateMachineArn"]
        # The trigger is measured, not the workflow.
        states.update_state_machine(stateMachineArn=machine, definition=SUCCEED)
        metrics = deployed.client("cloudwatch")
        print("| files | uploaded after | all started after | arrivals per second |\n|---|---|---|---|")
        before = 0.0
        for size in BURSTS:
            begin = time.perf_counter()
            with ThreadPoolExecutor(8) as pool:
                for number in range(size):
                    key = f"input/lab2/eventdriven/burst-{size}/{number}.csv"
                    pool.submit(s3.put_object, Bucket=bucket, Key=key, Body=b"a,b\n1,2\n")
            uploaded = time.perf_counter() - begin
            while (counted := started(metrics, deployed.name)) < before + size:
                if time.perf_counter() - begin > PATIENCE:
                    sys.exit(f"only {counted - before:.0f} of {size} were started; see .local/throughput.log")
                time.sleep(0.1)
            taken = time.perf_counter() - begin
            before += size
            print(f"| {size:,} | {uploaded:.1f} s | {taken:.1f} s | {size / taken:.0f} |", flush=True)


def started(metrics: object, service: str) -> float:
    """Give how many arrivals were started so far."""
    answer = metrics.get_metric_statistics(  # type: ignore[attr-defined]
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
