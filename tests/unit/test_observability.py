"""What telemetry logs and counts, and that the tables of docs/observability.md tell all of it."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics

from shared.domain import errors
from shared.domain.arrival import Skip, SkipReason
from shared.domain.errors import Cause, RetryableCallError
from shared.domain.expectations import Due, Overdue
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.parse import read_announcement
from shared.domain.plan import Execution
from shared.domain.sets import Content
from shared.domain.windows import File, Generation, Window, write_manifest
from shared.gates import telemetry
from tests.unit.builders import BUCKET, KEY, MACHINE, REPOSITORY, created, event, stack, table

type Report = Callable[[Logger, Metrics], object]

CONTEXT: Any = SimpleNamespace(aws_request_id="r")
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
    "window": OF_A_WINDOW.name,
    "bucket": BUCKET,
    "folder": "in/",
    "manifest": f"s3://results/{OF_A_WINDOW.manifest_key}",
    "files": 2,
    "bytes": 7,
}
EXECUTION = {"execution_arn": RUN, "execution_name": "name"}
ENDINGS: list[tuple[Outcome, str, dict[str, Any]]] = [
    (Started(RUN, "sales"), "started", EXECUTION),
    (Duplicate(RUN, "sales"), "duplicate", EXECUTION),
    (Coalesced(RUN, "sales"), "coalesced", EXECUTION),
    (Waiting(2, 22, "sales"), "waiting", {"reason": "incomplete_set", "present": 2, "missing": 22}),
    (Skip(SkipReason.EMPTY_OBJECT, "zero bytes", "sales"), "skipped", {"reason": "empty_object", "why": "zero bytes"}),
]


def live(outcome: Outcome, announced: Any = REPLAYED) -> Report:
    """Report an arrival that was decided."""
    return lambda logger, metrics: telemetry.report_outcome(logger, metrics, announced, CONTEXT, outcome)


def failed(error: Exception) -> Report:
    """Report an arrival that failed."""
    return lambda logger, metrics: telemetry.report_failure(logger, metrics, PUT, CONTEXT, error)


def listed(outcome: Outcome, label: str | None = "again") -> Report:
    """Report an object that a backfill listed."""
    return lambda logger, metrics: telemetry.report_backfill(logger, metrics, created(), outcome, label)


def collected(generation: Generation[Any], manifest: bytes | None, planned: Execution | None = None) -> Report:
    """Report a window or set that was collected."""
    return lambda logger, _: telemetry.report_collect(logger, generation, "results", manifest, planned)


def overdue(found: list[Overdue], *failures: Exception) -> Report:
    """Report what is overdue."""
    return lambda logger, metrics: telemetry.report_overdue(logger, metrics, stack(), found, failures)


def unreachable(logger: Logger, metrics: Metrics) -> None:
    """Report one route that no key under the stack's prefix can match."""
    telemetry.report_unreachable(logger, metrics, stack(table=table(elsewhere='match = "elsewhere/{file}"')))


def of_the_route(error: errors.ArrivalError) -> errors.ArrivalError:
    """Tell whose the error is."""
    error.route = "sales"
    return error


