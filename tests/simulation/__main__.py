"""Run the simulation at length: `python -m tests.simulation --worlds 20000`."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.arrivals import Arrivals
from tests.simulation.conftest import quiet
from tests.simulation.sets import Interrupted, Sets
from tests.simulation.windows import Burst, Windows
from tests.simulation.world import bad_days, explain


def main() -> None:
    """Run worlds of each kind, with a bar, and print what was seen; one that contradicts a promise is told, and ends it."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description="Simulate bad days with random faults.")
    parser.add_argument("--worlds", type=int, default=10_000, help="worlds to simulate, of each kind (%(default)s)")
    worlds = parser.parse_args().worlds
    for kind in (Arrivals, Windows, Burst, Sets, Interrupted):
        begin, seen = time.monotonic(), Counter[str]()
        for number in range(worlds):
            with quiet():
                world = bad_days(kind, f"{kind.__name__} {time.time_ns()}")
            seen += world.seen
            if world.wrong:
                sys.exit(f"\n{explain(world)}")
            if number % 100 == 99 or number + 1 == worlds:
                done = 40 * (number + 1) // worlds
                sys.stderr.write(f"\r[{'#' * done}{'.' * (40 - done)}] {number + 1} worlds of {kind.__name__}")
        sys.stderr.write("\n")
        for what, count in sorted(seen.items()):
            print(f"{count:>10,}  {what}")
        print(f"{time.monotonic() - begin:>10.0f}  seconds; no promise was broken", flush=True)


if __name__ == "__main__":
    main()
