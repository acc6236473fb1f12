"""Find and start missed uploads, and follow a backfill: `arrivals backfill`."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from shared.domain.backfill import read_request
from shared.domain.stack import Stack
from shared.gates.aws import code_of
from tools.answer import Answer, harmless, shown
from tools.cloud import Cloud, NotKnownError
from tools.deployed import Opened
from tools.executions import execution_arn, reason
from tools.reading import read_json

# Seconds between two looks, and between two lines if there is no terminal for a bar.
PAUSE, TELL_EVERY = 2, 30
STATES = ("succeeded", "running", "pending", "failed", "timedOut", "aborted")
ENDED = ("succeeded", "failed", "timedOut", "aborted")


@dataclass(frozen=True, slots=True)
class Progressed:
    """The progress of the Map Run, in objects; if `total` is 0, nothing is listed yet."""

    total: int
    by_state: dict[str, int]

    @property
    def done(self) -> int:
        """The number of objects that are done, with any result."""
        return sum(self.by_state[state] for state in ENDED)

    def __str__(self) -> str:
        """Return it as a line."""
        states = ", ".join(f"{count:,} {state}" for state, count in self.by_state.items() if count)
        return f"{self.done:,} of {self.total:,} objects listed so far are done" + (f" ({states})" if states else "")


@dataclass(frozen=True, slots=True)
class Ran:
    """A backfill that has ended; the report is empty if it made none."""

    name: str
    arn: str
    status: str
    began: datetime
    stopped: datetime
    report: dict[str, Any]
    error: str
    why: str


class Follower(Protocol):
    """The receiver of the progress."""

    def __call__(self, progressed: Progressed) -> None:
        """Show it."""


def check(opened: Opened, request: dict[str, Any], now: datetime) -> None:
    """Refuse a request that the backfill itself would refuse, before an execution fails and an alarm goes off.

    Raises MalformedEventError.
    """
    stack = Stack(
        account_id="",
        source_bucket_name=opened.output("SourceBucketName"),
        source_prefix=opened.parameters.get("SourcePrefix", ""),
        state_machine_arn="",
        job_name="",
        target_prefix="",
        glue_max_capacity_dpus=0,
        window_seconds=0,
        window_machine_arn="",
        results_bucket_name="",
        overdue_machine_arn="",
    )
    read_request(request, stack, now)


def begin(cloud: Cloud, opened: Opened, request: dict[str, Any]) -> str:
    """Start a backfill and return its ARN."""
    machine = opened.output("BackfillStateMachineArn")
    arn: str = cloud.client("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(request))[
        "executionArn"
    ]
    return arn


def find(cloud: Cloud, opened: Opened, name: str) -> str:
    """Return the ARN of the backfill of that name, or of the last one.

    Raises NotKnownError if there is none.
    """
    machine, sfn = opened.output("BackfillStateMachineArn"), cloud.client("stepfunctions")
    if name == "last":
        for one in sfn.list_executions(stateMachineArn=machine, maxResults=1)["executions"]:
            return str(one["executionArn"])
        raise NotKnownError("There was no backfill yet.")
    return execution_arn(machine, name.rsplit(":", 1)[-1])


def watch(cloud: Cloud, arn: str, tell: Follower, pause: float = PAUSE) -> Ran:
    """Wait for the end of a backfill, and show its progress."""
    sfn, run = cloud.client("stepfunctions"), None
    while True:
        described = _describe(sfn, arn)
        run = run or next((one["mapRunArn"] for one in sfn.list_map_runs(executionArn=arn)["mapRuns"]), None)
        if run:
            counts = sfn.describe_map_run(mapRunArn=run)["itemCounts"]
            tell(Progressed(counts["total"], {state: counts[state] for state in STATES}))
        if described["status"] != "RUNNING":
            return _ended(sfn, described)
        time.sleep(pause)


def _describe(sfn: Any, arn: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = sfn.describe_execution(executionArn=arn)
    except ClientError as error:
        if code_of(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
            raise NotKnownError(f"No backfill {arn.rsplit(':', 1)[-1]!a}: --follow last is the last one.") from error
        raise
    return described


def _ended(sfn: Any, described: dict[str, Any]) -> Ran:
    """Read how it ended; if objects failed, its report is the output of the state before the last."""
    output = described.get("output") if described["status"] == "SUCCEEDED" else None
    if described.get("error") == "SomeObjectsFailed":
        events = sfn.get_execution_history(executionArn=described["executionArn"], reverseOrder=True, maxResults=20)
        left = (one.get("stateExitedEventDetails", {}) for one in events["events"])
        output = next((one["output"] for one in left if one.get("name") == "Report"), None)
    return Ran(
        described["name"],
        described["executionArn"],
        described["status"],
        described["startDate"],
        described["stopDate"],
        read_json(output or ""),
        described.get("error", ""),
        reason(described.get("error", ""), described.get("cause", "")),
    )


@contextmanager
def progress() -> Iterator[Follower]:
    """Show the progress beside the answer: a bar on a terminal, otherwise a line now and then."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (BarColumn(bar_width=20), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the request", total=None)
        yield lambda progressed: bar.update(
            task, total=progressed.total or None, completed=progressed.done, description=str(progressed)
        )


