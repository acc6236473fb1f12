"""What became of one object, and what to do next: `make why KEY=… [STACK=glueworkshop]`.

It reads only, and takes src/routes/ (or the folder ROUTES) for what was deployed. Profile, region and endpoint are those of
any AWS tool; name, route and reasons are computed by the product's own code with the deployed function's own variables.
"""

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from artifact.pack import pack
from artifact.route_files import FOLDER, RouteFileError, read_routes
from shared.domain.arrival import ObjectCreated, Skip, SkipReason, StoredObject, real_version
from shared.domain.choose import Stack, choose, screen_object
from shared.domain.errors import ArrivalError
from shared.domain.gather import gather, plan_window
from shared.domain.plan import Execution, plan
from shared.domain.routes import Choice, RouteTable
from shared.domain.windows import Generation, parse_manifest
from shared.gates.s3 import get_manifest
from shared.gates.settings import read_stack

# Uploads of one key that are shown, the newest first; messages of the failure queue that are looked at.
UPLOADS, MESSAGES = 5, 100
# Seconds that a message stays hidden from others once it was looked at.
HIDDEN = 10
# An event that has not come by then is late; how long Step Functions keeps a name.
LATE, KEPT = timedelta(minutes=15), timedelta(days=90)
GROUPS = ("StartExecutionLogGroup", "BackfillFunctionsLogGroup")
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}

SKIPPED = {
    SkipReason.EMPTY_OBJECT: "If it should have content, upload it again.",
    SkipReason.FAILED_CALL: "The upload itself was refused: ask whoever made it.",
    SkipReason.FOLDER_MARKER: "Nothing to do: it is no file.",
    SkipReason.HIDDEN_FILE: "Nothing to do for a leftover. If it is data: upload it under a name that does not hide it.",
    SkipReason.NO_ROUTE: "If it belongs to a dataset: make route KEY=… says which route comes near (docs/routes.md).",
    SkipReason.NOT_AN_ARRIVAL: "Nothing to do: it announced no upload.",
    SkipReason.PAUSED: "Deploy its route without paused, then run a backfill: it starts exactly what came meanwhile.",
    SkipReason.OBJECT_GONE: "Upload it again if it is still wanted.",
    SkipReason.TARGET_PREFIX: "Nothing to do: the job wrote it. Upload sources elsewhere.",
    SkipReason.WRONG_PREFIX: "Upload it below the prefix, or deploy with another SourcePrefix.",
}
ENDED = {
    "RUNNING": "It is being worked on: follow the link.",
    "PENDING_REDRIVE": "It is about to be run again: follow the link.",
    "SUCCEEDED": "Nothing: it was started once and it succeeded.",
}
FAILED = "Fix what it says, then: aws stepfunctions redrive-execution --execution-arn {arn} (docs/runbook.md#executionsfailedalarm)"
FAILED_WINDOW = "Fix what it says, then: aws stepfunctions redrive-execution --execution-arn {arn} (docs/runbook.md#windowfailedalarm)"
NOT_RUN = "Its window {name} has its manifest and has not started the run yet: look again in a minute (docs/runbook.md#windowfailedalarm)"


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a stack says of itself, and its function of the settings."""

    outputs: dict[str, str]
    log_groups: list[str]
    stack: Stack


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload, the product's own plan for it, and the execution of that name, if there is one."""

    stored: StoredObject
    planned: Execution | Skip
    execution: dict[str, Any] | None
    # With windows, where it was gathered: the plan is the run on that manifest, or before there is one the window.
    window: Generation | None = None
    manifest: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a log line or a message of the failure queue says of the key; `what` is a word such as `failed`."""

    when: str
    what: str
    version_id: str | None
    why: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.when} {self.what}: {self.why}" if self.why else f"{self.when} {self.what}"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a key; the newest upload is first, the newest log line last."""

    deployed: Deployed
    key: str
    missing: str
    uploads: list[Upload]
    log: list[Said]
    failures: list[Said]
    messages: int


class NotKnownError(Exception):
    """The question can't be answered; the message says what to do."""


def main() -> int:
    """Print the answer; exit code 1 means that there is none."""
    key, name = os.environ.get("KEY", ""), os.environ.get("STACK") or "glueworkshop"
    try:
        print("\n".join(tell(ask(boto3.Session(), name, key), datetime.now(UTC))))
    except (NotKnownError, ArrivalError, RouteFileError) as error:
        print(error, file=sys.stderr)
    except NoCredentialsError:
        print("No credentials: log in, or set AWS_PROFILE.", file=sys.stderr)
    except NoRegionError:
        print("No region: set AWS_REGION, or AWS_PROFILE to a profile that has one.", file=sys.stderr)
    except (BotoCoreError, ClientError) as error:
        print(f"AWS did not answer: {error}", file=sys.stderr)
    else:
        return 0
    return 1


