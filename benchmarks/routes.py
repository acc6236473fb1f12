"""What finding a key's route costs: `python -m benchmarks.routes`.

Each figure is the best of several rounds, so that a busy machine's pauses stay out of it.
"""

import marshal
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
sys.path.insert(0, SOURCE)

from artifact.conflicts import find_loop, find_overlap  # noqa: E402 - they import from src
from artifact.pack import pack  # noqa: E402
from artifact.route_files import packed_module, parse_template  # noqa: E402
from shared.domain.pattern import Pattern  # noqa: E402
from shared.domain.routes import Route, RouteTable  # noqa: E402

LAYOUTS = {
    "`raw/dsN/dt={dt}/{file}.csv`": ("raw/ds%d/dt={dt}/{file}.csv", "raw/ds%d/dt=2026-11-24/part-0001.csv"),
    "`raw/{tenant}/dsN/{file}.csv`": ("raw/{tenant}/ds%d/{file}.csv", "raw/acme/ds%d/2026-11-24.csv"),
    "`{path...}/dsN/_SUCCESS`": ("{path...}/ds%d/_SUCCESS", "raw/acme/2026/11/24/ds%d/_SUCCESS"),
}
HOSTILE = {
    "`{a...}{b...}…` (12), then `z`": "".join(f"{{c{number}...}}" for number in range(12)) + "z{end}",
    "`{a...}a{b...}a…` (12)": "".join(f"{{c{number}...}}a" for number in range(12)) + "{end}",
    "`{a}a{b}aa{c}aaa…` (10)": "".join(f"{{c{number}}}" + "a" * (number + 1) for number in range(10)) + "{end}",
    "`{a...}/{b...}/…` (12)": "".join(f"{{c{number}...}}/" for number in range(12)) + "{end}",
}
KEYS = {"1,024 × `a`": "a" * 1024, "512 × `a/`": "a/" * 512, "512 × `é`": "é" * 512}


def main() -> None:
    """Print the tables of docs/performance.md."""
    print("| routes | " + " | ".join(LAYOUTS) + " | unpacking | build's decision |\n|" + "---|" * (len(LAYOUTS) + 3))
    for count in (1, 10, 100, 1000):
        found = []
        for match, key in LAYOUTS.values():
            table = RouteTable(pack(make(match, count)))
            wanted = key % (count - 1)
            assert table.find(wanted)  # noqa: S101 - or it would be measured wrongly
            found.append(
                f"{micro(lambda table=table, key=wanted: table.find(key)):.1f} µs, "  # type: ignore[misc]
                f"none {micro(lambda table=table: table.find('elsewhere/a.csv')):.1f} µs"  # type: ignore[misc]
            )
        routes = make(next(iter(LAYOUTS.values()))[0], count)
        code = marshal.dumps(compile(packed_module(routes), "packed.py", "exec"))
        unpack = micro(lambda code=code: start(code))  # type: ignore[misc]
        begin = timeit.default_timer()
        assert not find_overlap(routes)  # noqa: S101
        assert not find_loop(routes)  # noqa: S101
        print(f"| {count:,} | {' | '.join(found)} | {unpack / 1000:.2f} ms | {timeit.default_timer() - begin:.2f} s |")
    print("\n| match | " + " | ".join(KEYS) + " |\n|" + "---|" * (len(KEYS) + 1))
    for shown, match in HOSTILE.items():
        pattern = Pattern(parse_template(match, deep_allowed=True))
        costs = [f"{micro(lambda pattern=pattern, key=key: pattern.match(key)):.0f} µs" for key in KEYS.values()]  # type: ignore[misc]
        print(f"| {shown} | {' | '.join(costs)} |")


def make(match: str, count: int) -> tuple[Route, ...]:
    """Make so many routes of one layout."""
    return tuple(
        Route(
            f"ds{number}",
            (Pattern(parse_template(match % number, deep_allowed=True)),),
            "job",
            parse_template(f"curated/ds{number}", deep_allowed=False),
        )
        for number in range(count)
    )


def start(code: bytes) -> RouteTable:
    """Do what a cold start does: read the bytecode, run it, make the table."""
    module: dict[str, tuple[object, ...]] = {}
    exec(marshal.loads(code), module)  # noqa: S102, S302 - our own
    return RouteTable(module["ROUTES"])


def micro(work: Callable[[], object]) -> float:
    """Return the microseconds that it takes, at best."""
    timer = timeit.Timer(work)
    times = max(1, timer.autorange()[0] // 10)
    return min(timer.repeat(7, times)) / times * 1e6


if __name__ == "__main__":
    main()
