"""The log and the metrics of each arrival: one log line and one EMF line, both after the decision.

docs/observability.md has the tables of metrics and fields; tests compare them with this module.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from shared.domain.arrival import Announcement, ObjectCreated, Skip, Source
from shared.domain.errors import ArrivalError, Cause
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.plan import Execution
from shared.domain.stack import Stack

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from shared.domain.expectations import Overdue
    from shared.domain.windows import Generation

NAMESPACE = "FileArrival"
# In characters. An S3 key has at most 1,024 bytes, so only texts that can't be a key are cut.
LONGEST_FIELD = 1024
# The fields of an event about itself and its object, if it has them.
LOGGED = ("event_id", "event_time", "replay_name", "bucket", "key", "version_id")


def make_logger() -> Logger:
    """Make the logger; it writes plain ASCII, so no character of a key can forge or break a line."""
    return Logger(location=None, json_serializer=partial(json.dumps, separators=(",", ":"), default=str))


def make_metrics() -> Metrics:
    """Make the metrics; the dimension `service` is the stack's name, from POWERTOOLS_SERVICE_NAME."""
    return Metrics(namespace=NAMESPACE)


def report_outcome(
    logger: Logger, metrics: Metrics, announcement: Announcement, context: "LambdaContext", outcome: Outcome
) -> None:
    """Log and count an arrival that was decided."""
    fields = {
        **describe(announcement),
        "request_id": context.aws_request_id,
        **_route(metrics, outcome.route),
    }
    match outcome:
        case Started(arn):
            latency = _latency(announcement)
            if latency is not None:
                fields["latency_ms"] = latency
            logger.info("started", extra={**fields, **_execution(arn)})
            _count(metrics, "Started", announcement.source, latency=latency)
        case Duplicate(arn):
            logger.info("duplicate", extra={**fields, **_execution(arn)})
            _count(metrics, "Duplicates", announcement.source)
        case Coalesced(arn):
            logger.info("coalesced", extra={**fields, **_execution(arn)})
            _count(metrics, "Coalesced", announcement.source)
        case Waiting():
            logger.info("waiting", extra={**fields, **_waiting(outcome)})
            _count(metrics, "Waiting", announcement.source)
        case Skip(reason, why):
            logger.info("skipped", extra={**fields, "reason": reason.value, "why": why})
            _count(metrics, "Skipped", announcement.source, reason.value)


def report_failure(
    logger: Logger, metrics: Metrics, announcement: Announcement, context: "LambdaContext", error: Exception
) -> None:
    """Log and count an arrival that failed; the failure queue keeps the event itself."""
    cause = error.cause if isinstance(error, ArrivalError) else Cause.UNEXPECTED
    route = error.route if isinstance(error, ArrivalError) else None
    known = {**describe(announcement), "request_id": context.aws_request_id, **_route(metrics, route)}
    fields = {**known, "reason": cause.value, "why": str(error)}
    logger.error("failed", extra=fields, exc_info=cause is Cause.UNEXPECTED)
    _count(metrics, "Failed", announcement.source, cause.value)


def report_backfill(
    logger: Logger, metrics: Metrics, created: ObjectCreated, outcome: Outcome, reprocess: str | None
) -> None:
    """Log a backfill's decision on one object, and count its start.

    Backfills are no part of the live funnel: a start means that live delivery missed the upload, or, with a label, that
    somebody asked for the start.
    """
    fields = {"source": Source.BACKFILL.value, "bucket": created.bucket, "key": created.key, "reprocess": reprocess}
    fields |= _route(metrics, outcome.route)
    match outcome:
        case Started(arn):
            logger.info("started", extra={**fields, **_execution(arn)})
            metrics.add_metric("Reprocessed" if reprocess else "Backfilled", MetricUnit.Count, 1)
            metrics.flush_metrics()
        case Duplicate(arn):
            logger.debug("duplicate", extra={**fields, **_execution(arn)})
        case Coalesced(arn):
            logger.info("coalesced", extra={**fields, **_execution(arn)})
        case Waiting():
            logger.info("waiting", extra={**fields, **_waiting(outcome)})
        case Skip(reason, why):
            logger.info("skipped", extra={**fields, "reason": reason.value, "why": why})


