"""Gather: which window or set an upload joins, which listed objects a window has, and what starts on its files.

shared/domain/start.py calls `plan_gathering`, `bring` and `foresee_bringing` where a route has a window or a set.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.arrival import ObjectCreated, StoredObject
from shared.domain.choose import check_values, choose_listed, find_route, folder_of, screen
from shared.domain.errors import ForeignObjectError, SettingsError
from shared.domain.memory import Memory
from shared.domain.outcome import Coalesced, Duplicate, Started, Waiting
from shared.domain.plan import Execution, five_parameters, route_parameters
from shared.domain.routes import Choice
from shared.domain.stack import Stack
from shared.domain.windows import (
    File,
    Generation,
    Group,
    Joined,
    Listing,
    Sighting,
    Slots,
    Window,
    foresee_join,
    join,
    name_and_input,
    parse_manifest,
)

if TYPE_CHECKING:
    from shared.domain.start import Gates


class Gathering(NamedTuple):
    """The plan to bring an upload into its window or set: the machine that collects it, and where its manifests are.

    `run` is the execution on a set's content, which is known before there is a manifest.
    """

    sighting: Sighting[Any]
    machine_arn: str
    results_bucket: str
    route: str | None = None
    run: Execution | None = None


# ---- The arrival ----


def plan_gathering(
    gates: "Gates", stored: StoredObject, choice: Choice, stack: Stack, reprocess: str | None
) -> Gathering | Waiting:
    """Plan to bring an object, of which S3 has told, into the set or the window of its route.

    Raises SetTooLargeError, PermanentCallError or RetryableCallError.
    """
    if choice.route.set:
        return _look_at_set(gates, stored, choice, stack, reprocess)
    # After S3's answer, not before: what it told was visible by then, however long it took.
    return gather(stored, choice, stack, gates.clock(), reprocess)


def bring(gates: "Gates", planned: Gathering) -> Started | Coalesced | Duplicate:
    """Bring an upload into its window or set: open a generation, or find the one that is open or has it.

    Raises PermanentCallError or RetryableCallError.
    """
    joined = join(
        planned.sighting,
        _memory(gates, planned),
        lambda key: gates.read_manifest(planned.results_bucket, key),
        lambda name, given: gates.start_execution(Execution(planned.machine_arn, name, given)),
    )
    if planned.run:
        # Members come together, often within the tolerance for clocks, and each would count as the start. So the name
        # is remembered, for the word `started` alone; of its time nobody asks.
        name = joined.generation.name
        joined = joined._replace(new=joined.new and name not in gates.memory.start_dates)
        gates.memory.keep_start_date(name, planned.sighting.seen_at)
    return _joined(joined, planned)


def foresee_bringing(gates: "Gates", planned: Gathering) -> Started | Coalesced | Duplicate:
    """Return where an upload would be brought, without opening anything.

    Raises PermanentCallError or RetryableCallError.
    """
    joined = foresee_join(
        planned.sighting,
        _memory(gates, planned),
        lambda key: gates.read_manifest(planned.results_bucket, key),
        lambda name: gates.read_start_date(Execution(planned.machine_arn, name, "")),
    )
    return _joined(joined, planned)


def gather(
    stored: StoredObject, choice: Choice, stack: Stack, seen_at: float, reprocess: str | None = None
) -> Gathering:
    """Plan which window an object joins by the route of its key; `seen_at` is when S3 had told of it."""
    file = file_of(stored)
    slots = Slots(_owner(choice), stack.source_bucket_name, choice.route.window_seconds)
    sighting = Sighting(slots.window_of(file, folder_of(file.key, choice), reprocess), file, seen_at)
    return Gathering(sighting, stack.window_machine_arn, stack.results_bucket_name, choice.name)


def file_of(stored: StoredObject) -> File:
    """Return an object as a listing tells it."""
    return File(stored.key, stored.size, stored.etag, int(stored.last_modified.timestamp()))


def _look_at_set(
    gates: "Gates", stored: StoredObject, choice: Choice, stack: Stack, reprocess: str | None
) -> Gathering | Waiting:
    # Here and not above: sets imports this module, and an arrival without a set should not pay for it.
    from shared.domain import sets  # noqa: PLC0415

    def head(key: str) -> File | None:
        if key == stored.key:  # it was looked at just now
            return file_of(stored)
        other = gates.read_object(ObjectCreated(stored.bucket, key, None, stack.account_id))
        return file_of(other) if other else None

    look_at = partial(sets.look, stack=stack, head=head, list_page=gates.list_page)
    return sets.gather_set(choice, stack, look_at, gates.clock, reprocess)


def _memory(gates: "Gates", planned: Gathering) -> Memory:
    """Return what is known of windows; of a set nothing, because an execution that was stopped must be noticed."""
    return Memory() if planned.run else gates.memory


def _joined(joined: Joined[Any], planned: Gathering) -> Started | Coalesced | Duplicate:
    if joined.named and planned.run:
        return Duplicate(planned.run.arn, planned.route)
    arn = Execution(planned.machine_arn, joined.generation.name, joined.generation.input).arn
    return Started(arn, planned.route) if joined.new else Coalesced(arn, planned.route)


# ---- The collector ----


def refuse_foreign(group: Group, stack: Stack) -> None:
    """Raise ForeignObjectError for a window or a set of another bucket."""
    if group.bucket != stack.source_bucket_name:
        raise ForeignObjectError(
            f"Bucket {group.bucket!a} is not this stack's ({stack.source_bucket_name}), and what was gathered there waits: "
            "deploy with that SourceBucketName, then redrive."
        )


def belongs(file: File, window: Window, stack: Stack) -> bool:
    """Return whether a listed object is one that its own arrival would bring into this folder's windows.

    Raises ForeignObjectError for a window of another bucket.
    """
    refuse_foreign(window, stack)
    choice = choose_listed(file.key, file.size, stack)
    return (
        choice is not None
        and folder_of(file.key, choice) == window.folder
        # Windows of the parameters' one route go on when a parameter changes, on the job that there is now.
        and (choice.name == window.route if choice.name else _is_of_parameters(window))
    )


def listing_of(window: Window, stack: Stack) -> Listing:
    """Return what to list for a window."""
    # Both are beginnings of the keys that count, so the longer one lists less.
    prefix = max(window.folder, stack.source_prefix, key=len)
    return Listing(window.bucket, stack.account_id, prefix, is_listed_deep(window, stack))


def is_listed_deep(window: Window, stack: Stack) -> bool:
    """Return whether the window's files may lie in folders of its folder."""
    return any(route.name == window.route and route.source is not None for route in stack.table.routes)


