"""Choose the route of an object by its key alone; then decide whether the route starts for this object."""

import re
from functools import lru_cache

from shared.domain.arrival import ObjectCreated, Skip, SkipReason
from shared.domain.errors import ForeignObjectError, UnsafeArgumentError, UnsafeTargetError
from shared.domain.pattern import Capture, Pattern, fill, is_captured
from shared.domain.routes import Choice, Route
from shared.domain.stack import Stack

# The character by which Spark ignores a segment of the key: its first, or the last of `._COPYING_`.
# https://github.com/apache/spark/blob/v3.5.4/core/src/main/scala/org/apache/spark/util/HadoopFSUtils.scala
HIDING = r"(?<![^/])(?:\.|_(?![^/]*=))|(?<=\._COPYING)_(?![^/])"


def screen(created: ObjectCreated, stack: Stack) -> Skip | None:
    """Return a skip if the key is enough for it before any route is looked at, or None.

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
    # Only without route files: with them the build refuses loops, and this is the target of the stack's own job alone.
    if not stack.table and created.key.startswith(target):
        return Skip(SkipReason.TARGET_PREFIX, f"under {target!a}, where the job writes: starting would loop")
    if not created.key.startswith(stack.source_prefix):
        return Skip(SkipReason.WRONG_PREFIX, f"not under {stack.source_prefix!a}")
    if created.key.endswith(("/", "_$folder$")):
        return Skip(SkipReason.FOLDER_MARKER, "a folder marker, not a file")
    return None


def choose(created: ObjectCreated, stack: Stack, *, even_paused: bool = False) -> Choice | Skip:
    """Return the route of the object's key: the route file that takes it, or the route of the parameters.

    The order is: marker, no route, paused, hidden, unsafe. A pause stops arrivals without a call to S3. It does not end
    an open window or set: `even_paused` is for their files.
    Raises ForeignObjectError for an object that is not this stack's, UnsafeTargetError and UnsafeArgumentError.
    """
    if skip := screen(created, stack):
        return skip
    choice = find_route(created.key, stack)
    if choice is None:
        return Skip(SkipReason.NO_ROUTE, "no route's match fits the key: `arrivals route KEY` shows the nearest routes")
    if choice.route.paused and not even_paused:
        why = "the route is paused: a backfill after the pause starts the object"
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
    """Return a skip for a file that is hidden or unfinished by its own name or a folder's name, or None.

    If the source prefix or the route's match writes a hidden name out, it counts as any other. (A shell also finds
    `.name` by its name, but not by `*`.)
    """
    # This is enough for nearly every key, and the pattern takes ten times as long.
    if not ("/." in key or "/_" in key or key.startswith((".", "_")) or "._COPYING_" in key):
        return None
    for found in re.finditer(HIDING, key):
        place = found.start()
        begin, end = key.rfind("/", 0, place) + 1, key.find("/", place)
        end = len(key) if end < 0 else end
        if end <= len(stack.source_prefix):
            continue
        if not stack.table or is_captured(choice.route.match[choice.number].tokens, choice.captures, place):
            why = f"{key[begin:end]!a} is the name of a hidden or unfinished file or folder: jobs ignore it"
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
            f"Key {key!a} makes {name} {value!a}: it begins with '-', so the job would take it for an option. "
            "Upload the object under another key, or begin the template of that value with text of its own."
        )
    else:
        return
    error.route = choice.name
    raise error


def _dashed(key: str, target: str, choice: Choice) -> tuple[str, str] | None:
    """Return name and value of an argument that begins with a dash, if there is one."""
    # Nearly every key ends here. Only a capture can begin a parameter with a dash: the build refuses such text.
    if not (key.startswith("-") or target.startswith("-") or any(one[0] == "-" for one in choice.captures.values())):
        return None
    arguments = {"SRC_PREFIX": source_of(key, choice), "TRG_PREFIX": target, **choice.parameters}
    return next(((name, value) for name, value in arguments.items() if value.startswith("-")), None)


def source_of(key: str, choice: Choice) -> str:
    """Return SRC_PREFIX, which the job reads: the route's source, the key, or the folder of a window or set."""
    if choice.route.set and choice.route.source is None:
        return common_folder([fill(match.tokens, choice.captures) for match in choice.route.match])
    return folder_of(key, choice) if choice.route.window_seconds else choice.source(key)


def common_folder(keys: list[str]) -> str:
    """Return the common beginning of all keys, up to and with a slash; it may be empty."""
    first, last = min(keys), max(keys)
    length = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first)
    )
    return first[: first.rfind("/", 0, length) + 1]


def folder_of(key: str, choice: Choice) -> str:
    """Return the folder of a window: the route's source if it has one, otherwise the key up to its last slash."""
    return own_folder(key) if choice.route.source is None else choice.source(key)


def own_folder(key: str) -> str:
    """Return the key up to and with its last slash."""
    return key[: key.rfind("/") + 1]


def choose_listed(key: str, size: int, stack: Stack) -> Choice | None:
    """Return the route of an object's own arrival, paused or not; None if the arrival would start nothing.

    This is for objects that are listed because another one arrived: the files of a window, the members of a set. Size
    in bytes.
    """
    try:
        choice = choose(ObjectCreated(stack.source_bucket_name, key, None, stack.account_id), stack, even_paused=True)
    except (UnsafeTargetError, UnsafeArgumentError):  # the object's own event fails with this error
        return None
    return None if isinstance(choice, Skip) or screen_object(size, choice) else choice


def screen_object(size: int, choice: Choice) -> Skip | None:
    """Return a skip if the route does not start for the object itself, or None. Size in bytes.

    Live events, backfills and the looks at windows and sets all call this function.
    """
    if size or choice.route.accept_empty:
        return None
    return Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform", choice.name)


@lru_cache(maxsize=1)
def _parameters_route(job_name: str, target_prefix: str, window_seconds: int) -> Route:
    anything = Pattern((Capture("key", deep=True),))
    return Route("", (anything,), job_name, (target_prefix,), window_seconds=window_seconds)