FAILURES = {
    errors.MalformedEventError: "malformed_event",
    errors.ForeignObjectError: "foreign_object",
    errors.UnsafeArgumentError: "unsafe_argument",
    errors.UnsafeTargetError: "unsafe_target",
    errors.SettingsError: "settings",
    errors.ManifestMissingError: "service_error",
}
OF_A_PUT = {"level": "ERROR", "message": "failed", "request_id": "r", **telemetry.describe(PUT)}
OF_A_REPLAY = {"level": "INFO", "request_id": "r", **telemetry.describe(REPLAYED), "route": "sales"}
OF_A_BACKFILL = {"source": "backfill", "bucket": BUCKET, "key": KEY, "reprocess": "again", "route": "sales"}
# Each kind of line, whole; a duplicate is what a backfill mostly finds, so it is told on request alone.
LINES: list[tuple[Report, dict[str, Any]]] = [
    *((live(ended), {**OF_A_REPLAY, "message": message, **fields}) for ended, message, fields in ENDINGS),
    *(
        (
            listed(ended),
            {**OF_A_BACKFILL, "level": "DEBUG" if message == "duplicate" else "INFO", "message": message, **fields},
        )
        for ended, message, fields in ENDINGS
    ),
    *((failed(kind("why")), {**OF_A_PUT, "reason": reason, "why": "why"}) for kind, reason in FAILURES.items()),
    (
        failed(of_the_route(RetryableCallError("slow down", Cause.THROTTLED))),
        {**OF_A_PUT, "reason": "throttled", "why": "slow down", "route": "sales"},
    ),
    (
        collected(OF_A_WINDOW, MANIFEST, Execution(MACHINE, "name", "{}")),
        {"level": "INFO", "message": "collected", **COLLECTED, **EXECUTION},
    ),
    (collected(OF_A_WINDOW, MANIFEST), {"level": "INFO", "message": "collected", **COLLECTED}),
    (
        collected(OF_A_SET, None),
        {"level": "INFO", "message": "superseded", "window": OF_A_SET.name, "bucket": BUCKET, "instance": "in/"},
    ),
    (
        overdue([OVERDUE]),
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
    ),
    (
        unreachable,
        {
            "level": "WARNING",
            "message": "unreachable route",
            "route": "elsewhere",
            "why": (
                "no key under SourcePrefix 'input/lab2/eventdriven/' can match it: "
                "change its match, or deploy another prefix"
            ),
        },
    ),
]
# What the lines above have not: a latency, a version, no route, a start without a label.
MORE = [
    live(Started(RUN), PUT),
    live(Skip(SkipReason.EMPTY_OBJECT, "why"), VERSIONED),
    listed(Started(RUN), None),
    failed(ValueError("a bug")),
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Logger, io.StringIO]]:
    """Make a logger as a new function does; in one process there is one for each stack's name."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "another-stack")
    logger, written = telemetry.make_logger(), io.StringIO()
    logger.setLevel("DEBUG")
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    yield logger, written
    logging.Logger.manager.loggerDict.pop("another-stack")


def counted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines that count something."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]


def page() -> str:
    """Read the page of the tables."""
    return (REPOSITORY / "docs" / "observability.md").read_text()


@pytest.mark.parametrize(("report", "expected"), LINES, ids=[line["message"] for _, line in LINES])
def test_what_is_logged(logged: tuple[Logger, io.StringIO], report: Report, expected: dict[str, Any]) -> None:
    """The whole line; what a function answers is the same."""
    logger, written = logged

    answer = report(logger, telemetry.make_metrics())

    line = json.loads(written.getvalue())
    assert {**expected, "service": "another-stack", "timestamp": line["timestamp"]} == line
    if isinstance(answer, dict):
        assert {"level": "INFO", "message": expected["message"], **answer} == expected


def test_a_line_is_compact_json_in_ascii(logged: tuple[Logger, io.StringIO]) -> None:
    """What JSON has no word for is written as text, never an error; no character of a key can garble the line."""
    logger, written = logged
    said = {"key": "été\u2028🚕\x1b", "at": Path("a/b")}

    logger.info("started", extra=said)

    line = json.loads(written.getvalue())
    assert written.getvalue() == json.dumps(line, separators=(",", ":")) + "\n"
    assert (said["key"], "a/b") == (line["key"], line["at"])


@pytest.mark.parametrize(("error", "stack"), [(ValueError("a bug"), True), (errors.ForeignObjectError("no"), False)])
def test_the_stack_of_what_nobody_foresaw_is_logged(
    logged: tuple[Logger, io.StringIO],
    error: Exception,
    stack: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """And of nothing else; the reason says so."""
    logger, written = logged

    for report in (failed(error), overdue([], error)):
        try:
            raise error
        except (ValueError, errors.ArrivalError):
            report(logger, telemetry.make_metrics())

    for line in map(json.loads, written.getvalue().splitlines()):
        assert str(error) == line["why"]
        assert stack == ("test_the_stack_of" in line.get("exception", "")), line
        assert (line["message"] == "failed" and stack) == (line.get("reason") == "unexpected"), line


def test_what_is_overdue_is_counted(logged: tuple[Logger, io.StringIO], capsys: pytest.CaptureFixture[str]) -> None:
    """Each route and all together, zero too; where one could not be looked at, the sum is not known and not written."""
    for report in (overdue([OVERDUE]), overdue([]), overdue([OVERDUE], ValueError("a bug"))):
        report(logged[0], telemetry.make_metrics())

    assert [("sales", [1.0]), (None, [1.0]), (None, [0.0]), ("sales", [1.0])] == [
        (line.get("route"), line["Overdue"]) for line in counted(capsys)
    ]


@pytest.mark.parametrize(("label", "word"), [(None, "Backfilled"), ("again", "Reprocessed")])
def test_what_a_backfill_starts_is_counted_once(
    capsys: pytest.CaptureFixture[str], label: str | None, word: str
) -> None:
    """With its route as a field of the line."""
    listed(Started(RUN, "sales"), label)(telemetry.make_logger(), telemetry.make_metrics())
    [line] = counted(capsys)

    assert {word: [1.0], "route": "sales"} == {name: line[name] for name in line if name not in {"_aws", "service"}}


@pytest.mark.parametrize("length", [1024, 1025])
def test_whatever_can_be_a_key_is_logged_whole(length: int) -> None:
    """Of what is longer, as much."""
    announced = read_announcement(event(detail__object={"key": "x" * length}))

    assert "x" * 1024 == telemetry.describe(announced)["key"]


def test_the_table_of_fields_is_true(logged: tuple[Logger, io.StringIO]) -> None:
    """Every field of a line, of whichever kind, is in the table."""
    logger, written = logged
    try:
        raise ValueError  # noqa: TRY301 - the last of them wants a traceback
    except ValueError:
        for report in [*(report for report, _ in LINES), *MORE]:
            report(logger, telemetry.make_metrics())
    rows = re.findall(r"^\| (`[^|]+) \|", page().partition("## Log lines")[2].partition("## Traces")[0], re.MULTILINE)
    documented = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}

    # Only the runtime gives the id of the trace.
    assert documented - {"xray_trace_id"} == {
        name for line in written.getvalue().splitlines() for name in json.loads(line)
    }


def test_the_table_of_metrics_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, unit and dimension sets are what telemetry emits."""
    logger, metrics = telemetry.make_logger(), telemetry.make_metrics()
    for report in [*(report for report, _ in LINES), *MORE]:
        report(logger, metrics)
    emitted: dict[str, tuple[str, set[str]]] = {}
    for line in counted(capsys):
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                known = emitted.setdefault(metric["Name"], (metric["Unit"], set()))
                known[1].update(", ".join(names) for names in directive["Dimensions"])
    rows = re.findall(r"^\| (\w+) \| (Count|Milliseconds) \| ([^|]+) \|", page(), re.MULTILINE)

    assert emitted == {name: (unit, set(sets.strip().split(" · "))) for name, unit, sets in rows}