class _Lines:
    """Writes a line at the beginning and then rarely."""

    def __init__(self) -> None:
        self.told = 0.0

    def __call__(self, progressed: Progressed) -> None:
        if time.monotonic() - self.told >= TELL_EVERY or not self.told:
            self.told = time.monotonic()
            sys.stderr.write(f"{progressed}\n")


def tell(cloud: Cloud, ran: Ran, again: str) -> Answer:
    """Return the report; `again` is the command without --start, as it was called.

    Raises NotKnownError for a request that the backfill refused.
    """
    if ran.error == "MalformedEventError":
        raise NotKnownError(ran.why)
    report, dry = ran.report, ran.report.get("dry_run", False)
    data = {"name": ran.name, "execution_arn": ran.arn, "status": ran.status, "why": ran.why or None} | {
        "report": report or None
    }
    told = [f"Backfill  {ran.name} {ran.status} in {(ran.stopped - ran.began).total_seconds():,.0f} s"]
    if not report:
        advice = f"fix it, then: arrivals redrive{cloud.options} {ran.name} (docs/runbook.md#backfillfailedalarm)"
        return Answer([*told, f"Why       {ran.why}", f"To do     {advice}"], data | {"to_do": advice}, to_do=True)
    keys = report["first_keys"]
    told += [
        f"Looked    s3://{report['bucket']}/{shown(report['prefix'])}{_times(report)}",
        f"Found     {report['found']:,}",
        f"Started   {report['started']:,}" + (" would be started: this was a dry run" if dry else ""),
        *_first(keys["started"], report["started"]),
        f"Before    {report['duplicates']:,} were started before",
    ]
    if "windows" in report:
        told.append(f"Windows   {report['windows']:,} opened; {report['coalesced']:,} were gathered before")
    if "waiting" in report:
        told += [
            f"Waiting   {report['waiting']:,} for the rest of their set",
            *_first(keys.get("waiting", []), report["waiting"]),
        ]
    for reason_, count in report["skipped"].items():
        told += [f"Skipped   {count:,} {reason_}", *_first(keys["skipped"].get(reason_, []), count)]
    told.append(f"Failed    {report['failed']:,}")
    told += [f"          {shown(one['key'])}: {harmless(one['why'])}" for one in keys["failed"]]
    advice = _advise(report, again)
    return Answer([*told, f"To do     {advice}"], data | {"to_do": advice}, to_do=advice != NOTHING)


NOTHING = "Nothing."


def _advise(report: dict[str, Any], again: str) -> str:
    if report["failed"]:
        return f"Fix what failed, then: {again} --start"
    return f"Start them: {again} --start" if report["dry_run"] and report["started"] else NOTHING


def _times(report: dict[str, Any]) -> str:
    since, until = report["since"], report["until"]
    return (f", uploaded from {since}" if since else "") + (f" until {until}" if until else "")


def _first(keys: list[str], count: int) -> Iterator[str]:
    yield from (f"          {shown(key)}" for key in keys)
    if keys and count > len(keys):
        yield f"          and {count - len(keys):,} more: the Map Run's results have all"
