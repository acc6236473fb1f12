"""Write the facts about a key for a person and for a script."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from shared.domain.arrival import Skip
from shared.domain.errors import ArrivalError
from shared.domain.outcome import Waiting
from tools.answer import Answer, moment, shown
from tools.executions import console, reason
from tools.why.facts import Facts, Upload
from tools.why.judge import advise

# The most characters of a cause; the link leads to all of it.
CAUSE = 300


def tell(facts: Facts, now: datetime) -> Answer:
    """Return the answer."""
    advice = advise(facts, now)
    return Answer([*_lines(facts), f"To do   {advice.text}"], _data(facts) | {"to_do": advice.text}, advice.to_do)


def _lines(facts: Facts) -> Iterator[str]:
    yield f"Object  s3://{facts.deployed.stack.source_bucket_name}/{shown(facts.key)}"
    yield from (f"Note    {note}" for note in facts.deployed.notes)
    if facts.missing:
        yield f"S3      {facts.missing}"
    yield from (f"S3      {line}" for upload in facts.uploads for line in _tell_upload(upload))
    yield from (f"Log     {one.when} {one.what}" + (f": {one.why}" if one.why else "") for one in facts.log)
    if not facts.log:
        yield "Log     nothing about this key"
    yield from (f"Queue   {one.when} {one.what}" + (f": {one.why}" if one.why else "") for one in facts.failures)
    seen = len(facts.queue.messages)
    yield f"Queue   {len(facts.failures)} of {seen} messages looked at are about it; none was deleted"
    if facts.queue.note:
        yield f"Queue   {facts.queue.note}"


def _tell_upload(upload: Upload) -> Iterator[str]:
    """Write the lines of an upload."""
    stored, planned, execution = upload.stored, upload.planned, upload.execution
    version = f", version {stored.version_id}" if stored.version_id else ""
    yield f"uploaded {moment(stored.last_modified)} UTC, {stored.size:,} bytes{version}"
    for key, since in upload.members:
        yield f"  member {shown(key)}: " + (f"there since {moment(since)} UTC" if since else "missing")
    if upload.window and upload.manifest:
        yield f"  gathered by window {upload.window.name}, manifest {upload.manifest}"
    elif upload.window:
        yield f"  to be gathered by window {upload.window.name}"
    if isinstance(planned, ArrivalError):
        yield f"  fails: {planned}"
    elif isinstance(planned, Waiting):
        yield f"  waiting: {planned.reason}"
    elif isinstance(planned, Skip):
        yield f"  starts nothing: {planned.reason.value}, {planned.why}"
    elif execution is None:
        yield f"  no execution {planned.name}"
    else:
        error = reason(execution.get("error", ""), execution.get("cause", ""))[:CAUSE]
        yield f"  execution {planned.name} is {execution['status']}" + (f" ({error})" if error else "")
        yield f"  {console(planned.arn)}"


def _data(facts: Facts) -> dict[str, Any]:
    return {
        "bucket": facts.deployed.stack.source_bucket_name,
        "key": facts.key,
        "notes": list(facts.deployed.notes),
        "missing": facts.missing,
        "uploads": [_upload(one) for one in facts.uploads],
        "log": [
            {"when": one.when, "what": one.what, "why": one.why, "version_id": one.version_id} for one in facts.log
        ],
        "failures": [{"when": one.when, "error": one.what, "why": one.why} for one in facts.failures],
        "messages": len(facts.queue.messages),
        "hidden": facts.queue.hidden,
    }


def _upload(upload: Upload) -> dict[str, Any]:
    stored, planned, execution = upload.stored, upload.planned, upload.execution
    described: dict[str, Any] = {
        "last_modified": stored.last_modified.isoformat(),
        "size": stored.size,
        "etag": stored.etag,
        "version_id": stored.version_id,
        "window": upload.window.name if upload.window else None,
        "manifest": upload.manifest,
    }
    if upload.members:
        described["members"] = {key: since and since.isoformat() for key, since in upload.members}
    if isinstance(planned, Waiting):
        return described | {"waiting": planned.reason}
    if isinstance(planned, ArrivalError):
        return described | {"error": type(planned).__name__, "why": str(planned)}
    if isinstance(planned, Skip):
        return described | {"skipped": planned.reason.value, "why": planned.why}
    ran = {name: execution.get(name) for name in ("status", "error", "cause")} if execution else {"status": None}
    return described | {"execution_name": planned.name, "execution_arn": planned.arn, **ran}
