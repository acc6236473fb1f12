"""Alarms, runbook, metrics and their table are held together here."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from shared.domain.arrival import Skip, SkipReason
from shared.domain.errors import (
    ArrivalError,
    Cause,
    ForeignObjectError,
    MalformedEventError,
    ManifestMissingError,
    RetryableCallError,
    SettingsError,
    UnsafeArgumentError,
    UnsafeTargetError,
)
from shared.domain.expectations import Due, Overdue
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, Waiting
from shared.domain.parse import read_announcement
from shared.domain.plan import Execution
from shared.domain.sets import Content
from shared.domain.windows import File, Generation, Window, write_manifest
from shared.gates import telemetry
from tests.unit.builders import BUCKET, KEY, MACHINE, REPOSITORY, created, event, stack, table
from tests.unit.resolved import TEMPLATE
from tools.template import deployed

CONTEXT: Any = SimpleNamespace(aws_request_id="r")
# One route that no key under the stack's prefix can match.
TABLE = table(elsewhere=('match = "elsewhere/{file}"'))
RESOURCES = TEMPLATE["Resources"]
DASHBOARD = deployed(NoArrivalHours=1)["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


OVERDUE = Overdue(
    Due(
        "sales",
        datetime(2026, 11, 24, 5, 30, tzinfo=UTC),
        "UTC",
        datetime.fromisoformat("2026-11-23"),
        {"dt": "2026-11-23"},
        1,
        None,
    ),
    ["raw/sales/dt=2026-11-23/{file}.csv"],
)


def read(name: str) -> str:
    """Read a page of the docs."""
    return Path(REPOSITORY, "docs", name).read_text()


def test_every_alarm_has_its_runbook_section() -> None:
    """And every section its alarm; the description says where to look."""
    sections = set(re.findall(r"^## (\w+Alarm)$", read("runbook.md"), re.MULTILINE))

    assert sections == ALARMS.keys()
    for name, alarm in ALARMS.items():
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#{name.lower()}")
        assert ["AlarmTopic"] == alarm["AlarmActions"] == alarm["OKActions"]


def test_the_runbook_uses_outputs_and_resources_that_exist() -> None:
    """A command that can't be copied is no help."""
    page = read("runbook.md")

    assert set(re.findall(r"\$\(output (\w+)\)", page)) <= TEMPLATE["Outputs"].keys()
    assert set(re.findall(r"--logical-resource-id (\w+)", page)) <= RESOURCES.keys()


def test_silence_is_watched_within_cloudwatchs_limit() -> None:
    """Periods of an hour may look back for seven days; no data is what this alarm is about, and no other."""
    alarm = ALARMS["NoArrivalAlarm"]

    assert TEMPLATE["Parameters"]["NoArrivalHours"]["MaxValue"] * alarm["Period"] == 7 * 86400
    assert {"NoArrivalAlarm", "OverdueAlarm"} == {
        name for name, one in ALARMS.items() if one["TreatMissingData"] != "notBreaching"
    }


def test_a_storm_is_no_incident() -> None:
    """100,000 files wait 13 minutes at 20 environments, and Glue refuses them until their turn; a loss is told in time."""
    metrics = {alarm["MetricName"] for alarm in ALARMS.values()}
    minutes = ALARMS["EventAgeAlarm"]["Threshold"] / 60_000

    assert not metrics & {"Throttles", "ServiceIntegrationsFailed"}
    assert 2 * 13 < minutes < 6 * 60 / 2


def test_integrations_are_named_as_metrics_name_them() -> None:
    """With region and account; the ARN of a definition, which has neither, would find no data and never alarm."""
    arn = "arn:aws:states:us-east-2:123456789012:glue:startJobRun.sync"

    assert {arn} == set(re.findall(r'"ServiceIntegrationResourceArn", "([^"]+)"', DASHBOARD))


