"""Plant one bug at a time and run the tests: `make mutants`, or `python -m tests.mutants --help`."""

import argparse
import concurrent.futures
import difflib
import hashlib
import json
import os
import queue
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.mutants import planting
from tests.mutants.planting import Mutant

REPOSITORY = Path(__file__).resolve().parents[2]
ROOM = REPOSITORY / ".local" / "mutants"
DEV = REPOSITORY / ".venv" / "dev" / "bin"
PYTEST = [str(DEV / "python"), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
SAM = str(REPOSITORY / ".venv" / "sam" / "bin" / "sam")
# What is deployed, and the pages that tests read. mutmut does what is inside the functions of src/.
FILES = [
    "template.yaml",
    "statemachine/*.asl.json",
    "samconfig.toml",
    "glue/*.py",
    "artifact/build.py",
    "artifact/*/Makefile",
    "Makefile",
    "src/**/*.py",
    "README.md",
    "docs/costs.md",
    "docs/local-cloud.md",
    "docs/observability.md",
    "docs/routes.md",
    "docs/runbook.md",
]
# Cheapest first; each is a part of `make test`. The resolved template alone catches most of what is planted in it.
STATIC = [
    *PYTEST,
    "tests/test_make.py",
    *(
        f"tests/unit/test_{name}.py"
        for name in ("resolved", "roles", "side_by_side", "template", "rules", "docs", "told", "commands", "artifact")
    ),
]
SPARK = [str(REPOSITORY / ".venv" / "spark" / "bin" / "python"), *PYTEST[1:], "tests/glue"]
QUICK = [STATIC, [*PYTEST, "-n", "2", "tests/unit", "tests/simulation"], [SAM, "validate", "--lint"]]
DEEP = [
    [SAM, "build"],
    [*PYTEST, "-n", "2", "--dist", "loadfile", "tests/emulator", "tests/integration"],
]
PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Planted:
    """A mutant of a file, and how to tell it from all others."""

    path: str
    text: str
    mutant: Mutant

    @property
    def line(self) -> int:
        """The line that the bug is in."""
        return planting.line_of(self.text, self.mutant.start)

    def diff(self) -> str:
        """Return the bug as a diff without context, its header left out."""
        lines = difflib.unified_diff(
            self.text.splitlines(), self.mutant.planted(self.text).splitlines(), n=0, lineterm=""
        )
        return "\n".join(list(lines)[3:])

    def digest(self, tree: str) -> str:
        """Return a name under which the result can be kept: another text or another test is another question."""
        return hashlib.sha256(f"{tree}\0{self.path}\0{self.mutant.planted(self.text)}".encode()).hexdigest()[:20]


def main() -> int:
    """Plant, run, print the survivors and a table; 1 when there are survivors."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", metavar="GLOB", help="only these files")
    parser.add_argument("--kind", action="append", help="only these kinds of bug")
    parser.add_argument("--sample", type=int, metavar="N", help="so many bugs of each file, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="print what would be planted, as diffs")
    parser.add_argument(
        "--deep", action="store_true", default=bool(os.environ.get("DEEP")), help="integration tests too"
    )
    parser.add_argument("--again", action="store_true", help="forget the results of earlier runs")
    arguments = parser.parse_args()
    chosen = choose(arguments.only or FILES, arguments.kind, arguments.sample, arguments.seed)
    if arguments.list:
        for one in chosen:
            print(f"{one.path}:{one.line} {one.mutant.kind}\n{one.diff()}\n")
        return 0
    commands = [*QUICK, *(DEEP if arguments.deep else [])]
    if any(one.path.startswith("glue/") for one in chosen):
        commands.append(SPARK)
    results = run(chosen, commands, arguments.jobs, again=arguments.again)
    survivors = [one for one in chosen if results[one] == "survived"]
    for one in survivors:
        print(f"\n{one.path}:{one.line} {one.mutant.kind}\n{one.diff()}")
    print(f"\n{table(results)}")
    return 1 if survivors else 0


def choose(globs: list[str], kinds: list[str] | None, sample: int | None, seed: int) -> list[Planted]:
    """Return the bugs to plant: all, or a sample of each file."""
    found: list[Planted] = []
    for path in sorted({path for glob in globs for path in REPOSITORY.glob(glob)}):
        text, name = path.read_text(), str(path.relative_to(REPOSITORY))
        here = [Planted(name, text, one) for one in planting.mutants(path, text) if not kinds or one.kind in kinds]
        if sample and sample < len(here):
            here = sorted(random.Random(f"{seed}{name}").sample(here, sample), key=lambda one: one.mutant.start)  # noqa: S311
        found += here
    return found


def run(chosen: list[Planted], commands: list[list[str]], jobs: int, *, again: bool) -> dict[Planted, str]:
    """Run the commands on each bug until one fails, in copies of the tree; what is known already is not run again."""
    tree = _digest_of_tree(commands)
    notes = ROOM / "results.jsonl"
    notes.parent.mkdir(parents=True, exist_ok=True)
    if again:
        notes.unlink(missing_ok=True)
    known = dict(json.loads(line) for line in notes.read_text().splitlines()) if notes.exists() else {}
    rooms: queue.Queue[Path] = queue.Queue()
    for number in range(jobs):
        rooms.put(copy_tree(ROOM / f"tree-{number}"))
    _check_clean(rooms, commands)
    results: dict[Planted, str] = {}

    def work(one: Planted) -> tuple[Planted, str]:
        digest = one.digest(tree)
        if digest in known:
            return one, known[digest]
        room = rooms.get()
        try:
            return one, _result(one, room, commands)
        finally:
            rooms.put(room)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool, notes.open("a") as log:
        for done, (one, result) in enumerate(pool.map(work, chosen), 1):
            results[one] = result
            log.write(json.dumps([one.digest(tree), result]) + "\n")
            log.flush()
            print(f"{done}/{len(chosen)} {one.path}:{one.line} {one.mutant.kind}: {result}", file=sys.stderr)
    return results


def table(results: dict[Planted, str]) -> str:
    """Count what was noticed, file by file, as Markdown."""
    counts = Counter((one.path, result) for one, result in results.items())
    rows = ["| file | noticed | survived | of |", "|---|---|---|---|"]
    for path in sorted({path for path, _ in counts}):
        noticed, survived = counts[path, "noticed"], counts[path, "survived"]
        share = f"{noticed / (noticed + survived):.0%}" if noticed + survived else "-"
        rows.append(f"| `{path}` | {noticed} ({share}) | {survived} | {noticed + survived} |")
    return "\n".join(rows)


def _result(one: Planted, room: Path, commands: list[list[str]]) -> str:
    planted = one.mutant.planted(one.text)
    if not planting.readable(Path(one.path), planted):
        return "unreadable"
    target = room / one.path
    target.write_text(planted)
    try:
        return "noticed" if any(_fails(command, room) for command in commands) else "survived"
    finally:
        target.write_text(one.text)


def _fails(command: list[str], room: Path) -> bool:
    environment = {
        **os.environ,
        "SAM_CLI_TELEMETRY": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": f"{DEV}:{os.environ['PATH']}",
    }
    try:
        ran = subprocess.run(command, cwd=room, env=environment, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return True
    (room / "last.log").write_bytes(ran.stdout + ran.stderr)
    return ran.returncode != 0


def _check_clean(rooms: "queue.Queue[Path]", commands: list[list[str]]) -> None:
    room = rooms.get()
    for command in commands:
        if _fails(command, room):
            sys.exit(
                f"Without a bug this fails already: {' '.join(command)}\n{(room / 'last.log').read_text()[-3000:]}"
            )
    rooms.put(room)


def _tracked() -> list[str]:
    git = shutil.which("git") or "git"
    listed = subprocess.run(
        [git, "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()]


def copy_tree(room: Path, keep: str = "") -> Path:
    """Copy what git knows, changes included; the environments are shared, and one folder may stay as it was."""
    for old in room.iterdir() if room.is_dir() else []:
        if old.name != keep:
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    for name in _tracked():
        (room / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, room / name)
    (room / ".venv").symlink_to(REPOSITORY / ".venv")
    return room


def _digest_of_tree(commands: list[list[str]]) -> str:
    digest = hashlib.sha256(json.dumps(commands).encode())
    for name in _tracked():
        digest.update(name.encode() + b"\0" + (REPOSITORY / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
