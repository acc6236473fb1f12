"""Plan: what to start for an object, under which name, with which input.

Everything here is a function of (object, route) and nothing else: no clock, no event id, no request id. That is what
makes a duplicate delivery, the CloudTrail event and the native event of one upload, a replay and a backfill agree.
"""

import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.arrival import ObjectCreated, Skip, SkipReason
from shared.errors import ForeignObjectError, SettingsError, UnsafeTargetError
from shared.routes import NO_ROUTES, RouteTable, Taken
from shared.windows import Arrival, File, Generation, Window, Windows, own_folder, read_manifest, target

NAME_LENGTH = 80
DIGEST_LENGTH = 32
# In place of a route file's name, which has no such characters.
PARAMETERS_ROUTE = "(parameters)"


if TYPE_CHECKING:
    Table = RouteTable
    Found = Taken | None
else:
    # They are no settings: pydantic, which reads those into a Route, must spend no time on them.
    Table = Found = Any


@dataclass(frozen=True, slots=True)
class Route:
    """Where uploads come from and what they start; capacity in DPUs (G.1X workers); no window at all is 0 seconds.

    The stack has one, from its parameters, with the table of its route files. `choose` makes the route of a key from it.
    """

    account_id: str
    source_bucket_name: str
    source_prefix: str
    state_machine_arn: str
    job_name: str
    target_prefix: str
    glue_max_capacity_dpus: int
    window_seconds: int
    window_machine_arn: str
    results_bucket_name: str
    table: Table = NO_ROUTES
    # The route file that took the key, and what it captured.
    taken: Found = None

    @property
    def name(self) -> str | None:
        """The name of the route file that took the key, if there is one."""
        return self.taken.route.name if self.taken else None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """The object as S3 describes it now; size in bytes."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    last_modified: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution to start: its state machine, its name and its input as JSON; `route` is a route file's name."""

    state_machine_arn: str
    name: str
    input: str
    route: str | None = None

    @property
    def arn(self) -> str:
        """The ARN it has once started (executions of Standard workflows only)."""
        partition, service, region, account, _, machine = self.state_machine_arn.split(":")[1:7]
        return f"arn:{partition}:{service}:{region}:{account}:execution:{machine}:{self.name}"


class Gathering(NamedTuple):
    """An arrival to bring into its window: the machine that collects it, and the bucket of its manifests."""

    arrival: Arrival
    machine_arn: str
    results_bucket: str
    route: str | None = None


def screen(created: ObjectCreated, route: Route) -> Skip | None:
    """Return what the key alone decides: a skip, or None when the object has to be looked at.

    Raises ForeignObjectError for an object that this route must not touch.
    """
    if created.account != route.account_id:
        raise ForeignObjectError(
            f"Account {created.account!a} is not this stack's ({route.account_id}): "
            "deploy the stack in the account that owns the bucket."
        )
    if created.bucket != route.source_bucket_name:
        raise ForeignObjectError(
            f"Bucket {created.bucket!a} is not this stack's ({route.source_bucket_name}): "
            "deploy a second stack with SourceBucketName, or fix the rule that sent this event."
        )
    target = route.target_prefix.rstrip("/") + "/"
    # With route files this is the target of the stack's own job; theirs can't loop, or the build would have refused them.
    if not route.table and created.key.startswith(target):
        return Skip(SkipReason.TARGET_PREFIX, f"under {target!a}, where the job writes: starting would loop")
    if not created.key.startswith(route.source_prefix):
        return Skip(SkipReason.WRONG_PREFIX, f"not under {route.source_prefix!a}")
    if created.key.endswith(("/", "_$folder$")):
        return Skip(SkipReason.FOLDER_MARKER, "a folder marker, not a file")
    return None


def choose(created: ObjectCreated, route: Route) -> Route | Skip:
    """Return the route of the object's key: the stack's own, or where there are route files that of the one that takes it.

    Raises ForeignObjectError for an object that is not this stack's, and UnsafeTargetError.
    """
    if skip := screen(created, route):
        return skip
    if not route.table:
        return route
    taken = route.table.find(created.key)
    if taken is None:
        return Skip(SkipReason.NO_ROUTE, "no route's match fits the key: `make route KEY=…` tells which come near")
    target = taken.target
    if not taken.is_safe:
        error = UnsafeTargetError(
            f"Key {created.key!a} makes the target {target!a} of route {taken.route.name}: jobs resolve its empty, '.' or "
            "'..' segment, and would write elsewhere. Upload the object under another key, or make the match narrower."
        )
        error.route = taken.route.name
        raise error
    return replace(
        route,
        state_machine_arn=taken.route.machine_arn(route.state_machine_arn),
        job_name=taken.route.job_name,
        target_prefix=target,
        window_seconds=taken.route.window_seconds,
        taken=taken,
    )


def plan(stored: StoredObject, route: Route, reprocess: str | None = None) -> Execution | Skip:
    """Decide what to start for an object by the route of its key.

    `reprocess` is a label of the user's own: it becomes part of the name, and so is the one way to a second start.
    """
    if skip := _empty(stored.size, route):
        return skip
    name = execution_name(stored, route, reprocess)
    return Execution(route.state_machine_arn, name, execution_input(stored, route), route.name)


