"""What one execution environment is told of windows, and keeps.

Every arrival imports this; shared/domain/windows.py, which has the protocol, only one whose route gathers.
"""

from typing import NamedTuple

# What is remembered at most. A burst in one folder needs one entry of each.
MOST_OPEN = 256
MOST_MANIFESTS = 32

type Upload = tuple[str, str, int]
"""What makes an upload itself: key, ETag, `LastModified` in seconds since 1970. HEAD and listings both tell it."""


class Opened(NamedTuple):
    """StartExecution's answer: the start date in seconds since 1970, and whether this call began the execution."""

    start_date: float
    new: bool


class Memory:
    """Start dates of windows that this environment was told of, and manifests that it has read.

    Both are safe to keep. A start date never changes, and a manifest neither. An arrival that S3 had before the
    deadline of a window that was once started is in that window's manifest, or, should the window have been stopped, in
    the one of a later generation, which lists later still. That a manifest is *absent* is never kept: it may be there
    by now.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.start_dates: dict[str, float] = {}
        self.manifests: dict[str, frozenset[Upload]] = {}

    def keep_start_date(self, name: str, start_date: float) -> None:
        """Keep when a window was started."""
        _keep(self.start_dates, name, start_date, MOST_OPEN)

    def keep_manifest(self, key: str, uploads: frozenset[Upload]) -> None:
        """Keep what a manifest holds."""
        _keep(self.manifests, key, uploads, MOST_MANIFESTS)


def _keep[T](known: dict[str, T], name: str, value: T, most: int) -> None:
    known[name] = value
    if len(known) > most:
        del known[next(iter(known))]