@pytest.mark.parametrize("hours", [0, 1])
def test_the_dashboard_shows_every_alarm(hours: int) -> None:
    """Every alarm that the stack has, and no other."""
    resources = deployed(NoArrivalHours=hours)["Resources"]
    widgets = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])["widgets"]
    [shown] = [one["properties"]["alarms"] for one in widgets if one["type"] == "alarm"]

    made = {name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    assert made == {arn.removesuffix(".Arn") for arn in shown}


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, set[str]]]:
    """Let telemetry report everything it can, and give each metric's unit and dimension sets."""
    logger, metrics = telemetry.make_logger(), telemetry.make_metrics()
    telemetry.report_unreachable(logger, metrics, stack(table=TABLE))
    for outcome in (
        Started("a:name"),
        Started("a:name", "sales"),
        Duplicate("a:name"),
        Coalesced("a:name"),
        Waiting(["in/a"], ["in/b"], "close"),
        Skip(SkipReason.EMPTY_OBJECT, "why"),
    ):
        telemetry.report_outcome(logger, metrics, read_announcement(event()), CONTEXT, outcome)
        telemetry.report_backfill(logger, metrics, created(), outcome, None)
        telemetry.report_backfill(logger, metrics, created(), outcome, "label")
    failure = RetryableCallError("why", Cause.THROTTLED)
    telemetry.report_overdue(logger, metrics, stack(), [OVERDUE], [])
    telemetry.report_failure(logger, metrics, read_announcement(event()), CONTEXT, failure)
    found: dict[str, tuple[str, set[str]]] = {}
    for line in capsys.readouterr().out.splitlines():
        for directive in json.loads(line).get("_aws", {}).get("CloudWatchMetrics", []):
            sets = {", ".join(names) for names in directive["Dimensions"]}
            for metric in directive["Metrics"]:
                known = found.get(metric["Name"], ("", set()))[1]
                found[metric["Name"]] = (metric["Unit"], known | sets)
    return found


def test_the_table_of_metrics_is_true(emitted: dict[str, tuple[str, set[str]]]) -> None:
    """Name, unit and dimension sets are what telemetry emits."""
    rows = re.findall(r"^\| (\w+) \| (Count|Milliseconds) \| ([^|]+) \|", read("observability.md"), re.MULTILINE)

    assert emitted == {name: (unit, set(sets.strip().split(" · "))) for name, unit, sets in rows}


def test_the_words_of_the_table_are_true() -> None:
    """Every reason and cause is named."""
    page = read("observability.md")

    assert all(f"`{word.value}`" in page for word in (*SkipReason, *Cause))


def test_alarms_and_dashboard_show_what_is_emitted(emitted: dict[str, tuple[str, set[str]]]) -> None:
    """A misspelt metric would never alarm."""
    body = DASHBOARD
    named = {
        (alarm["MetricName"], ", ".join(one["Name"] for one in alarm["Dimensions"]))
        for alarm in ALARMS.values()
        if alarm["Namespace"] == telemetry.NAMESPACE
    }
    named |= set(re.findall(r'"FileArrival", "(\w+)", "(\w+)", "glueworkshop"[],]', body))
    searched = re.findall(r'SEARCH\(\'\{FileArrival,([\w,]+)\} MetricName=\\"(\w+)\\"', body)
    named |= {(metric, sets.replace(",", ", ")) for sets, metric in searched}

    assert emitted.keys() == {metric for metric, _ in named}
    for metric, sets in named:
        assert sets in emitted[metric][1]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Logger, io.StringIO]]:
    """Make a logger as a new function does; in one process there is one for each stack's name."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "another-stack")
    logger, written = telemetry.make_logger(), io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    yield logger, written
    logging.Logger.manager.loggerDict.pop("another-stack")


def test_a_line_is_compact_json_in_ascii(logged: tuple[Logger, io.StringIO]) -> None:
    """With nothing but what was said, and when; what JSON has no word for is written as text, never an error."""
    logger, written = logged
    said = {"key": "été\u2028🚕\x1b", "at": Path("a/b")}

    logger.info("started", extra=said)

    line = json.loads(written.getvalue())
    assert written.getvalue() == json.dumps(line, separators=(",", ":")) + "\n"
    assert {
        "level": "INFO",
        "message": "started",
        "timestamp": line["timestamp"],
        "service": "another-stack",
        "key": said["key"],
        "at": "a/b",
    } == line


RUN = "arn:aws:states:us-east-2:123456789012:execution:glueworkshop:name"
STARTED_OF_SALES = {"route": "sales", "execution_arn": RUN, "execution_name": "name"}
SKIPPED_OF_SALES = {"route": "sales", "reason": "empty_object", "why": "zero bytes"}
OF_A_SET = Generation(Content("sales", BUCKET, "in/", "0123", 30, None), 0)
ENDINGS: list[tuple[Outcome, str, dict[str, Any]]] = [
    (Started(RUN, "sales"), "started", STARTED_OF_SALES),
    (Duplicate(RUN, "sales"), "duplicate", STARTED_OF_SALES),
    (Coalesced(RUN, "sales"), "coalesced", STARTED_OF_SALES),
    (Waiting(2, 22, "sales"), "waiting", {"route": "sales", "reason": "incomplete_set", "present": 2, "missing": 22}),
    (Skip(SkipReason.EMPTY_OBJECT, "zero bytes", "sales"), "skipped", SKIPPED_OF_SALES),
]


def line_of(written: io.StringIO) -> dict[str, Any]:
    """Return the one line that was logged, without what every line has."""
    line: dict[str, Any] = json.loads(written.getvalue())
    return {name: value for name, value in line.items() if name not in {"timestamp", "service"}}


@pytest.mark.parametrize(("outcome", "message", "fields"), ENDINGS)
def test_what_is_logged_of_an_arrival(
    logged: tuple[Logger, io.StringIO], outcome: Outcome, message: str, fields: dict[str, Any]
) -> None:
    """What the event said, how it ended, and by which route."""
    logger, written = logged
    announced = read_announcement(event("object-created-replayed"))

    telemetry.report_outcome(logger, telemetry.make_metrics(), announced, CONTEXT, outcome)

    said = {"level": "INFO", "message": message, "request_id": "r", **telemetry.describe(announced)}
    assert said | fields == line_of(written)


def test_what_is_overdue_is_logged_and_counted(
    logged: tuple[Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each route and all together, zero too; where one could not be looked at, the sum is not known and not written."""
    logger, written = logged
    metrics = telemetry.make_metrics()

    telemetry.report_overdue(logger, metrics, stack(), [OVERDUE], [])
    telemetry.report_overdue(logger, metrics, stack(), [], [])
    telemetry.report_overdue(logger, metrics, stack(), [OVERDUE], [ValueError("a bug")])

    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [("sales", [1.0]), (None, [1.0]), (None, [0.0]), ("sales", [1.0])] == [
        (line.get("route"), line["Overdue"]) for line in counted
    ]
    first, second, last = map(json.loads, written.getvalue().splitlines())
    assert {
        "message": "overdue",
        "route": "sales",
        "data_date": "2026-11-23",
        "execution_name": "sales-20261124T053000Z",
        "expected": ["raw/sales/dt=2026-11-23/{file}.csv"],
    }.items() <= first.items()
    assert "overdue" == second["message"]
    assert ("not looked at", "a bug") == (last["message"], last["why"])


