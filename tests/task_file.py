"""The Makefile, and what make would do."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
ENVIRONMENTS = re.findall(r"\.venv/(\w+)/", re.findall(r"^envs := (.*)$", MAKEFILE, re.MULTILINE)[0])


@cache
def commands(*words: str, made: bool = True) -> list[str]:
    """Return what `make` would run, in order; the environments count as made."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    old = [f"-o.venv/{name}/.ready" for name in ENVIRONMENTS if made]
    asked = [shutil.which("make") or "make", "-n", "-o", "setup", *old, *words]
    ran = subprocess.run(asked, cwd=REPOSITORY, env=environment, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, f"make {' '.join(words)}: {ran.stderr}"
    return ran.stdout.splitlines()
