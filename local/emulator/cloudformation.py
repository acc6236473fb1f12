"""Resource types that ministack's CloudFormation does not know, or takes without looking.

AWS: `AWS::Events::Archive` and `AWS::Logs::QueryDefinition` are made like all others; the queries are listed by
DescribeQueryDefinitions. A rule whose pattern is invalid fails the stack. Buckets get their lifecycle rules, schedules
their time zone and dates.
ministack: refuses a template that holds either, has no saved queries, takes any pattern, and drops the others.
"""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, json_response
from ministack.services import cloudwatch_logs, eventbridge, s3, scheduler
from ministack.services.cloudformation import provisioners

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

type Made = tuple[str, Json]
type Make = Callable[[str, Json, str], Made]
type Change = Callable[[str, Json, Json, str], Made]

_queries = AccountRegionScopedDict()


def _create_archive(logical_id: str, props: Json, stack_name: str) -> Made:
    name = props.get("ArchiveName") or provisioners._physical_name(stack_name, logical_id, max_len=48)
    _write_archive(eventbridge._create_archive, name, props)
    return name, {"Arn": aws.arn("events", f"archive/{name}"), "ArchiveName": name}


def _update_archive(physical_id: str, _old: Json, props: Json, _stack_name: str) -> Made:
    _write_archive(eventbridge._update_archive, physical_id, props)
    return physical_id, {"Arn": aws.arn("events", f"archive/{physical_id}"), "ArchiveName": physical_id}


def _write_archive(write: Callable[[Json], Response], name: str, props: Json) -> None:
    pattern = props.get("EventPattern")
    response = write(
        {
            "ArchiveName": name,
            "EventSourceArn": props["SourceArn"],
            "Description": props.get("Description", ""),
            "EventPattern": json.dumps(pattern) if pattern else "",
            "RetentionDays": int(props.get("RetentionDays", 0)),
        }
    )
    if response[0] >= 400:  # noqa: PLR2004
        raise ValueError(aws.body(response).get("message", "the archive was refused"))


def _delete_archive(physical_id: str, _props: Json) -> None:
    eventbridge._delete_archive({"ArchiveName": physical_id})


def _create_query(_logical_id: str, props: Json, _stack_name: str) -> Made:
    return _write_query(str(uuid.uuid4()), props)


def _update_query(physical_id: str, _old: Json, props: Json, _stack_name: str) -> Made:
    return _write_query(physical_id, props)


def _write_query(identifier: str, props: Json) -> Made:
    _queries[identifier] = {
        "queryDefinitionId": identifier,
        "name": props["Name"],
        "queryString": props["QueryString"],
        "logGroupNames": props.get("LogGroupNames", []),
    }
    return identifier, {"QueryDefinitionId": identifier}


def _delete_query(physical_id: str, _props: Json) -> None:
    _queries.pop(physical_id, None)


def _create_rule(logical_id: str, props: Json, stack_name: str) -> Made:
    pattern = props.get("EventPattern")
    error = eventbridge._event_pattern_error(json.dumps(pattern) if isinstance(pattern, dict) else pattern or "")
    if error:
        raise ValueError(f"Event pattern is not valid. Reason: {error}")
    made: Made = provisioners._eb_rule_create(logical_id, props, stack_name)
    return made


def _finished(kind: str, finish: Callable[[str, Json], None]) -> None:
    """Do what ministack leaves undone whenever it makes or changes a resource of this kind."""
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    make: Make = handlers["create"]
    change: Change = handlers["update"]

    def create(logical_id: str, props: Json, stack_name: str) -> Made:
        made = make(logical_id, props, stack_name)
        finish(made[0], props)
        return made

    def update(physical_id: str, old: Json, new: Json, stack_name: str) -> Made:
        changed = change(physical_id, old, new, stack_name)
        finish(changed[0], new)
        return changed

    seams.adds(provisioners, "_RESOURCE_HANDLERS", kind, {**handlers, "create": create, "update": update})


def _finish_bucket(name: str, props: Json) -> None:
    rules = props.get("LifecycleConfiguration", {}).get("Rules", [])
    if rules:
        s3._bucket_lifecycle[name] = [_lifecycle_rule(rule) for rule in rules]
    else:
        s3._bucket_lifecycle.pop(name, None)


def _lifecycle_rule(rule: Json) -> Json:
    """Return a rule as S3's API has it: it differs from CloudFormation's in a few names."""
    same = ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "Transitions")
    kept: Json = {name: rule[name] for name in same if name in rule}
    prefix = {"Prefix": rule["Prefix"]} if "Prefix" in rule else {}
    expiration = {"Expiration": {"Days": int(rule["ExpirationInDays"])}} if "ExpirationInDays" in rule else {}
    return {"ID": rule.get("Id", str(uuid.uuid4())), "Status": rule["Status"], "Filter": prefix} | expiration | kept


def _finish_schedule(name: str, props: Json) -> None:
    schedule = scheduler._schedules[f"{props.get('GroupName', 'default')}/{name}"]
    dropped = ("ScheduleExpressionTimezone", "StartDate", "EndDate")
    schedule.update({member: props[member] for member in dropped if member in props})


_finished("AWS::S3::Bucket", _finish_bucket)
_finished("AWS::Scheduler::Schedule", _finish_schedule)
seams.adds(
    provisioners,
    "_RESOURCE_HANDLERS",
    "AWS::Events::Rule",
    {**provisioners._RESOURCE_HANDLERS["AWS::Events::Rule"], "create": _create_rule},
)
seams.adds(
    provisioners,
    "_RESOURCE_HANDLERS",
    "AWS::Events::Archive",
    {"create": _create_archive, "update": _update_archive, "delete": _delete_archive},
)
seams.adds(
    provisioners,
    "_RESOURCE_HANDLERS",
    "AWS::Logs::QueryDefinition",
    {"create": _create_query, "update": _update_query, "delete": _delete_query},
)


@seams.replaces(cloudwatch_logs, "handle_request")
async def handle_request(
    original: Callable[..., Awaitable[Response]], method: str, path: str, headers: dict[str, str], *rest: Any
) -> Response:
    """Answer DescribeQueryDefinitions, which ministack does not know."""
    if headers.get("x-amz-target", "").endswith(".DescribeQueryDefinitions"):
        answer: Response = json_response({"queryDefinitions": list(_queries.values())})
        return answer
    return await original(method, path, headers, *rest)


@seams.replaces(cloudwatch_logs, "reset")
def reset(original: Callable[[], None]) -> None:
    """Forget the queries, too."""
    original()
    _queries.clear()
