"""Ask S3, Step Functions, the log and the failure queue about a key; it only reads."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from shared.domain import sets
from shared.domain.arrival import ObjectCreated, Skip, StoredObject, real_version
from shared.domain.choose import choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.gather import file_of, gather, plan_window
from shared.domain.outcome import Waiting
from shared.domain.plan import Execution, plan
from shared.domain.routes import Choice
from shared.domain.stack import Stack
from shared.domain.windows import File, Generation, parse_manifest
from shared.gates.s3 import get_manifest, list_page
from shared.gates.s3 import read_object as read_stored
from tools.answer import moment
from tools.cloud import Cloud
from tools.deployed import read_deployed
from tools.failure_queue import peek
from tools.reading import read_json
from tools.why.facts import Facts, Line, Upload
from tools.why.judge import LATE

# The most uploads of one key in the answer, the newest first.
UPLOADS = 5
GROUPS = ("StartExecutionLogGroup", "BackfillFunctionsLogGroup")


def ask(cloud: Cloud, key: str, routes: Path | None = None) -> Facts:
    """Ask AWS for all facts about a key.

    Raises NotKnownError, SettingsError, and boto3's errors.
    """
    deployed = read_deployed(cloud, routes)
    s3, sfn = cloud.client("s3"), cloud.client("stepfunctions")
    stored, missing = read_object(s3, deployed.stack, key)
    uploads = [read_upload(s3, sfn, deployed.stack, one) for one in stored]
    since = min((one.last_modified for one in stored), default=datetime.now(UTC) - timedelta(days=1)) - LATE
    groups = [deployed.opened.resources[name] for name in GROUPS]
    log = read_log(cloud.client("logs"), groups, key, since)
    queue = peek(cloud.client("sqs"), deployed.opened.output("FailureQueueUrl"))
    return Facts(deployed, key, missing, uploads, log, [one for one in queue.messages if one.key == key], queue)


def read_object(s3: Any, stack: Stack, key: str) -> tuple[list[StoredObject], str]:
    """Read the newest uploads of a key that S3 still has, and a note about missing ones."""
    bucket = stack.source_bucket_name
    mine: list[dict[str, Any]] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        found = [one for one in listed if one["Key"] == key]
        mine += found
        # The key itself comes before all keys that only begin with it.
        if not found:
            break
    mine.sort(key=lambda one: one["LastModified"], reverse=True)
    stored = [
        StoredObject(
            bucket, key, real_version(one["VersionId"]), one["ETag"].strip('"'), one["LastModified"], one["Size"]
        )
        for one in mine
        if "ETag" in one
    ]
    if not mine:
        return [], "no such object: it was never uploaded, or is deleted. Check the key, byte for byte."
    gone = [one["LastModified"] for one in mine if one["IsLatest"] and "ETag" not in one]
    return stored[:UPLOADS], "".join(f"deleted {moment(when)} UTC (a delete marker)" for when in gone)


def read_upload(s3: Any, sfn: Any, stack: Stack, stored: StoredObject) -> Upload:
    """Plan an upload as the function does, and look its execution up."""
    created = ObjectCreated(stored.bucket, stored.key, stored.version_id, stack.account_id)
    try:
        choice = choose(created, stack, even_paused=True)
    except ArrivalError as error:
        return Upload(stored, error, None)
    if isinstance(choice, Skip):
        return Upload(stored, choice, None)
    if skip := screen_object(stored.size, choice):
        return Upload(stored, skip, None)
    if choice.route.set:
        upload = read_set(s3, sfn, stack, choice, stored)
    elif choice.route.window_seconds:
        upload = read_window(s3, sfn, stack, choice, stored)
    else:
        planned = plan(stored, choice, stack)
        upload = Upload(stored, planned, describe(sfn, planned))
    # A pause changes no earlier start, and open windows still close.
    if choice.route.paused and upload.execution is None and upload.window is None and upload.manifest is None:
        paused = choose(created, stack)
        return Upload(stored, paused, None) if isinstance(paused, Skip) else upload
    return upload


def read_window(s3: Any, sfn: Any, stack: Stack, choice: Choice, stored: StoredObject) -> Upload:
    """Look for the manifest that names an upload, and for its run; or for the window that will store one."""
    gathering = gather(stored, choice, stack, stored.last_modified.timestamp())
    window, file = gathering.sighting.group, gathering.sighting.file
    for number in count():
        generation = Generation(window, number)
        collecting = Execution(gathering.machine_arn, generation.name, generation.input)
        manifest = get_manifest(s3, gathering.results_bucket, generation.manifest_key)
        if manifest is None:
            described = describe(sfn, collecting)
            later = describe(sfn, Execution(gathering.machine_arn, Generation(window, number + 1).name, ""))
            if described is None or later is None:
                return Upload(stored, collecting, described, generation if described else None)
        elif file.upload in {one.upload for one in parse_manifest(manifest)}:
            run = plan_window(generation, manifest, stack)
            address = f"s3://{gathering.results_bucket}/{generation.manifest_key}"
            return Upload(stored, run or collecting, describe(sfn, run) if run else None, generation, address)
    raise AssertionError


def read_set(s3: Any, sfn: Any, stack: Stack, choice: Choice, stored: StoredObject) -> Upload:
    """Look at an upload's set as it is now: at each member, and at its run, or at the execution that will start it."""

    def head(key: str) -> File | None:
        found = read_stored(s3, ObjectCreated(stored.bucket, key, None, stack.account_id))
        return file_of(found) if found else None

    route, instance = choice.route, sets.instance_of(choice)
    found = sets.look(route, instance, stack, head, partial(list_page, s3))
    gone = found.missing if isinstance(found.missing, list) else [f"{found.missing} more"] if found.missing else []
    there = [(file.key, datetime.fromtimestamp(file.last_modified, UTC)) for file in found.files]
    members = (*there, *((key, None) for key in gone))
    if not found.is_complete:
        return Upload(stored, Waiting(found.present, found.missing, route.name), None, members=members)
    content = sets.content_of(found.files, route, instance, stack)
    run = Execution(route.machine_arn(stack.state_machine_arn), content.identity, "", route.name)
    opened = [Generation(content, number) for number in takewhile(partial(_is_known, sfn, stack, content), count())]
    last = opened[-1] if opened else None
    key = content.manifest_key(0)
    if get_manifest(s3, stack.results_bucket_name, key) is not None:
        address = f"s3://{stack.results_bucket_name}/{key}"
        return Upload(stored, run, describe(sfn, run), last, address, members)
    collecting = Execution(stack.window_machine_arn, last.name if last else "", "")
    described = describe(sfn, collecting) if last else None
    # An execution that ended without a manifest has seen another content of the set.
    if last is None or described is None or described["status"] == "SUCCEEDED":
        return Upload(stored, run, None, members=members)
    return Upload(stored, collecting, described, last, members=members)


