"""Choose: which route takes an object, by its key alone; then whether the object itself is one that a route starts."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from shared.domain.arrival import ObjectCreated, Skip, SkipReason
from shared.domain.errors import ForeignObjectError, UnsafeTargetError
from shared.domain.pattern import Capture, Pattern
from shared.domain.routes import NO_ROUTES, Choice, Route, RouteTable

if TYPE_CHECKING:
    Table = RouteTable
else:
    Table = Any  # it does not come from the environment, so pydantic has nothing to check in it


@dataclass(frozen=True, slots=True)
class Stack:
    """What the template's parameters say, and the table of the route files; capacity in DPUs (G.1X workers).

    `job_name`, `target_prefix` and `window_seconds` count where there are no route files; 0 seconds is no window.
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

    The order is: marker, no route, paused, then what the key captured. A pause holds up arrivals (it spares S3 the call)
    and ends nothing: what a window gathers is asked for with `even_paused`.
    Raises ForeignObjectError for an object that is not this stack's, and UnsafeTargetError.
    """
    if skip := screen(created, stack):
        return skip
    if not stack.table:
        return Choice(_parameters_route(stack.job_name, stack.target_prefix, stack.window_seconds), {})
    choice = stack.table.find(created.key)
    if choice is None:
        return Skip(SkipReason.NO_ROUTE, "no route's match fits the key: `make route KEY=…` tells which come near")
    if choice.route.paused and not even_paused:
        why = "the route's file says paused: a backfill after the pause starts what came meanwhile"
        return Skip(SkipReason.PAUSED, why, choice.name)
    if not choice.is_safe:
        error = UnsafeTargetError(
            f"Key {created.key!a} makes the target {choice.target!a} of route {choice.name}: jobs resolve its "
            "empty, '.' or '..' segment, and would write elsewhere. Upload the object under another key, or make the "
            "match narrower."
        )
        error.route = choice.name
        raise error
    return choice


def screen_object(size: int, choice: Choice) -> Skip | None:
    """Return what the object says once its route is known: a skip, or None. Size in bytes.

    Live events, backfills and the listings of windows all ask here.
    """
    if size or choice.route.accept_empty:
        return None
    return Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform", choice.name)


@lru_cache(maxsize=1)
def _parameters_route(job_name: str, target_prefix: str, window_seconds: int) -> Route:
    anything = Pattern((Capture("key", deep=True),))
    return Route("", (anything,), job_name, (target_prefix,), window_seconds=window_seconds)
