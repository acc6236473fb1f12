"""Run the simulation at length: `python -m tests.simulation --worlds 20000`."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.arrivals import Arrivals
from tests.simulation.sets import Interrupted, Sets
from tests.simulation.windows import Windows
from tests.simulation.world import bad_days, explain


def main() -> None:
    """Run worlds of each kind and print what was seen; the first that contradicts a promise is told, and ends it."""
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--worlds", type=int, default=10_000, help="worlds to simulate, of each kind (%(default)s)")
    worlds = parser.parse_args().worlds
    for kind in (Arrivals, Windows, Sets, Interrupted):
        begin, seen = time.monotonic(), Counter[str]()
        for number in range(worlds):
            world = bad_days(kind, f"{kind.__name__} {time.time_ns()}")
            seen += world.seen
            if world.wrong:
                sys.exit(f"\n{explain(world)}")
            bar = "#" * (40 * (number + 1) // worlds)
            sys.stderr.write(f"\r[{bar:.<40}] {number + 1} worlds of {kind.__name__}")
        print("", *(f"{count:>10,}  {what}" for what, count in sorted(seen.items())), sep="\n")
        print(f"{time.monotonic() - begin:>10.0f}  seconds; no promise was broken", flush=True)


if __name__ == "__main__":
    main()
