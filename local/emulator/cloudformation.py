"""Resource types that ministack's CloudFormation does not know: event archives and saved Logs Insights queries.

AWS: `AWS::Events::Archive` and `AWS::Logs::QueryDefinition` are made like all others; the queries are listed by
DescribeQueryDefinitions. ministack: refuses a template that holds either, and has no saved queries.
"""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import json_response
from ministack.services import cloudwatch_logs, eventbridge
from ministack.services.cloudformation import provisioners

from local.emulator import aws, seams
from local.emulator.aws import Json, Response

type Made = tuple[str, Json]

_queries: dict[str, Json] = {}


def _create_archive(logical_id: str, props: Json, stack_name: str) -> Made:
    name = props.get("ArchiveName") or provisioners._physical_name(stack_name, logical_id, max_len=48)
    _write_archive(eventbridge._create_archive, name, props)
    return name, {"Arn": aws.arn("events", f"archive/{name}"), "ArchiveName": name}


def _update_archive(physical_id: str, _old: Json, props: Json, _stack_name: str) -> Made:
    _write_archive(eventbridge._update_archive, physical_id, props)
    return physical_id, {"Arn": aws.arn("events", f"archive/{physical_id}"), "ArchiveName": physical_id}


def _write_archive(write: Callable[[Json], Response], name: str, props: Json) -> None:
    response = write(
        {
            "ArchiveName": name,
            "EventSourceArn": props["SourceArn"],
            "Description": props.get("Description", ""),
            "EventPattern": json.dumps(props.get("EventPattern", {})),
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
