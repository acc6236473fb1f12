"""Linux's facts about a process: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def stat(process: int) -> list[str]:
    """Return the fields of its status, from the third on: the first two are its id and its name.

    Raises OSError when it is gone.
    """
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def alive(process: int) -> bool:
    """Return whether it still runs; an ended process stays listed until its parent asks for it."""
    with suppress(OSError):
        return stat(process)[0] != "Z"
    return False


def children(process: int) -> Iterator[int]:
    """Find the processes that it has started and that are still listed."""
    for listed in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(stat(int(listed.name))[1]) == process:
                yield int(listed.name)
