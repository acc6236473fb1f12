"""Gather: find the window or set that an upload joins, the listed objects of a window, and the run on its files.

If a route has a window or a set, shared/domain/start.py calls `plan_gathering`, `bring` and `foresee_bringing`.
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
    """The plan to bring an upload into its window or set: the machine that collects it, the bucket of its manifests.

    `run` is the execution on a set's content; it is known before there is a manifest.
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
    """Plan to bring an object, as S3 has described it, into the set or the window of its route.

    Raises SetTooLargeError, PermanentCallError or RetryableCallError.
    """
    if choice.route.set:
        return _look_at_set(gates, stored, choice, stack, reprocess)
    # The clock is read after S3's answer: by then the object was visible, even if the answer was slow.
    return gather(stored, choice, stack, gates.clock(), reprocess)


def bring(gates: "Gates", planned: Gathering) -> Started | Coalesced | Duplicate:
    """Bring an upload into its window or set: open a generation, or find the open one or the one that has it.

    Raises PermanentCallError or RetryableCallError.
    """
    joined = join(
        planned.sighting,
        _memory(gates, planned),
        lambda key: gates.read_manifest(planned.results_bucket, key),
        lambda name, given: gates.start_execution(Execution(planned.machine_arn, name, given)),
    )
    if planned.run:
        # Members often come together, within the tolerance for clocks, so each would count as the start. So the name is
        # remembered, only for the word `started`; its start date is not used.
        name = joined.generation.name
        joined = joined._replace(new=joined.new and name not in gates.memory.start_dates)
        gates.memory.keep_start_date(name, planned.sighting.seen_at)
    return _joined(joined, planned)


def foresee_bringing(gates: "Gates", planned: Gathering) -> Started | Coalesced | Duplicate:
    """Return the generation that an upload would join, without opening anything.

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
    """Plan the window that an object joins, by the route of its key; `seen_at` is the time after S3's answer."""
    file = file_of(stored)
    slots = Slots(_owner(choice), stack.source_bucket_name, choice.route.window_seconds)
    sighting = Sighting(slots.window_of(file, folder_of(file.key, choice), reprocess), file, seen_at)
    return Gathering(sighting, stack.window_machine_arn, stack.results_bucket_name, choice.name)


def file_of(stored: StoredObject) -> File:
    """Return an object as a listing has it."""
    return File(stored.key, stored.size, stored.etag, int(stored.last_modified.timestamp()))


def _look_at_set(
    gates: "Gates", stored: StoredObject, choice: Choice, stack: Stack, reprocess: str | None
) -> Gathering | Waiting:
    # Imported here: sets imports this module, and an arrival without a set should not pay for it.
    from shared.domain import sets  # noqa: PLC0415

    def head(key: str) -> File | None:
        if key == stored.key:  # S3 has just been asked for it
            return file_of(stored)
        other = gates.read_object(ObjectCreated(stored.bucket, key, None, stack.account_id))
        return file_of(other) if other else None

    look_at = partial(sets.look, stack=stack, head=head, list_page=gates.list_page)
    return sets.gather_set(choice, stack, look_at, gates.clock, reprocess)


def _memory(gates: "Gates", planned: Gathering) -> Memory:
    """Return the memory of windows; a set has none, because an arrival must notice a stopped execution."""
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
            f"Bucket {group.bucket!a} is not this stack's ({stack.source_bucket_name}), and the files gathered there wait: "
            "deploy with that SourceBucketName, then redrive."
        )


def belongs(file: File, window: Window, stack: Stack) -> bool:
    """Return whether a listed object's own arrival would join a window of this folder.

    Raises ForeignObjectError for a window of another bucket.
    """
    refuse_foreign(window, stack)
    choice = choose_listed(file.key, file.size, stack)
    return (
        choice is not None
        and folder_of(file.key, choice) == window.folder
        # If a parameter changes, open windows of the parameters' route go on, with the job of the new parameters.
        and (choice.name == window.route if choice.name else _is_of_parameters(window))
    )


def listing_of(window: Window, stack: Stack) -> Listing:
    """Return the listing of a window."""
    # Every key that counts begins with both, so the longer one lists less.
    prefix = max(window.folder, stack.source_prefix, key=len)
    return Listing(window.bucket, stack.account_id, prefix, is_listed_deep(window, stack))


def is_listed_deep(window: Window, stack: Stack) -> bool:
    """Return whether the window's files may be in folders below its folder."""
    return any(route.name == window.route and route.source is not None for route in stack.table.routes)


def plan_window(generation: Generation, manifest: bytes, stack: Stack) -> Execution | None:
    """Plan the one execution for the files of a window, on its folder; None if there are no files.

    The folder decides job, target and parameters: the build refuses a route with windows that uses other captures.
    Raises SettingsError if the route is gone, UnsafeTargetError and UnsafeArgumentError.
    """
    files, window = parse_manifest(manifest), generation.group
    if not files:
        return None
    first = ObjectCreated(window.bucket, files[0].key, None, stack.account_id)
    # This does not call `choose`: a file in the manifest counts, even if later code would skip its name.
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
    """Return the route's part of a window's identity; no name of a route file has a colon."""
    return choice.name or f"{choice.route.job_name}:{choice.target}"


def _is_of_parameters(window: Window) -> bool:
    return ":" in window.route