def plan_window(generation: Generation, manifest: bytes, stack: Stack) -> Execution | None:
    """Plan the execution for the files of a window: one, on the folder, or None when there are none.

    The folder decides job, target and parameters: the build refuses a route with windows where another capture does.
    Raises SettingsError where the route is gone, UnsafeTargetError and UnsafeArgumentError.
    """
    files, window = parse_manifest(manifest), generation.group
    if not files:
        return None
    first = ObjectCreated(window.bucket, files[0].key, None, stack.account_id)
    # Not `choose`: a file that is in the manifest counts, whatever a later version of this would say of its name.
    choice = None if screen(first, stack) else find_route(first.key, stack)
    if choice is None:
        raise SettingsError(
            f"No route takes {files[0].key!a} any more, for which a window of route {window.route!a} was opened: deploy "
            "the route again, then redrive the window."
        )
    check_values(first.key, choice)
    captures = {name: choice.captures[name] for name in choice.route.folder_captures}
    parameters = {
        **five_parameters(choice, stack, window.folder, sum(file.size for file in files)),
        **route_parameters(choice, captures),
    }
    name, written = name_and_input(generation, manifest, stack.results_bucket_name, parameters)
    return Execution(choice.route.machine_arn(stack.state_machine_arn), name, written, choice.name)


def _owner(choice: Choice) -> str:
    """Return what stands for the route in a window's identity; no route file's name has a colon."""
    return choice.name or f"{choice.route.job_name}:{choice.target}"


def _is_of_parameters(window: Window) -> bool:
    return ":" in window.route
