"""What failed and waits for somebody: `arrivals failed`."""

from datetime import datetime
from typing import NamedTuple

from tools.answer import Answer, Listing, harmless, moment, quoted
from tools.cloud import Cloud
from tools.deployed import open_stack
from tools.executions import MOST, Ended, read_unsuccessful
from tools.failure_queue import peek

# Characters of a reason; --json has all of it.
WHY = 200


class Failure(NamedTuple):
    """One thing that failed; `redrive` is the name that `arrivals redrive` takes, if it helps."""

    when: str
    what: str
    key: str
    why: str
    to_do: str
    name: str | None = None


def ask(cloud: Cloud, since: datetime) -> tuple[list[Failure], list[str]]:
    """Look at the failure queue and at the executions that ended badly; return them, and in words what was not seen."""
    opened = open_stack(cloud)
    look = peek(cloud.client("sqs"), opened.output("FailureQueueUrl"))
    ended, more = read_unsuccessful(cloud, opened, since)
    queued = [
        Failure(one.when, f"event {one.what}", one.key or "", one.why, _about_event(cloud, one.key))
        for one in look.messages
    ]
    unseen = [f"Queue: {look.note}"] if look.note else []
    if more:
        unseen.append(
            f"Executions: the newest {MOST} of a machine and status; there are more. --since shows fewer days."
        )
    return queued + [of_execution(cloud, one) for one in ended], unseen


def _about_event(cloud: Cloud, key: str | None) -> str:
    if key is None:
        return "no object is named: docs/runbook.md#failurequeuealarm"
    return f"fix it, then: arrivals backfill{cloud.options} --prefix={quoted(key)} --start"


def of_execution(cloud: Cloud, ended: Ended) -> Failure:
    """Say what to do about an execution."""
    if not ended.not_redrivable:
        to_do = f"fix it, then: arrivals redrive{cloud.options} {ended.name}"
    elif ended.kind == "backfill":
        to_do = f"fix it, then run the backfill again: arrivals backfill{cloud.options} --start"
    elif ended.kind == "window":
        to_do = f"{ended.not_redrivable}: docs/runbook.md#windowfailedalarm"
    else:
        again = f"arrivals backfill{cloud.options} --prefix={quoted(ended.subject)} --reprocess LABEL --start"
        to_do = f"{ended.not_redrivable}; to run it under a new name: {again}"
    name = None if ended.not_redrivable else ended.name
    return Failure(moment(ended.stopped), f"{ended.kind} {ended.status}", ended.subject, ended.why, to_do, name)


def tell(failures: list[Failure], since: datetime, unseen: list[str]) -> Answer:
    """Return the list; each is something to do, and so is to look again at what was not seen."""
    data = {"since": since.isoformat(), "unseen": unseen, "failures": [one._asdict() for one in failures]}
    if not failures and not unseen:
        return Answer([f"Nothing failed since {moment(since)} UTC, and the failure queue is empty."], data)
    rows = [
        (one.when, one.what, one.name or "-", harmless(one.key), harmless(one.why)[:WHY], harmless(one.to_do))
        for one in failures
    ]
    listing = [Listing(("WHEN (UTC)", "WHAT", "NAME", "KEY", "WHY", "TO DO"), rows)] if rows else []
    return Answer([*listing, *unseen], data, to_do=True)
