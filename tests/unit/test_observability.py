"""What telemetry logs and counts, and that the tables of docs/observability.md tell all of it."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics

from shared.domain import errors
from shared.domain.arrival import Skip, SkipReason
from shared.domain.expectations import Due, Overdue
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.parse import read_announcement
from shared.domain.plan import Execution
from shared.domain.sets import Content
from shared.domain.windows import File, Generation, Window, write_manifest
from shared.gates import telemetry
from tests.unit.builders import BUCKET, CONTEXT, KEY, MACHINE, REPOSITORY, created, event, lines, stack, table

# A report of telemetry, and what it is given beside logger and metrics.
type Call = tuple[Any, ...]

RUN = f"{MACHINE.replace(':stateMachine:', ':execution:')}:name"
PUT, REPLAYED, VERSIONED = (
    read_announcement(event(f"object-created-{name}")) for name in ("put", "replayed", "put-versioned")
)
MORNING = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
DUE = Due("sales", MORNING, "UTC", datetime.fromisoformat("2026-11-23"), {"dt": "2026-11-23"}, 1, None)
OVERDUE = Overdue(DUE, ["raw/sales/dt=2026-11-23/{file}.csv"])
OF_A_WINDOW = Generation(Window("route", BUCKET, "in/", 0, 60, None), 1)
OF_A_SET = Generation(Content("sales", BUCKET, "in/", "0123", 30, None), 0)
MANIFEST = write_manifest([File("in/a", 3, "e", 5), File("in/b", 4, "e", 6)])
COLLECTED = {
    "level": "INFO",
    "message": "collected",
    "window": OF_A_WINDOW.name,
    "bucket": BUCKET,
    "folder": "in/",
    "manifest": f"s3://results/{OF_A_WINDOW.manifest_key}",
    "files": 2,
    "bytes": 7,
}
EXECUTION = {"execution_arn": RUN, "execution_name": "name"}
# What becomes of an arrival, the word for it and the metric, and what a log line has of it.
ENDINGS: list[tuple[Outcome, str, str, dict[str, Any]]] = [
    (Started(RUN, "sales"), "started", "Started", EXECUTION),
    (Duplicate(RUN, "sales"), "duplicate", "Duplicates", EXECUTION),
    (Coalesced(RUN, "sales"), "coalesced", "Coalesced", EXECUTION),
    (Waiting(2, 22, "sales"), "waiting", "Waiting", {"reason": "incomplete_set", "present": 2, "missing": 22}),
    (Skip(SkipReason.EMPTY_OBJECT, "no", "sales"), "skipped", "Skipped", {"reason": "empty_object", "why": "no"}),
]


def made(call: Call, logger: Logger, metrics: Metrics) -> object:
    report, *given = call
    return report(logger, metrics, *given)


def collected(logger: Logger, _: Metrics, generation: Generation[Any], *rest: Any) -> object:
    return telemetry.report_collect(logger, generation, "results", *rest)


LIVE, FAILED, LISTED = telemetry.report_outcome, telemetry.report_failure, telemetry.report_backfill
OVERDUE_NOW, UNREACHABLE = telemetry.report_overdue, telemetry.report_unreachable
FAILURES = {
    errors.MalformedEventError("why"): "malformed_event",
    errors.ForeignObjectError("why"): "foreign_object",
    errors.UnsafeArgumentError("why"): "unsafe_argument",
    errors.UnsafeTargetError("why"): "unsafe_target",
    errors.SettingsError("why"): "settings",
    errors.ManifestMissingError("why"): "service_error",
}
THROTTLED = errors.RetryableCallError("slow down", errors.Cause.THROTTLED)
THROTTLED.route = "sales"
OF_A_PUT = {"level": "ERROR", "message": "failed", "request_id": "request-1", **telemetry.describe(PUT)}
OF_A_REPLAY = {"level": "INFO", "request_id": "request-1", **telemetry.describe(REPLAYED), "route": "sales"}
OF_A_BACKFILL = {"source": "backfill", "bucket": BUCKET, "key": KEY, "reprocess": "again", "route": "sales"}
WHY = "no key under SourcePrefix 'input/lab2/eventdriven/' can match it: change its match, or deploy another prefix"
# Each kind of line, whole, and the metrics that are counted with it.
LINES: list[tuple[Call, dict[str, Any], str]] = [
    *(
        ((LIVE, REPLAYED, CONTEXT, ended), {**OF_A_REPLAY, "message": message, **fields}, f"Received {metric}")
        for ended, message, metric, fields in ENDINGS
    ),
    # A duplicate is what a backfill mostly finds, so it is told on request alone.
    *(
        (
            (LISTED, created(), ended, "again"),
            {**OF_A_BACKFILL, "level": "DEBUG" if message == "duplicate" else "INFO", "message": message, **fields},
            "Reprocessed" if message == "started" else "",
        )
        for ended, message, _, fields in ENDINGS
    ),
    *(
        ((FAILED, PUT, CONTEXT, error), {**OF_A_PUT, "reason": reason, "why": "why"}, "Received Failed")
        for error, reason in FAILURES.items()
    ),
    (
        (FAILED, PUT, CONTEXT, THROTTLED),
        {**OF_A_PUT, "reason": "throttled", "why": "slow down", "route": "sales"},
        "Received Failed",
    ),
    ((collected, OF_A_WINDOW, MANIFEST, Execution(MACHINE, "name", "{}")), {**COLLECTED, **EXECUTION}, ""),
    ((collected, OF_A_WINDOW, MANIFEST, None), COLLECTED, ""),
    (
        (collected, OF_A_SET, None, None),
        {"level": "INFO", "message": "superseded", "window": OF_A_SET.name, "bucket": BUCKET, "instance": "in/"},
        "",
    ),
    (
        (OVERDUE_NOW, stack(), [OVERDUE], []),
        {
            "level": "WARNING",
            "message": "overdue",
            "route": "sales",
            "data_date": "2026-11-23",
            "deadline": str(MORNING),
            "expected": ["raw/sales/dt=2026-11-23/{file}.csv"],
            "execution_arn": f"{MACHINE}-overdue:sales-20261124T053000Z".replace(":stateMachine:", ":execution:"),
            "execution_name": "sales-20261124T053000Z",
        },
        "Overdue Overdue",
    ),
    (
        (UNREACHABLE, stack(table=table(elsewhere='match = "elsewhere/{file}"'))),
        {"level": "WARNING", "message": "unreachable route", "route": "elsewhere", "why": WHY},
        "UnreachableRoutes",
    ),
]
# What the lines above have not: a latency, a version, no route, a start without a label.
MORE = [
    (LIVE, PUT, CONTEXT, Started(RUN)),
    (LIVE, VERSIONED, CONTEXT, Skip(SkipReason.EMPTY_OBJECT, "why")),
    (LISTED, created(), Started(RUN), None),
    (FAILED, PUT, CONTEXT, ValueError("a bug")),
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Logger, io.StringIO]]:
    """Make a logger as a new function does; in one process there is one for each stack's name."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "another-stack")
    logger, written = telemetry.make_logger(), io.StringIO()
    logger.setLevel("DEBUG")
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    yield logger, written
    # Powertools' metrics share what is not written yet.
    telemetry.make_metrics().clear_metrics()
    logging.Logger.manager.loggerDict.pop("another-stack")