def _is_known(sfn: Any, stack: Stack, content: sets.Content, number: int) -> bool:
    return describe(sfn, Execution(stack.window_machine_arn, Generation(content, number).name, "")) is not None


def describe(sfn: Any, execution: Execution) -> dict[str, Any] | None:
    """Describe an execution; None if there is none."""
    try:
        described: dict[str, Any] = sfn.describe_execution(executionArn=execution.arn)
    except sfn.exceptions.ExecutionDoesNotExist:
        return None
    return described


def read_log(logs: Any, groups: Iterable[str], key: str, since: datetime) -> list[Line]:
    """Read the log lines about a key.

    The log escapes characters that are not ASCII, and a pattern has special characters. So CloudWatch filters by the
    plain beginning of the key, and this function compares the rest.
    """
    plain = "".join(
        takewhile(lambda character: character.isascii() and (character.isalnum() or character in "/_-=."), key)
    )
    found = []
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'{{ $.key = "{plain}*" }}', startTime=int(since.timestamp() * 1000)
        )
        for event in (event for page in pages for event in page["events"]):
            line = read_json(event["message"])
            if line.get("key") == key:
                why = " ".join(str(line[name]) for name in ("reason", "why", "execution_name") if name in line)
                when = moment(datetime.fromtimestamp(event["timestamp"] / 1000, UTC))
                found.append(Line(when, f"{line['message']} ({line['source']})", line.get("version_id"), why))
    return sorted(found, key=lambda one: one.when)
