"""Resource types that ministack's CloudFormation does not know, or takes without a check.

AWS: `AWS::Events::Archive` and `AWS::Logs::QueryDefinition` are made like all others. A rule whose pattern is invalid
fails the stack, as PutRule would refuse it.
ministack: refuses a template that has either of the two, and takes any pattern. The content of a saved query is not
checked here: only people read it.
"""

import json
import uuid
from collections.abc import Callable

from ministack.services import eventbridge
from ministack.services.cloudformation import provisioners

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

type Made = tuple[str, Json]


def _create_archive(logical_id: str, props: Json, stack_name: str) -> Made:
    name = props.get("ArchiveName") or provisioners._physical_name(stack_name, logical_id, max_len=48)
    return _write_archive(eventbridge._create_archive, name, props)


def _update_archive(physical_id: str, _old: Json, props: Json, _stack_name: str) -> Made:
    return _write_archive(eventbridge._update_archive, physical_id, props)


def _write_archive(write: Callable[[Json], Response], name: str, props: Json) -> Made:
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
    return name, {"Arn": aws.arn("events", f"archive/{name}"), "ArchiveName": name}


def _delete_archive(physical_id: str, _props: Json) -> None:
    eventbridge._delete_archive({"ArchiveName": physical_id})


def _create_query(_logical_id: str, _props: Json, _stack_name: str) -> Made:
    identifier = str(uuid.uuid4())
    return identifier, {"QueryDefinitionId": identifier}


def _update_query(physical_id: str, _old: Json, _props: Json, _stack_name: str) -> Made:
    return physical_id, {"QueryDefinitionId": physical_id}


def _delete_query(_physical_id: str, _props: Json) -> None:
    """Nothing was kept."""


def _create_rule(logical_id: str, props: Json, stack_name: str) -> Made:
    pattern = props.get("EventPattern")
    error = eventbridge._event_pattern_error(json.dumps(pattern) if isinstance(pattern, dict) else pattern or "")
    if error:
        raise ValueError(f"Event pattern is not valid. Reason: {error}")
    made: Made = provisioners._eb_rule_create(logical_id, props, stack_name)
    return made


for _type, _handlers in {
    "AWS::Events::Archive": {"create": _create_archive, "update": _update_archive, "delete": _delete_archive},
    "AWS::Logs::QueryDefinition": {"create": _create_query, "update": _update_query, "delete": _delete_query},
    "AWS::Events::Rule": {**provisioners._RESOURCE_HANDLERS["AWS::Events::Rule"], "create": _create_rule},
}.items():
    seams.adds(provisioners, "_RESOURCE_HANDLERS", _type, _handlers)