@pytest.mark.parametrize(("call", "expected", "metrics"), LINES, ids=[line["message"] for _, line, _ in LINES])
def test_what_is_logged_and_counted(
    logged: tuple[Logger, io.StringIO],
    capsys: pytest.CaptureFixture[str],
    call: Call,
    expected: dict[str, Any],
    metrics: str,
) -> None:
    """The whole line, and each metric once, with the route; what a function answers is the same."""
    logger, written = logged

    answer = made(call, logger, telemetry.make_metrics())

    line = json.loads(written.getvalue())
    assert {**expected, "service": "another-stack", "timestamp": line["timestamp"]} == line
    if isinstance(answer, dict):
        assert {"level": "INFO", "message": expected["message"], **answer} == expected
    counted = lines(capsys.readouterr().out)[1]
    assert metrics == " ".join(name for one in counted for name in one if one[name] == [1.0])
    # A dimension of Started alone, and a field of all others; which routes have no keys is in the log alone.
    dimensions = [names for one in counted for each in one["_aws"]["CloudWatchMetrics"] for names in each["Dimensions"]]
    assert (["service", "route"] in dimensions) == (metrics in {"Received Started", "Overdue Overdue"}), dimensions
    if metrics != "UnreachableRoutes":
        assert {expected.get("route")} >= {one.get("route") for one in counted[:1]}


