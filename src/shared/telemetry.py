"""What is said of each arrival: one log line and one EMF line, both after the decision.

docs/observability.md holds the table of metrics; a test holds it against this module.
"""

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from shared.arrival import ObjectCreated, Skip, Source
from shared.errors import ArrivalError, Cause
from shared.outcome import Duplicate, Outcome, Started
from shared.parse import source_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

NAMESPACE = "FileArrival"
# Characters; an S3 key has at most 1,024 bytes, so only what can't be a key is ever cut.
LONGEST_FIELD = 1024


def make_logger() -> Logger:
    """Make the logger; plain ASCII, so that no character of a key can forge or garble a line."""
    return Logger(location=None, json_serializer=partial(json.dumps, separators=(",", ":"), default=str))


def make_metrics() -> Metrics:
    """Make the metrics; the dimension `service` is the stack's name, from POWERTOOLS_SERVICE_NAME."""
    return Metrics(namespace=NAMESPACE)


def report_outcome(logger: Logger, metrics: Metrics, event: object, context: "LambdaContext", outcome: Outcome) -> None:
    """Log and count an arrival that was decided."""
    said = {**describe(event), "request_id": context.aws_request_id}
    source = source_of(event)
    match outcome:
        case Started(arn):
            logger.info("started", extra={**said, **_execution(arn)})
            _count(metrics, "Started", source, latency=_age(event))
        case Duplicate(arn):
            logger.info("duplicate", extra={**said, **_execution(arn)})
            _count(metrics, "Duplicates", source)
        case Skip(reason, why):
            logger.info("skipped", extra={**said, "reason": reason.value, "why": why})
            _count(metrics, "Skipped", source, reason.value)


def report_failure(logger: Logger, metrics: Metrics, event: object, context: "LambdaContext", error: Exception) -> None:
    """Log and count an arrival that failed; the failure queue keeps the event itself."""
    cause = error.cause if isinstance(error, ArrivalError) else Cause.UNEXPECTED
    said = {**describe(event), "request_id": context.aws_request_id, "reason": cause.value, "why": str(error)}
    logger.error("failed", extra=said, exc_info=cause is Cause.UNEXPECTED)
    _count(metrics, "Failed", source_of(event), cause.value)


def report_backfill(
    logger: Logger, metrics: Metrics, created: ObjectCreated, outcome: Outcome, reprocess: str | None
) -> None:
    """Log what a backfill decided on one object, and count what it had to start.

    Backfills are no part of the live funnel: a start means that live delivery missed something, or, with a label, that
    somebody asked for it.
    """
    said = {"source": Source.BACKFILL.value, "bucket": created.bucket, "key": created.key, "reprocess": reprocess}
    match outcome:
        case Started(arn):
            logger.info("started", extra={**said, **_execution(arn)})
            metrics.add_metric("Reprocessed" if reprocess else "Backfilled", MetricUnit.Count, 1)
            metrics.flush_metrics()
        case Duplicate(arn):
            logger.debug("duplicate", extra={**said, **_execution(arn)})
        case Skip(reason, why):
            logger.info("skipped", extra={**said, "reason": reason.value, "why": why})


def describe(event: object) -> dict[str, str]:
    """Say whatever can be said of an event, even of one that can't be parsed."""
    return {
        "source": source_of(event).value,
        **{
            field: found[:LONGEST_FIELD]
            for field, paths in _WHERE.items()
            if (found := next(filter(None, (_dig(event, path) for path in paths)), None))
        },
    }


_WHERE = {
    "event_id": ("id",),
    "event_time": ("time",),
    "replay_name": ("replay-name",),
    "bucket": ("detail.bucket.name", "detail.requestParameters.bucketName"),
    "key": ("detail.object.key", "detail.requestParameters.key"),
    "version_id": ("detail.object.version-id", "detail.responseElements.x-amz-version-id"),
}


def _dig(event: object, path: str) -> str | None:
    found: Any = event
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _execution(arn: str) -> dict[str, str]:
    return {"execution_arn": arn, "execution_name": arn.rsplit(":", 1)[-1]}


def _age(event: object) -> float | None:
    """Give the milliseconds since the event's own time; None for a replay, whose time is long past."""
    said = _dig(event, "time")
    if said is None or _dig(event, "replay-name"):
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    return None if moment.tzinfo is None else (datetime.now(UTC) - moment).total_seconds() * 1000


def _count(
    metrics: Metrics, outcome: str, source: Source, reason: str | None = None, latency: float | None = None
) -> None:
    metrics.add_dimensions(service=metrics.service, source=source.value)
    if reason:
        metrics.add_dimensions(service=metrics.service, reason=reason)
    metrics.add_metric("Received", MetricUnit.Count, 1)
    metrics.add_metric(outcome, MetricUnit.Count, 1)
    if latency is not None:
        metrics.add_metric("ArrivalLatency", MetricUnit.Milliseconds, latency)
    metrics.flush_metrics()
