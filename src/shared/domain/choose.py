"""Choose: which route takes an object, by its key alone; then whether the object itself is one that a route starts."""

import re
from functools import lru_cache

from shared.domain.arrival import ObjectCreated, Skip, SkipReason
from shared.domain.errors import ForeignObjectError, UnsafeArgumentError, UnsafeTargetError
from shared.domain.pattern import Capture, Pattern, fill, is_captured
from shared.domain.routes import Choice, Route
from shared.domain.stack import Stack

# The character that makes a segment of the key one that Spark passes over: the first, or the last of `._COPYING_`.
# https://github.com/apache/spark/blob/v3.5.4/core/src/main/scala/org/apache/spark/util/HadoopFSUtils.scala
HIDING = r"(?<![^/])(?:\.|_(?![^/]*=))|(?<=\._COPYING)_(?![^/])"


def screen(created: ObjectCreated, stack: Stack) -> Skip | None:
    """Return what the key says before any route is asked: a skip, or None.

    Raises ForeignObjectError for an object that this stack must not touch.
    """
    if created.account != stack.account_id:
        raise ForeignObjectError(
            f"Account {created.account!a} is not this stack's ({stack.account_id}): "
            "deploy the stack in the account that owns the bucket."
        )
    if created.bucket != stack.source_bucket_name:
        raise ForeignObjectError(
            f"Bucket {created.bucket!a} is not this stack's ({stack.source_bucket_name}): "
            "deploy a second stack with SourceBucketName, or fix the rule that sent this event."
        )
    target = stack.target_prefix.rstrip("/") + "/"
    # Only without route files: with them this is the target of the stack's own job, and the build refuses loops.
    if not stack.table and created.key.startswith(target):
        return Skip(SkipReason.TARGET_PREFIX, f"under {target!a}, where the job writes: starting would loop")
    if not created.key.startswith(stack.source_prefix):
        return Skip(SkipReason.WRONG_PREFIX, f"not under {stack.source_prefix!a}")
    if created.key.endswith(("/", "_$folder$")):
        return Skip(SkipReason.FOLDER_MARKER, "a folder marker, not a file")
    return None


def choose(created: ObjectCreated, stack: Stack, *, even_paused: bool = False) -> Choice | Skip:
    """Return the route of the object's key: that of the route files which takes it, or the one of the parameters.

    The order is: marker, no route, paused, hidden, then what would be unsafe. A pause holds up arrivals, without a call
    to S3. It does not end an open window or set: their files are asked for with `even_paused`.
    Raises ForeignObjectError for an object that is not this stack's, UnsafeTargetError and UnsafeArgumentError.
    """
    if skip := screen(created, stack):
        return skip
    choice = find_route(created.key, stack)
    if choice is None:
        return Skip(SkipReason.NO_ROUTE, "no route's match fits the key: `arrivals route KEY` tells which come near")
    if choice.route.paused and not even_paused:
        why = "the route's file says paused: a backfill after the pause starts what came meanwhile"
        return Skip(SkipReason.PAUSED, why, choice.name)
    if skip := screen_hidden(created.key, choice, stack):
        return skip
    check_values(created.key, choice)
    return choice


def find_route(key: str, stack: Stack) -> Choice | None:
    """Return the route that takes the key, even if the object would be skipped."""
    if stack.table:
        return stack.table.find(key)
    return Choice(_parameters_route(stack.job_name, stack.target_prefix, stack.window_seconds), {})


def screen_hidden(key: str, choice: Choice, stack: Stack) -> Skip | None:
    """Return a skip for a file that is hidden or unfinished by its name or that of a folder, or None.

    A hidden name that the source prefix or the route's match writes out is meant: a shell's `*` passes over `.name`,
    too, and `.name` itself finds it.
    """
    # Nearly every key ends here, and the pattern takes ten times as long.
    if not ("/." in key or "/_" in key or key.startswith((".", "_")) or "._COPYING_" in key):
        return None
    for found in re.finditer(HIDING, key):
        place = found.start()
        begin, end = key.rfind("/", 0, place) + 1, key.find("/", place)
        end = len(key) if end < 0 else end
        if end <= len(stack.source_prefix):
            continue
        if not stack.table or is_captured(choice.route.match[choice.number].tokens, choice.captures, place):
            why = f"{key[begin:end]!a} is the name of a hidden or unfinished file or folder: jobs pass over it"
            return Skip(SkipReason.HIDDEN_FILE, why, choice.name)
    return None