def gather(stored: StoredObject, route: Route, seen_at: float, reprocess: str | None = None) -> Gathering | Skip:
    """Decide which window an object belongs to by the route of its key; `seen_at` is when S3 had told of it."""
    if skip := _empty(stored.size, route):
        return skip
    file = File(stored.key, stored.size, stored.etag, int(stored.last_modified.timestamp()))
    name = route.name or f"{route.job_name}:{route.target_prefix}"
    windows = Windows(name, route.source_bucket_name, route.window_seconds)
    arrival = Arrival(windows.of(file, _folder(file.key, route), reprocess), file, seen_at)
    return Gathering(arrival, route.window_machine_arn, route.results_bucket_name, route.name)


def belongs(file: File, window: Window, route: Route) -> bool:
    """Return whether a listed object is one that its own arrival would bring into this folder's windows.

    Raises ForeignObjectError for a window of another bucket.
    """
    try:
        chosen = choose(ObjectCreated(window.bucket, file.key, None, route.account_id), route)
    except UnsafeTargetError:  # its own event fails, and says so
        return False
    return (
        not isinstance(chosen, Skip)
        and _empty(file.size, chosen) is None
        and _folder(file.key, chosen) == window.folder
        # Those of the parameters' one route go on when a parameter changes, on the job that there is now.
        and (chosen.name or PARAMETERS_ROUTE) == (window.route if ":" not in window.route else PARAMETERS_ROUTE)
    )


def is_listed_deep(window: Window, route: Route) -> bool:
    """Return whether the window's files may lie in folders of its folder."""
    return any(one.name == window.route and one.source is not None for one in route.table.routes)


def plan_window(generation: Generation, manifest: bytes, route: Route) -> Execution | None:
    """Decide what to start for the files of a window: one execution on the folder, or None when there are none.

    The folder decides job, target and parameters: the build refuses a route with windows where another capture does.
    Raises SettingsError where the route is gone.
    """
    files, window = read_manifest(manifest), generation.window
    if not files:
        return None
    chosen = choose(ObjectCreated(window.bucket, files[0].key, None, route.account_id), route)
    if isinstance(chosen, Skip):
        raise SettingsError(
            f"No route takes {files[0].key!a} any more, for which a window of route {window.route!a} was opened: deploy "
            "the route again, then redrive the window."
        )
    size = sum(file.size for file in files)
    taken, added = chosen.taken, {}
    if taken:
        captures = {name: taken.captures[name] for name in taken.route.folder_captures}
        added = {"route": chosen.name, "captures": captures, "parameters": taken.parameters}
    parameters = {**_parameters(chosen, window.folder, size), **added}
    name, written = target(generation, manifest, route.results_bucket_name, parameters)
    return Execution(chosen.state_machine_arn, name, written, chosen.name)


def _empty(size: int, route: Route) -> Skip | None:
    if size or (route.taken and route.taken.route.accept_empty):
        return None
    return Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform", route.name)


def _folder(key: str, route: Route) -> str:
    """Return what a window gathers: the source where the route has one, otherwise the key up to its last slash."""
    taken = route.taken
    return taken.source(key) if taken and taken.route.source is not None else own_folder(key)


def execution_name(stored: StoredObject, route: Route, reprocess: str | None = None) -> str:
    """Name the execution after the upload: readable part, dash, 32 hex digits.

    The capacity is no part of it: turning it up is no reason to run every file again. A route file has a name of its own,
    so that there job and target are none either. On an unversioned bucket ETag and last-modified stand in for the version
    id, so that an overwrite is a new upload.
    """
    upload = stored.version_id or [stored.etag, _timestamp(stored.last_modified)]
    turned_into = [route.name] if route.name else [route.job_name, route.target_prefix]
    identity = [*turned_into, stored.bucket, stored.key, upload, reprocess]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:DIGEST_LENGTH]
    return f"{_readable(stored.key)}-{digest}"


def execution_input(stored: StoredObject, route: Route) -> str:
    """Write the input canonically: the workshop's five parameters, what S3 said of the object, and what its route adds."""
    taken = route.taken
    added = {"route": route.name, "captures": taken.captures, "parameters": taken.parameters} if taken else {}
    source = taken.source(stored.key) if taken else stored.key
    return json.dumps(
        {
            **_parameters(route, source, stored.size),
            "object": {
                "key": stored.key,
                "size": stored.size,
                "etag": stored.etag,
                "version_id": stored.version_id,
                "last_modified": _timestamp(stored.last_modified),
            },
            **added,
        }
    )


def _parameters(route: Route, source: str, size: int) -> dict[str, object]:
    """Return the workshop's five; the size, in bytes, chooses the capacity where a route file has a ladder."""
    capacity = route.glue_max_capacity_dpus
    return {
        "glue_max_capacity_dpus": route.taken.route.dpus(size, capacity) if route.taken else capacity,
        "JOB_NAME": route.job_name,
        "BUCKET_NAME": route.source_bucket_name,
        "SRC_PREFIX": source,
        "TRG_PREFIX": route.target_prefix,
    }


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _readable(key: str) -> str:
    """Take what Step Functions allows in a name from the file name, without its extension."""
    stem = key.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    longest = NAME_LENGTH - DIGEST_LENGTH - 1
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:longest] or "object"
