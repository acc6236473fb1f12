"""The private names that the local cloud replaces exist in the pinned version, and only there does it start."""

import re
import subprocess

from local.emulator.process import PYTHON, REPOSITORY


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the environment of the local cloud."""
    return subprocess.run([str(PYTHON), *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_every_replaced_name_exists() -> None:
    """The server lists what it replaces, or refuses to start."""
    listed = run("-m", "local.emulator", "--check")

    assert 0 == listed.returncode, listed.stderr
    assert "ministack.services.stepfunctions._start_execution" in listed.stdout.splitlines()


def test_the_version_is_the_pinned_one() -> None:
    """The extension, the requirement and what is installed agree."""
    pinned = re.search(r"ministack\[full\]==(\S+)", (REPOSITORY / "requirements" / "cloud.in").read_text())
    assert pinned

    printed = run("-c", "from local.emulator import seams; print(seams.MINISTACK_VERSION)")

    assert pinned[1] == printed.stdout.strip()


def test_another_version_is_refused() -> None:
    """A release that moved the names must not half work."""
    program = "from local.emulator import seams; seams.MINISTACK_VERSION = '0'; seams.apply()"

    refused = run("-c", program)

    assert "extends exactly 0" in refused.stderr