def check_values(key: str, choice: Choice) -> None:
    """Refuse a key that would make a job write elsewhere, or take a value for an option.

    Raises UnsafeTargetError or UnsafeArgumentError.
    """
    target = choice.target
    error: UnsafeTargetError | UnsafeArgumentError
    if choice.name and not choice.is_safe:
        error = UnsafeTargetError(
            f"Key {key!a} makes the target {target!a} of route {choice.name}: jobs resolve its "
            "empty, '.' or '..' segment, and would write elsewhere. Upload the object under another key, or make the "
            "match narrower."
        )
    elif dashed := _dashed(key, target, choice):
        name, value = dashed
        error = UnsafeArgumentError(
            f"Key {key!a} makes {name} {value!a}: the job would take what begins with '-' for an option. Upload the object "
            "under another key, or begin the template of that value with text of its own."
        )
    else:
        return
    error.route = choice.name
    raise error


def _dashed(key: str, target: str, choice: Choice) -> tuple[str, str] | None:
    """Return name and value of an argument that begins with a dash, if there is one."""
    # Nearly every key ends here. Only a capture can begin a parameter with a dash: the build refuses text that does.
    if not (key.startswith("-") or target.startswith("-") or any(one[0] == "-" for one in choice.captures.values())):
        return None
    arguments = {"SRC_PREFIX": source_of(key, choice), "TRG_PREFIX": target, **choice.parameters}
    return next(((name, value) for name, value in arguments.items() if value.startswith("-")), None)


def source_of(key: str, choice: Choice) -> str:
    """Return what the job reads, SRC_PREFIX: the route's source, or else the key, or the folder of a window or set."""
    if choice.route.set and choice.route.source is None:
        return common_folder([fill(match.tokens, choice.captures) for match in choice.route.match])
    return folder_of(key, choice) if choice.route.window_seconds else choice.source(key)


def common_folder(keys: list[str]) -> str:
    """Return what all keys begin with, up to and with a slash; empty where there is nothing."""
    first, last = min(keys), max(keys)
    length = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    return first[: first.rfind("/", 0, length) + 1]


def folder_of(key: str, choice: Choice) -> str:
    """Return what a window gathers: the source where the route has one, otherwise the key up to its last slash."""
    return own_folder(key) if choice.route.source is None else choice.source(key)


def own_folder(key: str) -> str:
    """Return the key up to and with its last slash."""
    return key[: key.rfind("/") + 1]


def choose_listed(key: str, size: int, stack: Stack) -> Choice | None:
    """Return the route that an object's own arrival would go to, paused or not; None where it would start nothing.

    For what is looked at because another object arrived: the files of a window, the members of a set. Size in bytes.
    """
    try:
        choice = choose(ObjectCreated(stack.source_bucket_name, key, None, stack.account_id), stack, even_paused=True)
    except (UnsafeTargetError, UnsafeArgumentError):  # its own event fails, and says so
        return None
    return None if isinstance(choice, Skip) or screen_object(size, choice) else choice


def screen_object(size: int, choice: Choice) -> Skip | None:
    """Return what the object says once its route is known: a skip, or None. Size in bytes.

    Live events, backfills and the looks at windows and sets all ask here.
    """
    if size or choice.route.accept_empty:
        return None
    return Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform", choice.name)


@lru_cache(maxsize=1)
def _parameters_route(job_name: str, target_prefix: str, window_seconds: int) -> Route:
    anything = Pattern((Capture("key", deep=True),))
    return Route("", (anything,), job_name, (target_prefix,), window_seconds=window_seconds)
