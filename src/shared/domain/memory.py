"""The memory of one execution environment: start dates and manifests of windows.

Every arrival imports this module. Only an arrival whose route gathers imports shared/domain/windows.py, the protocol.
"""

from typing import NamedTuple

# The most entries of each kind. A burst in one folder needs one of each.
MOST_OPEN = 256
MOST_MANIFESTS = 32

type Upload = tuple[str, str, int]
"""The identity of an upload: key, ETag, `LastModified` in seconds since 1970. HEAD and listings both have it."""


class Opened(NamedTuple):
    """StartExecution's answer: the start date in seconds since 1970, and whether this call began the execution."""

    start_date: float
    new: bool


class Memory:
    """The start dates and the manifests of windows that this environment has seen.

    Both are safe to keep, because neither ever changes. If S3 had an upload before the deadline of a started window,
    the upload is in that window's manifest. If the window was stopped, it is in the manifest of a later generation,
    which lists later. The memory never keeps that a manifest is *absent*: it may be there by now.
    """

    def __init__(self) -> None:
        """Make an empty memory."""
        self.start_dates: dict[str, float] = {}
        self.manifests: dict[str, frozenset[Upload]] = {}

    def keep_start_date(self, name: str, start_date: float) -> None:
        """Keep the start date of a window."""
        _keep(self.start_dates, name, start_date, MOST_OPEN)

    def keep_manifest(self, key: str, uploads: frozenset[Upload]) -> None:
        """Keep the uploads of a manifest."""
        _keep(self.manifests, key, uploads, MOST_MANIFESTS)


def _keep[T](known: dict[str, T], name: str, value: T, most: int) -> None:
    known[name] = value
    if len(known) > most:
        del known[next(iter(known))]
