"""Backfill: find missed uploads among the existing objects, and start them by the same decision as for a live event.

A Distributed Map lists the bucket and passes batches; this module has its request, its batches and its report. The name
of the execution shows whether an upload was started before: see `start` and, for a dry run, `foresee` in
shared/domain/start.py.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from aws_lambda_powertools.utilities.parser import BaseModel, Field, ValidationError, parse
from pydantic import ConfigDict, StringConstraints, TypeAdapter

from shared.domain.arrival import ObjectCreated
from shared.domain.errors import (
    MalformedEventError,
    ObjectDeniedError,
    PermanentCallError,
    SetTooLargeError,
    UnsafeArgumentError,
    UnsafeTargetError,
)
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.stack import Stack

# The number of keys that a report names for each outcome; the Map Run's results have all of them.
FIRST_KEYS = 5


class RequestInput(BaseModel):
    """The user's request; an unknown field is refused, because `dryrun` must not mean `dry_run`."""

    model_config = ConfigDict(extra="forbid")

    # The length of a key; it also makes pydantic refuse lone surrogates, as in shared/domain/parse.py.
    prefix: Annotated[str, StringConstraints(max_length=1024)] | None = None
    since: str | None = None
    until: str | None = None
    # Only the schedule gives it: older objects were there before the stack, and no schedule may start them.
    not_before: datetime | None = None
    dry_run: bool = True
    reprocess: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None


class Request(BaseModel):
    """A complete request of a backfill; `since` is included, `until` is not."""

    bucket: str
    prefix: str
    since: datetime | None
    until: datetime | None
    dry_run: bool
    reprocess: str | None


class Item(BaseModel):
    """One listed object with its request, so any batch can be handled by itself."""

    key: str = Field(alias="Key")
    last_modified: datetime = Field(alias="LastModified")
    request: Request


@dataclass
class Results:
    """The keys of one batch, or of all, by outcome; in a dry run `started` has the keys that it would start.

    With windows or sets, `windows` names the executions that were opened, or would be; several keys may share one.
    """

    found: int = 0
    duplicates: int = 0
    coalesced: int = 0
    windows: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)


def read_request(event: object, stack: Stack, now: datetime) -> Request:
    """Read the input of a backfill; the default is a dry run over the whole source prefix and all times.

    `since` and `until` are ISO 8601 timestamps (UTC without a zone) or durations, which count back from now.
    `not_before` is a timestamp, and the later of it and `since` counts. If that leaves no time, nothing is found.
    Raises MalformedEventError.
    """
    if not isinstance(event, dict):
        raise MalformedEventError("The input of a backfill is a JSON object; {} lists missed uploads.")
    try:
        asked = parse(event=event, model=RequestInput)
        since, until = _moment("since", asked.since, now), _moment("until", asked.until, now)
        not_before = _in_utc(asked.not_before)
    except OverflowError as error:
        raise MalformedEventError("since, until: before or after all times.") from error
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'input'}: {e['msg']}" for e in error.errors())
        raise MalformedEventError(
            f"{fields}. A backfill takes prefix, since, until, not_before, dry_run and reprocess, all optional."
        ) from error
    prefix = stack.source_prefix if asked.prefix is None else asked.prefix
    if stack.source_prefix.startswith(prefix):
        prefix = stack.source_prefix
    if not prefix.startswith(stack.source_prefix):
        raise MalformedEventError(
            f"prefix: {prefix!a} is not under {stack.source_prefix!a}, so nothing there can start."
        )
    if since and until and since >= until:
        raise MalformedEventError(f"since: {since.isoformat()} is not before until, {until.isoformat()}.")
    return Request(
        bucket=stack.source_bucket_name,
        prefix=prefix,
        since=max(filter(None, (since, not_before)), default=None),
        until=until,
        dry_run=asked.dry_run,
        reprocess=asked.reprocess,
    )