def report_collect(
    logger: Logger, generation: "Generation[Any]", bucket: str, manifest: bytes | None, execution: Execution | None
) -> dict[str, Any]:
    """Log a collect, and return its result as the function's answer; no manifest means that a set has changed."""
    from shared.domain.windows import parse_manifest  # noqa: PLC0415 - no arrival collects

    group = generation.group
    what = {name: value for name, value in group.facts.items() if name in {"bucket", "folder", "instance"}}
    said: dict[str, Any] = {"window": generation.name, **what}
    if manifest is None:
        logger.info("superseded", extra=said)
        return said
    files = parse_manifest(manifest)
    said |= {
        "manifest": f"s3://{bucket}/{generation.manifest_key}",
        "files": len(files),
        "bytes": sum(file.size for file in files),
        **(_execution(execution.arn) if execution else {}),
    }
    logger.info("collected", extra=said)
    return said


def report_unreachable(logger: Logger, metrics: Metrics, stack: Stack) -> None:
    """Warn of route files that no arrival under the stack's prefix can match, once in an execution environment."""
    names = stack.table.unreachable(stack.source_prefix)
    for name in names:
        why = f"no key under SourcePrefix {stack.source_prefix!a} can match it: change its match, or deploy another prefix"
        logger.warning("unreachable route", extra={"route": name, "why": why})
    if names:
        metrics.add_metric("UnreachableRoutes", MetricUnit.Count, len(names))
        metrics.flush_metrics()


def report_overdue(
    logger: Logger, metrics: Metrics, stack: Stack, overdue: "Sequence[Overdue]", failures: Sequence[Exception]
) -> None:
    """Log the overdue routes, and count them: each by itself, and all together, zero included.

    If a route could not be looked at, the sum is not known and not written: the alarm goes off at a missing sum.
    """
    for one in overdue:
        execution = f"{stack.overdue_machine_arn.replace(':stateMachine:', ':execution:')}:{one.due.name}"
        said = {
            "route": one.due.route,
            "data_date": one.due.data_date,
            "deadline": one.due.deadline,
            "expected": one.keys,
        }
        logger.warning("overdue", extra={**said, **_execution(execution)})
        metrics.add_dimension("service", metrics.service)
        metrics.add_dimension("route", one.due.route)
        metrics.add_metric("Overdue", MetricUnit.Count, 1)
        metrics.flush_metrics()
    for error in failures:
        logger.error("not looked at", extra={"why": str(error)}, exc_info=not isinstance(error, ArrivalError))
    if not failures:
        metrics.add_metric("Overdue", MetricUnit.Count, len(overdue))
        metrics.flush_metrics()


def describe(announcement: Announcement) -> dict[str, str | int]:
    """Return the log's fields for an announcement, also for an event that can't be parsed."""
    found = {name: announcement.said.get(name) for name in LOGGED}
    texts = {name: value[:LONGEST_FIELD] for name, value in found.items() if isinstance(value, str) and value}
    return {"source": announcement.source.value, **texts}


def _execution(arn: str) -> dict[str, str]:
    return {"execution_arn": arn, "execution_name": arn.rsplit(":", 1)[-1]}


def _waiting(outcome: Waiting) -> dict[str, Any]:
    return {"reason": outcome.reason, "present": outcome.present, "missing": outcome.missing}


def _latency(announcement: Announcement) -> int | None:
    """Return the milliseconds since the event's own time; None for a replay, because its time is long past."""
    time = announcement.said.get("event_time")
    if not isinstance(time, str) or announcement.said.get("replay_name"):
        return None
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return None if moment.tzinfo is None else round((datetime.now(UTC) - moment).total_seconds() * 1000)


def _count(
    metrics: Metrics, outcome: str, source: Source, reason: str | None = None, latency: int | None = None
) -> None:
    metrics.add_dimensions(service=metrics.service, source=source.value)
    if reason:
        metrics.add_dimensions(service=metrics.service, reason=reason)
    metrics.add_metric("Received", MetricUnit.Count, 1)
    metrics.add_metric(outcome, MetricUnit.Count, 1)
    if latency is not None:
        metrics.add_metric("ArrivalLatency", MetricUnit.Milliseconds, latency)
    _flush(metrics)


def _route(metrics: Metrics, route: str | None) -> dict[str, str]:
    """Return the route as a field of the log line, and make it one of the EMF line."""
    if route is None:
        return {}
    metrics.add_metadata("route", route)
    return {"route": route}


def _flush(metrics: Metrics) -> None:
    """Write the EMF line; for a start by a route file, the route is a dimension of `Started` alone.

    It needs a second directive in the same line, because dimensions count for all metrics of their directive.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    line: dict[str, Any] = {**metrics.serialize_metric_set()}
    if "route" in line and "Started" in line:
        started = {"Name": "Started", "Unit": MetricUnit.Count.value}
        by_route = {"Namespace": NAMESPACE, "Dimensions": [["service", "route"]], "Metrics": [started]}
        line["_aws"]["CloudWatchMetrics"].append(by_route)
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    metrics.clear_metrics()
