"""Show the state of the stack on one screen: `arrivals status`."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tools.answer import Answer, Listing, moment
from tools.cloud import Cloud
from tools.deployed import Opened, open_stack
from tools.executions import machines, reason
from tools.failure_queue import count
from tools.reading import read_json

FUNNEL = ("Received", "Started", "Duplicates", "Coalesced", "Waiting", "Skipped", "Failed")
EXECUTIONS = ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
CAPITAL = re.compile(r"(?<!^)([A-Z])")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Seconds of a data point.
PERIOD = 300
# The most characters of a reason, which must fit beside its time.
WHY = 35
# The executions of one page; with more, the exact number does not matter.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Running:
    """The number of running executions (`more`: at least so many), and the start of the oldest."""

    count: int
    more: bool
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An active alarm."""

    name: str
    since: datetime
    means: str


@dataclass(frozen=True, slots=True)
class Backfill:
    """The last backfill, with its report if it succeeded, otherwise with its error."""

    name: str
    status: str
    began: datetime
    report: dict[str, Any]
    why: str


@dataclass(frozen=True, slots=True)
class Status:
    """The whole state; a sum is None if CloudWatch has no data point."""

    opened: Opened
    sums: dict[str, dict[str, int | None]]
    workflow: Running
    windows: Running
    waiting: int
    hidden: int
    alarms: list[Alarm]
    alarms_in_all: int
    backfill: Backfill | None


def ask(cloud: Cloud, now: datetime) -> Status:
    """Ask for all of it."""
    opened = open_stack(cloud)
    sfn, kinds = cloud.client("stepfunctions"), machines(opened)
    by_kind = {kind: arn for arn, kind in reversed(kinds.items())}
    visible, hidden = count(cloud.client("sqs"), opened.output("FailureQueueUrl"))
    names = [opened.resources[one] for one, kind in opened.types.items() if kind == "AWS::CloudWatch::Alarm"]
    return Status(
        opened,
        read_sums(cloud, opened, by_kind["workflow"], now),
        read_running(sfn, by_kind["workflow"]),
        read_running(sfn, by_kind["window"]),
        visible,
        hidden,
        read_alarms(cloud, names),
        len(names),
        read_backfill(sfn, by_kind["backfill"]),
    )


def read_sums(cloud: Cloud, opened: Opened, machine: str, now: datetime) -> dict[str, dict[str, int | None]]:
    """Add up the metrics of the last hour and day."""
    service = [{"Name": "service", "Value": opened.name}]
    wanted = [("FileArrival", name, service) for name in FUNNEL]
    wanted += [("AWS/States", name, [{"Name": "StateMachineArn", "Value": machine}]) for name in EXECUTIONS]
    pages = (
        cloud.client("cloudwatch")
        .get_paginator("get_metric_data")
        .paginate(
            MetricDataQueries=[
                {
                    "Id": name.lower(),
                    "MetricStat": {
                        "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions},
                        "Period": PERIOD,
                        "Stat": "Sum",
                    },
                }
                for namespace, name, dimensions in wanted
            ],
            StartTime=now - DAY,
            EndTime=now + timedelta(seconds=PERIOD),
        )
    )
    sums: dict[str, dict[str, int | None]] = {name: {"hour": None, "day": None} for _, name, _ in wanted}
    ids = {name.lower(): name for name in sums}
    for page in pages:
        for result in page["MetricDataResults"]:
            sums_of_one = sums[ids[result["Id"]]]
            for when, value in zip(result["Timestamps"], result["Values"], strict=True):
                sums_of_one["day"] = (sums_of_one["day"] or 0) + int(value)
                if when > now - HOUR:
                    sums_of_one["hour"] = (sums_of_one["hour"] or 0) + int(value)
    return sums


def read_running(sfn: Any, machine: str) -> Running:
    """Count the running executions."""
    page = sfn.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=PAGE)
    started = [one["startDate"] for one in page["executions"]]
    return Running(len(started), "nextToken" in page, min(started, default=None))


def read_alarms(cloud: Cloud, names: list[str]) -> list[Alarm]:
    """Return the active alarms; DescribeAlarms takes up to a hundred names."""
    found = cloud.client("cloudwatch").describe_alarms(AlarmNames=names, StateValue="ALARM", MaxRecords=100)[
        "MetricAlarms"
    ]
    return [Alarm(one["AlarmName"], one["StateUpdatedTimestamp"], one.get("AlarmDescription", "")) for one in found]


def read_backfill(sfn: Any, machine: str) -> Backfill | None:
    """Describe the last backfill."""
    for one in sfn.list_executions(stateMachineArn=machine, maxResults=1)["executions"]:
        described = sfn.describe_execution(executionArn=one["executionArn"])
        why = reason(described.get("error", ""), described.get("cause", ""))
        report = read_json(described.get("output") or "") if described["status"] == "SUCCEEDED" else {}
        return Backfill(described["name"], described["status"], described["startDate"], report, why)
    return None


def tell(status: Status, now: datetime) -> Answer:
    """Return the screen; there is something to do if an alarm is active, an event waits or the last backfill failed."""
    ringing, last = status.alarms, status.backfill
    to_do = bool(ringing or status.waiting or status.hidden or (last and last.status not in {"RUNNING", "SUCCEEDED"}))
    told: list[str | Listing] = [
        f"Stack {status.opened.name} at {moment(now)} UTC",
        "",
        _table(status, FUNNEL, ""),
        "",
        _table(status, EXECUTIONS, "Executions"),
        "",
        f"Running   {_running(status.workflow)} of the workflow",
        f"Windows   {_running(status.windows)} open",
        f"Queue     {status.waiting} events in the failure queue, {status.hidden} more are being looked at",
        f"Alarms    {len(ringing)} of {status.alarms_in_all} ring",
        *(f"          {one.name} since {moment(one.since)}: {one.means}" for one in ringing),
        f"Backfill  {_backfill(last)}",
    ]
    if to_do:
        told.append(f"To do     arrivals failed{status.opened.options}")
    return Answer(told, _data(status), to_do)


def _table(status: Status, names: tuple[str, ...], prefix: str) -> Listing:
    headings = ("", *(CAPITAL.sub(r" \1", name.removeprefix(prefix)).upper() for name in names))
    rows = [
        (f"last {time}", *("-" if (value := status.sums[name][time]) is None else f"{value:,}" for name in names))
        for time in ("hour", "day")
    ]
    return Listing(headings, rows)


def _running(running: Running) -> str:
    since = f", the oldest since {moment(running.oldest)}" if running.oldest else ""
    return f"{running.count:,}{' or more' if running.more else ''}{since}"


def _backfill(last: Backfill | None) -> str:
    if last is None:
        return "none yet"
    counts = ", ".join(
        f"{name} {last.report[name]:,}" for name in ("found", "started", "failed") if name in last.report
    )
    dry = "dry, " if last.report.get("dry_run") else ""
    return f"{last.status} {moment(last.began)}: " + (f"{dry}{counts}" if counts else last.why[:WHY] or last.name)


def _data(status: Status) -> dict[str, Any]:
    last = status.backfill
    return {
        "stack": status.opened.name,
        "metrics": status.sums,
        "running": status.workflow.count,
        "open_windows": status.windows.count,
        "queue": {"waiting": status.waiting, "hidden": status.hidden},
        "alarms": [{"name": one.name, "since": one.since.isoformat(), "means": one.means} for one in status.alarms],
        "backfill": last
        and {"name": last.name, "status": last.status, "report": last.report or None, "why": last.why or None},
    }
