"""The pages and the task file, and ways to read them."""

import os
import re
import shutil
import subprocess
from functools import cache

from tests.unit.builders import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "events/README.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
    REPOSITORY / "examples" / "routes" / "README.md",
]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
ENVIRONMENTS = re.findall(r"\.venv/(\w+)/", re.findall(r"^envs := (.*)$", MAKEFILE, re.MULTILINE)[0])


@cache
def read(page: str) -> str:
    return (REPOSITORY / page).read_text()


def plain(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


def blocks(text: str, kind: str) -> list[str]:
    """Return the blocks of code of a kind: sh, json or toml."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_blocks(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def section(text: str, heading: str) -> str:
    """Return a section, without those after it."""
    return text.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def rows(text: str, header: str) -> list[list[str]]:
    """Return the cells of a table, row by row, by the beginning of its header."""
    table = text.partition(f"\n| {header} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def words(cell: str) -> list[str]:
    """Return what is in backticks."""
    return re.findall(r"`([^`\n]+)`", cell)


@cache
def commands(*words: str, made: bool = True) -> list[str]:
    """Return what `make` would run, in order; the environments count as made."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    old = [f"-o.venv/{name}/.ready" for name in ENVIRONMENTS if made]
    asked = [shutil.which("make") or "make", "-n", "-o", "setup", *old, *words]
    ran = subprocess.run(asked, cwd=REPOSITORY, env=environment, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, f"make {' '.join(words)}: {ran.stderr}"
    return ran.stdout.splitlines()
