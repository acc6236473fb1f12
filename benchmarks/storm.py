"""Simulate a storm of files: StartExecution's bucket, Lambda's concurrency, and all retries; this needs no AWS.

Files arrive at the rate of S3 under one prefix. Each is an event in Lambda's own queue; an environment takes it, asks
S3, and calls StartExecution. If AWS documents a number, it is from there:
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html,
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html.

The model leaves out Lambda's pauses after its own throttle (1 second to 5 minutes), and the time to make environments.
Both make a storm longer, and cost no try. It also leaves out other users of the same two limits.
"""

import argparse
import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random

STARTED, FAILURE_QUEUE = "started", "failure queue"

# The seconds of one call, an assumption: HeadObject, and up to three StartExecution.
CALL = 0.05
# The SDK's tries ("standard" mode), and its pauses: a random part of 1 second, then of 2.
CALLS = 3
# Its quota of retries, by client: a throttled call costs five, and a success gives five back after a retry, else one.
QUOTA, RETRY = 500, 5
# Lambda's tries of an event, and the seconds before the second and the third.
TRIES, PAUSES = 3, (60, 120)
# After so many seconds Lambda gives up an event, even after few tries.
OLDEST = 6 * 3600
# Files a second: the rate of S3 under one prefix.
UPLOADS = 3_500
SIZES = (1_000, 10_000, 50_000, 100_000)


@dataclass(frozen=True, slots=True)
class Limits:
    """Starts that StartExecution lets through at once and then each second; environments at once."""

    bucket: int = 800
    refill: int = 150
    environments: int = 1_000


@dataclass(frozen=True, slots=True)
class Storm:
    """The end of each file, `started` or `failure queue`, and the seconds until the last end."""

    ends: list[str]
    seconds: float

    @property
    def lost(self) -> float:
        """The share that ended in the failure queue."""
        return Counter(self.ends)[FAILURE_QUEUE] / len(self.ends)


class Bucket:
    """A token bucket; times must not go back."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.tokens, self.then = limits, float(limits.bucket), 0.0

    def take(self, now: float) -> bool:
        """Return whether a call at this time is let through."""
        self.tokens = min(self.limits.bucket, self.tokens + (now - self.then) * self.limits.refill)
        self.then = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Simulation:
    """One storm, event by event; an act is a function of its time."""

    def __init__(self, files: int, limits: Limits, seed: int) -> None:
        self.random, self.bucket = Random(seed), Bucket(limits)  # noqa: S311 - repeatable is the point
        # The remaining retry quota of each free environment: the last one that came back is used first.
        self.free = [QUOTA] * limits.environments
        self.waiting: deque[int] = deque()
        self.ends: list[str | None] = [None] * files
        self.tries = [0] * files
        self.agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self.order = count()
        self.last = 0.0

    def run(self) -> Storm:
        """Let all files arrive and wait for the last end."""
        for file in range(len(self.ends)):
            self.at(file / UPLOADS, partial(self.invoke, file))
        while self.agenda:
            now, _, act = heapq.heappop(self.agenda)
            act(now)
        return Storm([where or "nowhere" for where in self.ends], self.last)

    def at(self, moment: float, act: Callable[[float], None]) -> None:
        """Do something later."""
        heapq.heappush(self.agenda, (moment, next(self.order), act))

    def invoke(self, file: int, now: float) -> None:
        """Give an event to an environment; if none is free, it waits, which costs no try."""
        if now > OLDEST:
            self.end(file, FAILURE_QUEUE, now)
        elif self.free:
            self.tries[file] += 1
            self.at(now + CALL, partial(self.call, file, self.free.pop(), 1))
        else:
            self.waiting.append(file)

    def call(self, file: int, quota: int, number: int, now: float) -> None:
        """Call StartExecution for the first to third time; the SDK tries again as long as its quota lasts."""
        if self.bucket.take(now):
            back = min(QUOTA, quota + (RETRY if number > 1 else 1))
            self.at(now + CALL, partial(self.answer, file, back, STARTED))
        elif number < CALLS and quota >= RETRY:
            pause = self.random.random() * 2 ** (number - 1)
            self.at(now + CALL + pause, partial(self.call, file, quota - RETRY, number + 1))
        else:
            self.at(now + CALL, partial(self.answer, file, quota, FAILURE_QUEUE))

    def answer(self, file: int, quota: int, outcome: str, now: float) -> None:
        """Free the environment; an error is tried again by Lambda, three times in all."""
        self.free.append(quota)
        if outcome == STARTED or self.tries[file] == TRIES:
            self.end(file, outcome, now)
        else:
            self.at(now + PAUSES[self.tries[file] - 1], partial(self.invoke, file))
        if self.waiting:
            self.invoke(self.waiting.popleft(), now)

    def end(self, file: int, where: str, now: float) -> None:
        """Note the one end of a file."""
        assert self.ends[file] is None, file  # noqa: S101 - the point of the simulation
        self.ends[file], self.last = where, now


def simulate(files: int, limits: Limits, seed: int = 1) -> Storm:
    """Run one storm; the same seed is the same storm."""
    return Simulation(files, limits, seed).run()


def table() -> str:
    """Return the table of docs/performance.md."""
    columns = [
        (f"{bucket:,} + {refill} a second, {environments:,} at once", Limits(bucket, refill, environments))
        for bucket, refill in ((800, 150), (1_300, 300))
        for environments in (1_000, 20)
    ]
    lines = ["| files | " + " | ".join(name for name, _ in columns) + " |", "|---|" + "---|" * len(columns)]
    for files in SIZES:
        storms = [simulate(files, limits) for _, limits in columns]
        cells = (f"{storm.lost:.0%}, {storm.seconds / 60:.1f} min" for storm in storms)
        lines.append(f"| {files:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or one storm of your own."""
    parser = argparse.ArgumentParser(prog="benchmarks.storm", description="Simulate a storm of files.")
    parser.add_argument("--files", type=int, help="files; without it the table is printed")
    parser.add_argument("--bucket", type=int, default=800, help="StartExecution's bucket (default: %(default)s)")
    parser.add_argument("--refill", type=int, default=150, help="and its refill a second (default: %(default)s)")
    parser.add_argument("--environments", type=int, default=1_000, help="MaxConcurrency (default: %(default)s)")
    asked = parser.parse_args()
    if asked.files is None:
        print(table())
        return
    storm = simulate(asked.files, Limits(asked.bucket, asked.refill, asked.environments))
    print(f"{storm.lost:.1%} end in the failure queue; the last file is done after {storm.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
