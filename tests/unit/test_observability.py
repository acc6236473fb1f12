"""Alarms, runbook, metrics and their table are held together here."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared import telemetry
from shared.arrival import Skip, SkipReason
from shared.errors import CallUnansweredError, Cause
from shared.outcome import Duplicate, Started
from tests.unit.builders import REPOSITORY, created, event
from tests.unit.test_template import TEMPLATE

CONTEXT: Any = SimpleNamespace(aws_request_id="r")
RESOURCES = TEMPLATE["Resources"]
ALARMS = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def read(name: str) -> str:
    """Read a page of the docs."""
    return Path(REPOSITORY, "docs", name).read_text()


def test_every_alarm_has_its_runbook_section() -> None:
    """And every section its alarm; the description says where to look."""
    sections = set(re.findall(r"^## (\w+Alarm)$", read("runbook.md"), re.MULTILINE))

    assert sections == ALARMS.keys()
    for name, alarm in ALARMS.items():
        assert alarm["AlarmDescription"].endswith(f"docs/runbook.md#{name.lower()}")
        assert ["AlarmTopic"] == alarm["AlarmActions"]


@pytest.fixture
def emitted(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, set[str]]]:
    """Let telemetry report everything it can, and give each metric's unit and dimension sets."""
    logger, metrics = telemetry.make_logger(), telemetry.make_metrics()
    for outcome in (Started("a:name"), Duplicate("a:name"), Skip(SkipReason.EMPTY_OBJECT, "why")):
        telemetry.report_outcome(logger, metrics, event(), CONTEXT, outcome)
        telemetry.report_backfill(logger, metrics, created(), outcome, None)
        telemetry.report_backfill(logger, metrics, created(), outcome, "label")
    telemetry.report_failure(logger, metrics, event(), CONTEXT, CallUnansweredError("why", Cause.THROTTLED))
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
    named = {alarm["MetricName"] for alarm in ALARMS.values() if alarm["Namespace"] == telemetry.NAMESPACE}
    body = RESOURCES["Dashboard"]["Properties"]["DashboardBody"][0]
    named |= set(re.findall(r'"FileArrival", "(\w+)"', body)) | set(re.findall(r'MetricName=\\"(\w+)\\"', body))

    assert {"Received", "Backfilled", "ArrivalLatency", "Skipped"} <= named <= emitted.keys()
    assert json.loads(body)["widgets"]
