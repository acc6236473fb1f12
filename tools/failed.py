"""List the failures that wait for somebody: `arrivals failed`."""

from datetime import datetime
from typing import NamedTuple

from tools.answer import Answer, Listing, harmless, moment, quoted
from tools.cloud import Cloud
from tools.deployed import open_stack
from tools.executions import MOST, Ended, read_unsuccessful
from tools.failure_queue import peek

# The most characters of a reason; --json has all of it.
WHY = 200


class Failure(NamedTuple):
    """One failure; `redrive` is the name for `arrivals redrive`, if a redrive helps."""

    when: str
    what: str
    key: str
    why: str
    to_do: str
    name: str | None = None


def ask(cloud: Cloud, since: datetime) -> tuple[list[Failure], list[str]]:
    """Return the messages of the failure queue and the failed executions, and in words those that were not seen."""
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
            f"Executions: only the newest {MOST} of a machine and status; there are more. Use --since for fewer days."
        )
    return queued + [of_execution(cloud, one) for one in ended], unseen


def _about_event(cloud: Cloud, key: str | None) -> str:
    if key is None:
        return "the message names no object: docs/runbook.md#failurequeuealarm"
    return f"fix it, then: arrivals backfill{cloud.options} --prefix={quoted(key)} --start"


def of_execution(cloud: Cloud, ended: Ended) -> Failure:
    """Return the remedy for a failed execution."""
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
    """Return the list; each entry is something to do, and so is another look if some were not seen."""
    data = {"since": since.isoformat(), "unseen": unseen, "failures": [one._asdict() for one in failures]}
    if not failures and not unseen:
        return Answer([f"Nothing failed since {moment(since)} UTC, and the failure queue is empty."], data)
    rows = [
        (one.when, one.what, one.name or "-", harmless(one.key), harmless(one.why)[:WHY], harmless(one.to_do))
        for one in failures
    ]
    listing = [Listing(("WHEN (UTC)", "WHAT", "NAME", "KEY", "WHY", "TO DO"), rows)] if rows else []
    return Answer([*listing, *unseen], data, to_do=True)
