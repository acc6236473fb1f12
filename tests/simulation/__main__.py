"""Run the simulation at length: `python -m tests.simulation --examples 2000`."""

import argparse
import sys
import time

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.simulation.machine import TOTALS, Arrivals
from tests.simulation.quiet import quiet


def main() -> None:
    """Run rounds of a hundred days each, with a bar, and print what was seen."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description="Simulate bad days with random faults.")
    parser.add_argument("--examples", type=int, default=2_000, help="days to simulate (%(default)s)")
    arguments = parser.parse_args()
    rounds = max(1, arguments.examples // 100)
    begin = time.monotonic()
    options = settings(
        max_examples=100, stateful_step_count=50, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with quiet():
        for number in range(rounds):
            run_state_machine_as_test(Arrivals, settings=options)
            done = 40 * (number + 1) // rounds
            sys.stderr.write(f"\r[{'#' * done}{'.' * (40 - done)}] {100 * (number + 1)} days")
    sys.stderr.write("\n")
    for what, count in sorted(TOTALS.items()):
        print(f"{count:>10,}  {what}")
    print(f"{time.monotonic() - begin:>10.0f}  seconds; no invariant was broken")


if __name__ == "__main__":
    main()