FAILURE = RetryableCallError("slow down", Cause.THROTTLED)
FAILURE.route = "sales"


@pytest.mark.parametrize(
    ("error", "fields", "with_stack"),
    [
        (FAILURE, {"reason": "throttled", "why": "slow down", "route": "sales"}, False),
        (ValueError("a bug"), {"reason": "unexpected", "why": "a bug", "exception_name": "ValueError"}, True),
    ],
)
def test_what_is_logged_of_a_failure(
    logged: tuple[Logger, io.StringIO],
    error: Exception,
    fields: dict[str, str],
    with_stack: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """The reason and what to do; and the stack of what nobody foresaw."""
    logger, written = logged
    announced = read_announcement(event())

    try:
        raise error
    except (ValueError, RetryableCallError):
        telemetry.report_failure(logger, telemetry.make_metrics(), announced, CONTEXT, error)

    line = line_of(written)
    stack = line.pop("exception", "") + str(line.pop("stack_trace", ""))
    assert with_stack == ("test_what_is_logged_of_a_failure" in stack) == bool(stack)
    said = {"level": "ERROR", "message": "failed", "request_id": "r", **telemetry.describe(announced)}
    assert said | fields == line


CAUSES = {
    MalformedEventError: "malformed_event",
    ForeignObjectError: "foreign_object",
    UnsafeArgumentError: "unsafe_argument",
    UnsafeTargetError: "unsafe_target",
    SettingsError: "settings",
    ManifestMissingError: "service_error",
}


@pytest.mark.parametrize("kind", CAUSES)
def test_an_error_has_its_reason(logged: tuple[Logger, io.StringIO], kind: type[ArrivalError]) -> None:
    """In the log line and as the dimension of `Failed`."""
    logger, written = logged

    telemetry.report_failure(logger, telemetry.make_metrics(), read_announcement(event()), CONTEXT, kind("why"))

    assert CAUSES[kind] == line_of(written)["reason"]


@pytest.mark.parametrize(("length", "kept"), [(1024, 1024), (1025, 1024)])
def test_whatever_can_be_a_key_is_logged_whole(length: int, kept: int) -> None:
    """Of what is longer, as much."""
    assert {"key": "x" * kept}.items() <= telemetry.describe(
        read_announcement(event(detail__object={"key": "x" * length}))
    ).items()


@pytest.mark.parametrize(("outcome", "message", "fields"), ENDINGS)
def test_what_is_logged_of_a_listed_object(
    logged: tuple[Logger, io.StringIO], outcome: Outcome, message: str, fields: dict[str, str]
) -> None:
    """A duplicate is what a backfill mostly finds, so it is told on request alone."""
    logger, written = logged
    logger.setLevel("DEBUG")

    telemetry.report_backfill(logger, telemetry.make_metrics(), created(), outcome, "again")

    level = "DEBUG" if message == "duplicate" else "INFO"
    said = {
        "level": level,
        "message": message,
        "source": "backfill",
        "bucket": BUCKET,
        "key": KEY,
        "reprocess": "again",
    }
    assert said | fields == line_of(written)


@pytest.mark.parametrize(("label", "name"), [(None, "Backfilled"), ("again", "Reprocessed")])
def test_what_a_backfill_started_is_counted(capsys: pytest.CaptureFixture[str], label: str | None, name: str) -> None:
    """Once, with its route as a field of the line."""
    metrics = telemetry.make_metrics()

    telemetry.report_backfill(telemetry.make_logger(), metrics, created(), Started(RUN, "sales"), label)

    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert ([1.0], "sales") == (line[name], line["route"])


@pytest.mark.parametrize(
    ("planned", "execution"),
    [(Execution(MACHINE, "name", "{}"), {"execution_arn": RUN, "execution_name": "name"}), (None, {})],
)
def test_what_is_logged_of_a_window(
    logged: tuple[Logger, io.StringIO], planned: Execution | None, execution: dict[str, str]
) -> None:
    """What was collected from where, and what was started on it; the function answers the same."""
    logger, written = logged
    generation = Generation(Window("route", BUCKET, "in/", 0, 60, None), 1)
    manifest = write_manifest([File("in/a", 3, "e", 5), File("in/b", 4, "e", 6)])

    answer = telemetry.report_collect(logger, generation, "results", manifest, planned)

    said = {
        "window": generation.name,
        "bucket": BUCKET,
        "folder": "in/",
        "manifest": f"s3://results/{generation.manifest_key}",
        "files": 2,
        "bytes": 7,
    }
    assert said | execution == answer
    assert {"level": "INFO", "message": "collected"} | answer == line_of(written)


def test_a_route_without_keys_is_told_when_the_function_starts(
    logged: tuple[Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, with what to do; and counted."""
    logger, written = logged

    telemetry.report_unreachable(logger, telemetry.make_metrics(), stack(table=TABLE))

    line = json.loads(written.getvalue())
    assert ("WARNING", "unreachable route", "elsewhere") == (line["level"], line["message"], line["route"])
    assert line["why"] == (
        "no key under SourcePrefix 'input/lab2/eventdriven/' can match it: change its match, or deploy another prefix"
    )
    assert [1.0] == json.loads(capsys.readouterr().out)["UnreachableRoutes"]


def test_the_table_of_fields_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every field of a line, of whichever kind, is in the table."""
    logger, metrics = telemetry.make_logger(), telemetry.make_metrics()
    written = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", written)
    skip = Skip(SkipReason.EMPTY_OBJECT, "why")
    put, replayed, versioned = (
        read_announcement(event(f"object-created-{name}")) for name in ("put", "replayed", "put-versioned")
    )
    telemetry.report_unreachable(logger, metrics, stack(table=TABLE))
    telemetry.report_overdue(logger, metrics, stack(), [OVERDUE], [])
    telemetry.report_outcome(logger, metrics, put, CONTEXT, Started("a:name"))
    telemetry.report_outcome(logger, metrics, replayed, CONTEXT, Started("a:name"))
    telemetry.report_outcome(logger, metrics, put, CONTEXT, Waiting(2, 22, "sales"))
    telemetry.report_collect(logger, OF_A_SET, "results", None, None)
    telemetry.report_outcome(logger, metrics, versioned, CONTEXT, skip)
    telemetry.report_backfill(logger, metrics, created(), Started("a:name"), "label")
    generation = Generation(Window("route", "bucket", "folder/", 0, 60, None), 0)
    telemetry.report_collect(logger, generation, "results", b'{"files":[]}', Execution(MACHINE, "name", "{}"))
    try:
        raise ValueError("a bug")  # noqa: TRY301 - a traceback is wanted
    except ValueError as error:
        telemetry.report_failure(logger, metrics, put, CONTEXT, error)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    table = read("observability.md").partition("## Log lines")[2].partition("## Traces")[0]
    documented = {
        name for cell in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }

    # Only the runtime gives the id of the trace.
    assert {name for line in lines for name in line} == documented - {"xray_trace_id"}
