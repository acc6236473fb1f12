"""Run mutmut on the functions of src/, in a copy of the tree that is kept, so that it goes on where it was left."""

import subprocess
import sys
from collections import Counter

from tests.mutants.__main__ import REPOSITORY, ROOM, copy_tree

MUTMUT = str(REPOSITORY / ".venv" / "mutants" / "bin" / "mutmut")


def main() -> None:
    """Run it, print the survivors and a table."""
    room = copy_tree(ROOM / "functions", keep="mutants")
    subprocess.run([MUTMUT, "run", "--max-children", "2"], cwd=room, stdout=sys.stderr, check=True)
    listed = subprocess.run([MUTMUT, "results", "--all", "true"], cwd=room, capture_output=True, text=True, check=True)
    results = dict(line.strip().rsplit(": ", 1) for line in listed.stdout.splitlines() if ": " in line)
    for name, result in results.items():
        if result == "survived":
            shown = subprocess.run([MUTMUT, "show", name], cwd=room, capture_output=True, text=True, check=True)
            print(shown.stdout)
    print(f"\n{table(results)}")


def table(results: dict[str, str]) -> str:
    """Count what was noticed, module by module, as Markdown; a time-out is noticed."""
    counts = Counter((name.rpartition(".")[0], result == "survived") for name, result in results.items())
    rows = ["| module | noticed | survived |", "|---|---|---|"]
    for module in sorted({module for module, _ in counts}):
        noticed, survived = counts[module, False], counts[module, True]
        rows.append(f"| `{module}` | {noticed} ({noticed / (noticed + survived):.0%}) | {survived} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
