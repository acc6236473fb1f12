"""Measure the function beside its peers, in Lambda's own runtime, all in one interleaved run.

Cold is the CPU from the start of the runtime to the end of the first event, warm the CPU of each later event. The
kernel counts both. Contenders take turns, batch by batch, so other work on the machine slows all of them; quote the
ratios. If valgrind is installed, it counts instructions, which do not depend on other work.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from benchmarks import gauges, stub
from benchmarks.contenders import Contender, prepare
from local import procfs, runtime, stack
from local.emulator.process import REPOSITORY
from local.runtime import Runtime

EVENT = (REPOSITORY / "events" / "object-created-put.json").read_bytes()
ROUTE = {
    "ACCOUNT_ID": "123456789012",
    "SOURCE_BUCKET_NAME": "glueworkshop-123456789012-us-east-2",
    "SOURCE_PREFIX": "input/lab2/eventdriven/",
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop",
    "JOB_NAME": "ny-taxi-transformed-console-jb",
    "TARGET_PREFIX": "target/event-transformed",
    "GLUE_MAX_CAPACITY_DPUS": "2",
    "WINDOW_SECONDS": "0",
    "WINDOW_MACHINE_ARN": "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop-windows",
    "OVERDUE_MACHINE_ARN": "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop-overdue",
    "RESULTS_BUCKET_NAME": "glueworkshop-results",
    "POWERTOOLS_SERVICE_NAME": "glueworkshop",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
    # Only AWS sends X-Ray's header; without it, the peer's Tracer would only warn.
    "POWERTOOLS_TRACE_DISABLED": "true",
}
BATCH = 20
# Two runs with equal work differ by a millionth, so few events are enough.
COUNTED_EVENTS = 40


def main() -> None:
    """Prepare the artifacts, measure in turn, print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=11, help="cold starts of each (%(default)s)")
    parser.add_argument("--batches", type=int, default=10, help=f"of {BATCH} warm events, each round (%(default)s)")
    arguments = parser.parse_args()
    stack.build()
    endpoint = stub.serve()
    environment = {
        **ROUTE,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_REGION": "us-east-2",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        contenders = prepare(scratch)
        for number in range(arguments.rounds):
            say(f"round {number + 1} of {arguments.rounds}")
            turn = number % len(contenders)
            measure([*contenders[turn:], *contenders[:turn]], environment, scratch, arguments.batches)
        for contender in contenders if gauges.HAS_VALGRIND else ():
            say(f"instructions of {contender.name}")
            contender.instructions = count_instructions(contender, environment, scratch)
        say("")
        print(table_of_time(contenders), table_of_size(contenders, scratch), sep="\n\n")
    if not gauges.HAS_VALGRIND:
        print("\nInstructions were not counted: valgrind is not installed.")


def measure(contenders: list[Contender], environment: Mapping[str, str], scratch: Path, batches: int) -> None:
    """Start each cold with its first event, one after the other; then give all of them warm events in turn."""
    with ExitStack() as running:
        runtimes = []
        for position, contender in enumerate(contenders):
            one = running.enter_context(start(contender, environment, scratch / f"{position}.log"))
            before = stub.count()
            invoke(one)
            contender.cold.append(gauges.cpu(one.process()))
            contender.calls.append(stub.count() - before)
            runtimes.append(one)
        used = [0.0] * len(runtimes)
        for _ in range(batches):
            for position, one in enumerate(runtimes):
                begin, before = gauges.cpu(one.process()), stub.count()
                for _ in range(BATCH):
                    invoke(one)
                used[position] += gauges.cpu(one.process()) - begin
                contenders[position].calls.append((stub.count() - before) / BATCH)
        for contender, one, cpu in zip(contenders, runtimes, used, strict=True):
            contender.warm.append(cpu / batches / BATCH)
            contender.memory.append(gauges.peak_memory(one.process()))
    for position, contender in enumerate(contenders):
        init, (first, *rest) = gauges.durations(scratch / f"{position}.log")
        contender.init.append(init)
        contender.first.append(first)
        contender.latency.extend(rest)


def count_instructions(contender: Contender, environment: Mapping[str, str], scratch: Path) -> tuple[float, float]:
    """Count the instructions of a cold start with its first event, and of a warm event, in millions."""
    report = scratch / "instructions"
    counts = []
    for events in (1, 1 + COUNTED_EVENTS):
        wrapper = gauges.counting_instructions(report)
        # Hashes decide the order of sets, and the order decides the work.
        with start(contender, {**environment, "PYTHONHASHSEED": "0"}, scratch / "counted.log", wrapper) as one:
            for _ in range(events):
                invoke(one)
            process = one.process()
            os.kill(process, signal.SIGTERM)
            # valgrind writes its report when it ends, and the emulator would give it no time.
            while procfs.alive(process):
                time.sleep(0.05)
        counts.append(gauges.instructions(report))
    cold, both = counts
    return cold, (both - cold) / COUNTED_EVENTS


def start(
    contender: Contender, environment: Mapping[str, str], log: Path, wrapper: Sequence[str] = ()
) -> AbstractContextManager[Runtime]:
    """Start a contender's runtime."""
    return runtime.run(contender.artifact, contender.handler, environment, log, wrapper)


def invoke(one: Runtime) -> None:
    """Send the event and check that it started the execution."""
    answer = one.invoke(EVENT)
    if not str(answer.get("execution_arn")).startswith(stub.EXECUTIONS):
        raise RuntimeError(answer)


def say(progress: str) -> None:
    """Show the present step in place of the last one."""
    print(f"{progress:<79}", end="\r", file=sys.stderr, flush=True)


def table_of_time(contenders: list[Contender]) -> str:
    """Write medians as Markdown; ratios to the peer with both calls go round by round, with least and greatest."""
    peer = contenders[1]
    lines = [
        "| | init | first event | cold CPU | × | warm CPU | × | warm p50 / p99 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in contenders:
        cuts = statistics.quantiles(one.latency, n=100)
        lines.append(
            f"| {one.name} | {statistics.median(one.init):.0f} ms | {statistics.median(one.first):.1f} ms "
            f"| {statistics.median(one.cold):.0f} ms | {ratio(one.cold, peer.cold)} "
            f"| {statistics.median(one.warm):.2f} ms | {ratio(one.warm, peer.warm)} | {cuts[49]:.1f} / {cuts[98]:.1f} ms |"
        )
    return "\n".join(lines)


def table_of_size(contenders: list[Contender], scratch: Path) -> str:
    """Write as Markdown the figures that do not depend on other work of the machine."""
    peer = contenders[1]
    lines = [
        "| | instructions, cold | warm event | peak memory | unzipped | zip | AWS calls/event |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in contenders:
        counted = "– | –"
        if one.instructions and peer.instructions:
            (cold, warm), (its_cold, its_warm) = one.instructions, peer.instructions
            counted = f"{cold:,.0f} M, {cold / its_cold:.2f}× | {warm:.2f} M, {warm / its_warm:.2f}×"
        lines.append(
            f"| {one.name} | {counted} | {statistics.median(one.memory):.0f} MB "
            f"| {one.unzipped:.1f} MB | {one.zipped(scratch):.1f} MB | {statistics.mean(one.calls):.1f} |"
        )
    return "\n".join(lines)


def ratio(mine: list[float], theirs: list[float]) -> str:
    """Write the median of the pairs' ratios, with its spread."""
    pairs = [one / other for one, other in zip(mine, theirs, strict=True)]
    return f"{statistics.median(pairs):.2f}× ({min(pairs):.2f}–{max(pairs):.2f})"


if __name__ == "__main__":
    main()