def test_the_stack_of_what_nobody_foresaw_is_logged(logged: tuple[Logger, io.StringIO]) -> None:
    """And of nothing else; the reason says so."""
    logger, written = logged
    for error in (ValueError("a bug"), errors.ForeignObjectError("no")):
        try:
            raise error
        except (ValueError, errors.ArrivalError):
            made((FAILED, PUT, CONTEXT, error), logger, telemetry.make_metrics())
            made((OVERDUE_NOW, stack(), [], [error]), logger, telemetry.make_metrics())

    told = [(one["why"], one.get("reason"), "test_the_stack" in str(one)) for one in lines(written.getvalue())[0]]
    bug, foreseen = [("a bug", "unexpected", True), ("a bug", None, True)], [("no", "foreign_object", False)]
    assert [*bug, *foreseen, ("no", None, False)] == told


def test_what_is_overdue_is_counted(logged: tuple[Logger, io.StringIO], capsys: pytest.CaptureFixture[str]) -> None:
    """Each route and all together, zero too; where one could not be looked at, the sum is not known and not written."""
    given: list[Call] = [([OVERDUE], []), ([], []), ([OVERDUE], [ValueError("a bug")])]
    for overdue in given:
        telemetry.report_overdue(logged[0], telemetry.make_metrics(), stack(), *overdue)
    counted = [(line.get("route"), line["Overdue"]) for line in lines(capsys.readouterr().out)[1]]
    assert [("sales", [1.0]), (None, [1.0]), (None, [0.0]), ("sales", [1.0])] == counted


def test_whatever_can_be_a_key_is_logged_whole() -> None:
    announced = [read_announcement(event(detail__object={"key": "x" * length})) for length in (1024, 1025)]
    assert ["x" * 1024] * 2 == [telemetry.describe(one)["key"] for one in announced]


def test_the_tables_of_the_page_are_true(
    logged: tuple[Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every field of a line, of whichever kind; name, unit and dimension sets of every metric."""
    logger, written = logged
    metrics = telemetry.make_metrics()
    try:
        raise ValueError  # noqa: TRY301 - the last of them wants a traceback
    except ValueError:
        for call in [*(call for call, _, _ in LINES), *MORE]:
            made(call, logger, metrics)
    page = (REPOSITORY / "docs" / "observability.md").read_text()
    rows = re.findall(r"^\| (`[^|]+) \|", page.partition("## Log lines")[2].partition("## Traces")[0], re.MULTILINE)
    documented = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    # Only the runtime gives the id of the trace.
    assert documented - {"xray_trace_id"} == {name for line in lines(written.getvalue())[0] for name in line}

    emitted: dict[str, tuple[str, set[str]]] = {}
    for line in lines(capsys.readouterr().out)[1]:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                known = emitted.setdefault(metric["Name"], (metric["Unit"], set()))
                known[1].update(", ".join(names) for names in directive["Dimensions"])
    rows = re.findall(r"^\| (\w+) \| (Count|Milliseconds) \| ([^|]+) \|", page, re.MULTILINE)
    assert emitted == {name: (unit, set(sets.strip().split(" · "))) for name, unit, sets in rows}
