"""An object that arrived, from any announcement, and the reasons to start nothing for it.

This module and all that each arrival imports use named tuples: a cold start needs three times as long for a dataclass.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Source(StrEnum):
    """The origin of an announcement: the values of the metric dimension `source`, which is no route's `source`."""

    NATIVE = "native"
    CLOUDTRAIL = "cloudtrail"
    BACKFILL = "backfill"
    OTHER = "other"


class SkipReason(StrEnum):
    """The reasons to start nothing: the values of the metric dimension `reason` on skips."""

    EMPTY_OBJECT = "empty_object"
    FAILED_CALL = "failed_call"
    FOLDER_MARKER = "folder_marker"
    HIDDEN_FILE = "hidden_file"
    NO_ROUTE = "no_route"
    NOT_AN_ARRIVAL = "not_an_arrival"
    OBJECT_GONE = "object_gone"
    PAUSED = "paused"
    TARGET_PREFIX = "target_prefix"
    WRONG_PREFIX = "wrong_prefix"


class Announcement(NamedTuple):
    """The facts of any payload, read once for the decision, the log and the metrics.

    `said` holds the values that the payload has, of any type, under the names of `shared/domain/parse.py`. `payload` is
    the whole payload, for a hint if it is no event.
    """

    source: Source
    said: Mapping[str, object]
    payload: object = None


class ObjectCreated(NamedTuple):
    """One object that was announced; `version_id` is None on a bucket that doesn't version."""

    bucket: str
    key: str
    version_id: str | None
    account: str


class StoredObject(NamedTuple):
    """The object as S3 describes it now; size in bytes.

    `content_type` and `metadata` (the object's own, by name) are for the job alone: they do not identify the upload.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    last_modified: datetime
    size: int
    content_type: str | None = None
    metadata: Mapping[str, str] = MappingProxyType({})


class Skip(NamedTuple):
    """The plan to start nothing, with the reason as a word and as a sentence; `route` is a route file's name."""

    reason: SkipReason
    why: str
    route: str | None = None


def real_version(version_id: str | None) -> str | None:
    """Return None for S3's absent, empty and literal `null` version ids: all three mean that there are no versions.

    A put on a bucket with suspended versioning announces no version id, but a later HEAD of that object says `null`.
    """
    return None if version_id in (None, "", "null") else version_id