def ask(session: boto3.Session, name: str, key: str) -> Facts:
    """Ask AWS for all that is known of a key.

    Raises NotKnownError, SettingsError, and what boto3 raises.
    """
    if not key:
        raise NotKnownError("Which object? make why KEY=input/lab2/eventdriven/file.csv; odd keys: KEY='…' make why")
    deployed = read_deployed(session, name)
    stored, missing = read_object(session.client("s3"), deployed.stack, key)
    s3, sfn = session.client("s3"), session.client("stepfunctions")
    uploads = [read_upload(s3, sfn, deployed.stack, one) for one in stored]
    since = min((one.last_modified for one in stored), default=datetime.now(UTC) - timedelta(days=1)) - LATE
    log = read_log(session.client("logs"), deployed.log_groups, key, since)
    failures, messages = peek(session.client("sqs"), deployed.outputs["FailureQueueUrl"], key)
    return Facts(deployed, key, missing, uploads, log, failures, messages)


def tell(facts: Facts, now: datetime) -> Iterator[str]:
    """Yield the answer, line by line."""
    yield f"Object  s3://{facts.deployed.stack.source_bucket_name}/{facts.key}"
    if facts.missing:
        yield f"S3      {facts.missing}"
    yield from (f"S3      {line}" for upload in facts.uploads for line in tell_upload(upload))
    yield from (f"Log     {line}" for line in facts.log)
    if not facts.log:
        yield "Log     nothing about this key"
    yield from (f"Queue   {failure}" for failure in facts.failures)
    yield f"Queue   {len(facts.failures)} of {facts.messages} messages looked at are about it; none was deleted"
    yield f"To do   {advise(facts, now)}"


def read_deployed(session: boto3.Session, name: str) -> Deployed:
    """Read outputs, log groups and the function's variables.

    Raises NotKnownError where there is no such stack.
    """
    formation = session.client("cloudformation")
    try:
        described = formation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" not in str(error):
            raise
        raise NotKnownError(
            f"No stack {name!a} in {session.region_name}: STACK=…, AWS_REGION or AWS_PROFILE."
        ) from error
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described.get("Outputs", [])}
    function = outputs.get("StartExecutionFunctionName")
    if not function:
        raise NotKnownError(f"Stack {name!a} has no output StartExecutionFunctionName: it is not this application's.")
    variables = session.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    resources = [formation.describe_stack_resource(StackName=name, LogicalResourceId=one) for one in GROUPS]
    groups = [one["StackResourceDetail"]["PhysicalResourceId"] for one in resources]
    return Deployed(
        outputs,
        groups,
        replace(read_stack(variables), table=RouteTable(pack(read_routes(Path(os.environ.get("ROUTES") or FOLDER))))),
    )


def read_object(s3: Any, stack: Stack, key: str) -> tuple[list[StoredObject], str]:
    """Read the newest uploads of a key that S3 still has, and in words what is not there."""
    bucket = stack.source_bucket_name
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    listed = list(pages.search("[Versions || `[]`, DeleteMarkers || `[]`][]")) if key else []
    mine = sorted((one for one in listed if one["Key"] == key), key=lambda one: one["LastModified"], reverse=True)
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
    return stored[:UPLOADS], "".join(f"deleted {moment:%Y-%m-%d %H:%M:%S} UTC (a delete marker)" for moment in gone)


def read_upload(s3: Any, sfn: Any, stack: Stack, stored: StoredObject) -> Upload:
    """Plan an upload as the function does, and look its execution up."""
    created = ObjectCreated(stored.bucket, stored.key, stored.version_id, stack.account_id)
    choice = choose(created, stack)
    if isinstance(choice, Skip):
        return Upload(stored, choice, None)
    if skip := screen_object(stored.size, choice):
        return Upload(stored, skip, None)
    if choice.route.window_seconds:
        return read_window(s3, sfn, stack, choice, stored)
    planned = plan(stored, choice, stack)
    return Upload(stored, planned, describe(sfn, planned))


def read_window(s3: Any, sfn: Any, stack: Stack, choice: Choice, stored: StoredObject) -> Upload:
    """Look for the manifest that names an upload, and for the run on it; or for the window that will."""
    gathering = gather(stored, choice, stack, stored.last_modified.timestamp())
    window, file = gathering.sighting.window, gathering.sighting.file
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


def describe(sfn: Any, execution: Execution) -> dict[str, Any] | None:
    """Describe an execution, None where there is none."""
    try:
        described: dict[str, Any] = sfn.describe_execution(executionArn=execution.arn)
    except sfn.exceptions.ExecutionDoesNotExist:
        return None
    return described


