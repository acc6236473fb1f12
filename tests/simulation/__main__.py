"""Run the simulation at length: `python -m tests.simulation --examples 2000`."""

import argparse
import sys
import time

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import TOTALS, BadDay, RoutedDay
from tests.simulation.quiet import quiet
from tests.simulation.windows.trial import Seen, bad_days, burst


def main() -> None:
    """Run rounds of a hundred days each, with a bar, and print what was seen."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description="Simulate bad days with random faults.")
    parser.add_argument("--examples", type=int, default=2_000, help="days to simulate (%(default)s)")
    parser.add_argument("--windows", type=int, default=20_000, help="worlds of windows to simulate (%(default)s)")
    arguments = parser.parse_args()
    rounds = max(1, arguments.examples // 100)
    begin = time.monotonic()
    options = settings(
        max_examples=100, stateful_step_count=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with quiet():
        for number in range(rounds):
            run_state_machine_as_test((BadDay, RoutedDay)[number % 2], settings=options)
            done = 40 * (number + 1) // rounds
            sys.stderr.write(f"\r[{'#' * done}{'.' * (40 - done)}] {100 * (number + 1)} days")
    sys.stderr.write("\n")
    for what, count in sorted(TOTALS.items()):
        print(f"{count:>10,}  {what}")
    simulate_windows(arguments.windows)
    print(f"{time.monotonic() - begin:>10.0f}  seconds; no invariant was broken")


def simulate_windows(worlds: int) -> None:
    """Run worlds of the windows protocol, with a bar, and print what was seen; a seed that contradicts the promise ends it."""
    seen = Seen()
    for number in range(worlds):
        kind = burst if number % 10 == 0 else bad_days
        world, wrong = kind(f"{kind.__name__}-{number}")
        seen.add(world, wrong)
        if wrong:
            sys.exit(f"\n{kind.__name__}-{number}: {wrong[0]}")
        if number % 100 == 99:
            done = 40 * (number + 1) // worlds
            sys.stderr.write(f"\r[{'#' * done}{'.' * (40 - done)}] {number + 1} worlds of windows")
    sys.stderr.write("\n")
    print(f"{seen.worlds:>10,}  worlds of windows, in {seen.steps:,} steps; {seen.generations} generations at most")
    for what, count in sorted(seen.counts.items()):
        print(f"{count:>10,}  {what}")


if __name__ == "__main__":
    main()