def read_batch(event: object) -> list[Item]:
    """Read a batch of listed objects, as an ItemBatcher passes it.

    Raises MalformedEventError.
    """
    items = event.get("Items") if isinstance(event, dict) else None
    try:
        return parse(event=items, model=list[Item])  # type: ignore[arg-type]
    except ValidationError as error:
        raise MalformedEventError(f"Not a batch of the backfill's Map: {error}") from error


def run_batch(items: Iterable[Item], stack: Stack, handle: Callable[[ObjectCreated, Request], Outcome]) -> Results:
    """Decide on every object of a batch that is inside the request's time window.

    If S3 denies an object, if S3 or Step Functions refuse it for good, or if its key is unsafe for a job, the object is
    a failure of its own and stops no other. An error that may pass, or a denied start, is raised, so the Map tries the
    batch again; then the objects that it had started are duplicates.
    Raises RetryableCallError.
    """
    results = Results()
    of_windows = stack.window_machine_arn.replace(":stateMachine:", ":execution:") + ":"
    for item in items:
        request = item.request
        if not _inside(item.last_modified, request):
            continue
        results.found += 1
        created = ObjectCreated(request.bucket, item.key, None, stack.account_id)
        try:
            outcome = handle(created, request)
        except (
            ObjectDeniedError,
            PermanentCallError,
            SetTooLargeError,
            UnsafeArgumentError,
            UnsafeTargetError,
        ) as error:
            results.failed.append({"key": item.key, "why": str(error)})
            continue
        match outcome:
            case Started(arn):
                results.started.append(item.key)
                if arn.startswith(of_windows) and arn not in results.windows:
                    results.windows.append(arn)
            case Duplicate():
                results.duplicates += 1
            case Coalesced():
                results.coalesced += 1
            case Waiting():
                results.waiting.append(item.key)
            case skip:
                results.skipped.setdefault(skip.reason.value, []).append(item.key)
    return results


def report(request: Mapping[str, Any], batches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the batches: counts, and the first keys of each outcome."""
    total = Results()
    skipped: Counter[str] = Counter()
    windows: set[str] = set()
    started = failed = waiting = 0
    for batch in batches:
        results = TypeAdapter(Results).validate_python(batch)
        total.found += results.found
        total.duplicates += results.duplicates
        total.coalesced += results.coalesced
        windows.update(results.windows)
        started += len(results.started)
        failed += len(results.failed)
        waiting += len(results.waiting)
        total.started = (total.started + results.started)[:FIRST_KEYS]
        total.failed = (total.failed + results.failed)[:FIRST_KEYS]
        total.waiting = (total.waiting + results.waiting)[:FIRST_KEYS]
        for reason, keys in results.skipped.items():
            skipped[reason] += len(keys)
            total.skipped[reason] = (total.skipped.get(reason, []) + keys)[:FIRST_KEYS]
    return {
        **request,
        "found": total.found,
        "started": started,
        "duplicates": total.duplicates,
        **({"coalesced": total.coalesced, "windows": len(windows)} if windows or total.coalesced else {}),
        **({"waiting": waiting} if waiting else {}),
        "skipped": {reason: count for reason, count in sorted(skipped.items()) if count},
        "failed": failed,
        "first_keys": {
            "started": total.started,
            **({"waiting": total.waiting} if waiting else {}),
            "skipped": total.skipped,
            "failed": total.failed,
        },
    }


def _moment(field: str, said: str | None, now: datetime) -> datetime | None:
    if said is None:
        return None
    if not said.startswith("P"):
        return _in_utc(TypeAdapter(datetime).validate_python(said))
    # pydantic reads a duration without a number as zero.
    if said.endswith(("P", "T")):
        raise MalformedEventError(f"{field}: {said!a} is no duration. Write one such as PT26H, P7D or P1DT12H.")
    return now - TypeAdapter(timedelta).validate_python(said)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and not moment.tzinfo else moment


def _inside(moment: datetime, request: Request) -> bool:
    return (request.since is None or request.since <= moment) and (request.until is None or moment < request.until)