def read_log(logs: Any, groups: Iterable[str], key: str, since: datetime) -> list[Said]:
    """Read what the functions logged about a key.

    The log escapes what is not ASCII, and a pattern has characters of its own: so CloudWatch filters by the plain
    beginning of the key, and the rest is compared here.
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
                when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
                found.append(
                    Said(
                        f"{when:%Y-%m-%d %H:%M:%S}",
                        f"{line['message']} ({line['source']})",
                        line.get("version_id"),
                        why,
                    )
                )
    return sorted(found, key=lambda one: one.when)


def peek(sqs: Any, url: str, key: str) -> tuple[list[Said], int]:
    """Look at the messages of the failure queue without deleting any; return those about a key, and how many were seen."""
    seen: dict[str, Any] = {}
    while len(seen) < MESSAGES:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=HIDDEN, MessageAttributeNames=["All"]
        )
        fresh = {one["MessageId"]: one for one in answer.get("Messages", []) if one["MessageId"] not in seen}
        if not fresh:
            break
        seen |= fresh
    return [said for message in seen.values() if (said := read_failure(message, key))], len(seen)


def read_failure(message: dict[str, Any], key: str) -> Said | None:
    """Read a message of either kind, Lambda's record or a rule's dead letter; None if it is about another key."""
    record = read_json(message["Body"])
    event = record.get("requestPayload", record)
    if key not in {dig(event, "detail", "object", "key"), dig(event, "detail", "requestParameters", "key")}:
        return None
    attributes = message.get("MessageAttributes", {})
    version = dig(event, "detail", "object", "version-id") or dig(
        event, "detail", "responseElements", "x-amz-version-id"
    )
    what = dig(record, "responsePayload", "errorType") or dig(attributes, "ERROR_CODE", "StringValue") or "not handled"
    why = (
        dig(record, "responsePayload", "errorMessage")
        or dig(attributes, "ERROR_MESSAGE", "StringValue")
        or dig(record, "requestContext", "condition")
        or ""
    )
    return Said(dig(event, "time") or "", what, version, why)


def dig(node: Any, *names: str) -> str | None:
    """Return the text at the end of a path, if it leads to one."""
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, str) else None


def read_json(text: str) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def tell_upload(upload: Upload) -> Iterator[str]:
    """Write an upload in three lines at most."""
    stored, planned, execution = upload.stored, upload.planned, upload.execution
    version = f", version {stored.version_id}" if stored.version_id else ""
    yield f"uploaded {stored.last_modified:%Y-%m-%d %H:%M:%S} UTC, {stored.size:,} bytes{version}"
    if upload.window and upload.manifest:
        yield f"  gathered by window {upload.window.name}, manifest {upload.manifest}"
    elif upload.window:
        yield f"  to be gathered by window {upload.window.name}"
    if isinstance(planned, Skip):
        yield f"  starts nothing: {planned.reason.value}, {planned.why}"
    elif execution is None:
        yield f"  no execution {planned.name}"
    else:
        error = ": ".join(filter(None, (execution.get("error"), execution.get("cause", "")[:300])))
        yield f"  execution {planned.name} is {execution['status']}" + (f" ({error})" if error else "")
        yield f"  {console(planned.arn)}"


def console(arn: str) -> str:
    """Return the address of an execution's page."""
    partition, _, region = arn.split(":")[1:4]
    return f"https://{region}.{CONSOLES.get(partition, CONSOLES['aws'])}/states/home?region={region}#/v2/executions/details/{arn}"


def advise(facts: Facts, now: datetime) -> str:
    """Return what to do about the newest upload; where S3 has none, about the key."""
    match facts.uploads[0] if facts.uploads else None:
        case None:
            refused = any("failed_call" in line.why for line in facts.log)
            return SKIPPED[SkipReason.FAILED_CALL if refused else SkipReason.OBJECT_GONE]
        case Upload(_, Skip(reason, _)):
            return SKIPPED[reason]
        case Upload(_, Execution() as execution, {"status": status}, window, manifest):
            return ENDED.get(status, (FAILED_WINDOW if window and not manifest else FAILED).format(arn=execution.arn))
        case Upload() if facts.missing:
            return SKIPPED[SkipReason.OBJECT_GONE]
        case Upload(stored, _, _, window, manifest):
            return NOT_RUN.format(name=window.name) if window and manifest else find_cause(facts, stored, now)


def find_cause(facts: Facts, stored: StoredObject, now: datetime) -> str:
    """Return what to do about an upload that should have been started and was not."""
    log, failures = (
        [one for one in said if one.version_id in {None, stored.version_id}] for said in (facts.log, facts.failures)
    )
    age, request = now - stored.last_modified, shlex.quote(json.dumps({"prefix": facts.key, "dry_run": False}))
    machine = facts.deployed.outputs["BackfillStateMachineArn"]
    start = f"aws stepfunctions start-execution --state-machine-arn {machine} --input {request}"
    if failures:
        return f"Fix what the failure queue says (docs/runbook.md#failurequeuealarm), then: {start}"
    if log and log[-1].what.startswith("failed"):
        return "Lambda tries three times, then it is in the failure queue: look again in some minutes."
    if age > KEPT:
        return f"Step Functions forgets executions after {KEPT.days} days, so it may have run. To run it: {start}"
    if age < LATE:
        return "Look again in some minutes: its event has not come yet. EventBridge takes five once it is turned on."
    return f"Its event never came, or failed long ago (docs/runbook.md#backfilledalarm). To start it: {start}"


if __name__ == "__main__":
    sys.exit(main())
