"""Judge the facts about a key: find the next step for its newest upload."""

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.arrival import Skip, SkipReason, StoredObject
from shared.domain.errors import ArrivalError
from shared.domain.outcome import Waiting
from shared.domain.plan import Execution
from tools.answer import quoted
from tools.why.facts import Facts, Upload

# After this time a missing event is late; the time for which Step Functions keeps a name.
LATE, KEPT = timedelta(minutes=15), timedelta(days=90)


class Advice(NamedTuple):
    """The next step, and whether there is something to do."""

    text: str
    to_do: bool = True


SKIPPED = {
    SkipReason.EMPTY_OBJECT: Advice("If it should have content, upload it again."),
    SkipReason.FAILED_CALL: Advice("The upload itself was refused: ask the person who made it."),
    SkipReason.FOLDER_MARKER: Advice("Nothing to do: it is no file.", to_do=False),
    SkipReason.HIDDEN_FILE: Advice(
        "Nothing to do for a leftover. If it is data: upload it under a name that does not hide it."
    ),
    SkipReason.NO_ROUTE: Advice(
        "If it belongs to a dataset: arrivals route shows the nearest routes (docs/routes.md)."
    ),
    SkipReason.NOT_AN_ARRIVAL: Advice("Nothing to do: it announced no upload.", to_do=False),
    SkipReason.PAUSED: Advice(
        "Deploy its route without paused, then run a backfill: it starts exactly the uploads of the pause."
    ),
    SkipReason.OBJECT_GONE: Advice("Upload it again if it is still wanted."),
    SkipReason.TARGET_PREFIX: Advice("Nothing to do: the job wrote it. Upload sources elsewhere.", to_do=False),
    SkipReason.WRONG_PREFIX: Advice("Upload it below the prefix, or deploy with another SourcePrefix."),
}
ENDED = {
    "RUNNING": Advice("Nothing yet: it is being worked on; follow the link.", to_do=False),
    "PENDING_REDRIVE": Advice("Nothing yet: it is about to be run again; follow the link.", to_do=False),
    "SUCCEEDED": Advice("Nothing: it was started once and it succeeded.", to_do=False),
}
FAILED = "Fix what it says, then: arrivals redrive{options} {name} (docs/runbook.md#{section})"
NOT_RUN = "Its window {name} has its manifest and has not started the run yet: look again in a minute (docs/runbook.md#windowfailedalarm)"


def advise(facts: Facts, now: datetime) -> Advice:  # noqa: PLR0911 - one a case
    """Return the next step for the newest upload, or for the key if S3 has no upload."""
    match facts.uploads[0] if facts.uploads else None:
        case None:
            refused = any("failed_call" in line.why for line in facts.log)
            return SKIPPED[SkipReason.FAILED_CALL if refused else SkipReason.OBJECT_GONE]
        case Upload(_, Skip(reason, _)):
            return SKIPPED[reason]
        case Upload(_, Waiting()):
            return Advice("Nothing yet: its set starts when the missing files have arrived.", to_do=False)
        case Upload(_, ArrivalError()):
            return Advice("Upload it under another key, then delete its message (docs/runbook.md#routes).")
        case Upload(_, Execution() as execution, {"status": status}, window, manifest):
            section = "windowfailedalarm" if window and not manifest else "executionsfailedalarm"
            text = FAILED.format(options=facts.deployed.opened.options, name=execution.name, section=section)
            return ENDED.get(status, Advice(text))
        case Upload() if facts.missing:
            return SKIPPED[SkipReason.OBJECT_GONE]
        case Upload(stored, _, _, window, manifest):
            return Advice(NOT_RUN.format(name=window.name)) if window and manifest else find_cause(facts, stored, now)


def find_cause(facts: Facts, stored: StoredObject, now: datetime) -> Advice:
    """Return the next step for an upload that should have been started and was not."""
    log = [one for one in facts.log if one.version_id in {None, stored.version_id}]
    failures = [one for one in facts.failures if one.version_id in {None, stored.version_id}]
    age = now - stored.last_modified
    start = f"arrivals backfill{facts.deployed.opened.options} --prefix={quoted(facts.key)} --start"
    if failures:
        return Advice(f"Fix what the failure queue says (docs/runbook.md#failurequeuealarm), then: {start}")
    if log and log[-1].what.startswith("failed"):
        return Advice("Lambda tries three times, then it is in the failure queue: look again in some minutes.")
    if age > KEPT:
        return Advice(
            f"Step Functions forgets executions after {KEPT.days} days, so it may have run. To run it: {start}"
        )
    if age < LATE:
        return Advice(
            "Look again in some minutes: its event has not come yet. EventBridge takes five once it is turned on."
        )
    return Advice(f"Its event never came, or failed long ago (docs/runbook.md#backfilledalarm). To start it: {start}")
