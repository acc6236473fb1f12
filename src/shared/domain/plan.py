"""Plan the execution for one upload: its state machine, its name and its input.

Everything here is a function of (object, route) and nothing else: no clock, no event id, no request id. So a duplicate
delivery, the CloudTrail event and the native event of one upload, a replay and a backfill all make the same execution.
"""

import json
from typing import NamedTuple

from shared.domain.arrival import StoredObject
from shared.domain.names import DIGEST_LENGTH, NAME_LENGTH, digest, readable, timestamp
from shared.domain.routes import Choice
from shared.domain.stack import Stack


class Execution(NamedTuple):
    """One execution to start: its state machine, its name and its input as JSON; `route` is a route file's name."""

    state_machine_arn: str
    name: str
    input: str
    route: str | None = None

    @property
    def arn(self) -> str:
        """The ARN it has once started (executions of Standard workflows only)."""
        partition, service, region, account, _, machine = self.state_machine_arn.split(":")[1:7]
        return f"arn:{partition}:{service}:{region}:{account}:execution:{machine}:{self.name}"


def plan(stored: StoredObject, choice: Choice, stack: Stack, reprocess: str | None = None) -> Execution:
    """Plan the execution for an object by the route of its key.

    `reprocess` is the user's label: it becomes part of the name, so it is the only way to a second start.
    """
    return Execution(
        choice.route.machine_arn(stack.state_machine_arn),
        execution_name(stored, choice, reprocess),
        execution_input(stored, choice, stack),
        choice.name,
    )


def execution_name(stored: StoredObject, choice: Choice, reprocess: str | None = None) -> str:
    """Name the execution after the upload: readable part, dash, 32 hex digits.

    By this name two announcements of one upload are one execution. The capacity is not in it: a larger capacity is no
    reason to run every file again. With a route file, its name replaces job and target. On an unversioned bucket, ETag
    and last-modified replace the version id, so an overwrite is a new upload.
    """
    upload = stored.version_id or [stored.etag, timestamp(stored.last_modified.timestamp())]
    route = [choice.name] if choice.name else [choice.route.job_name, choice.target]
    stem = stored.key.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    name = readable(stem, NAME_LENGTH - DIGEST_LENGTH - 1, "object")
    return f"{name}-{digest([*route, stored.bucket, stored.key, upload, reprocess])}"


def execution_input(stored: StoredObject, choice: Choice, stack: Stack) -> str:
    """Write the input canonically: the workshop's five parameters, S3's facts about the object, the route's fields."""
    return json.dumps(
        {
            **five_parameters(choice, stack, choice.source(stored.key), stored.size),
            "object": {
                "key": stored.key,
                "size": stored.size,
                "etag": stored.etag,
                "version_id": stored.version_id,
                "last_modified": timestamp(stored.last_modified.timestamp()),
                "content_type": stored.content_type,
                "metadata": dict(sorted(stored.metadata.items())),
            },
            **route_parameters(choice, choice.captures),
        }
    )


def five_parameters(choice: Choice, stack: Stack, source: str, size: int) -> dict[str, object]:
    """Return the workshop's five; if a route file has a ladder, the size in bytes chooses the capacity."""
    return {
        "glue_max_capacity_dpus": choice.route.dpus(size, stack.glue_max_capacity_dpus),
        "JOB_NAME": choice.route.job_name,
        "BUCKET_NAME": stack.source_bucket_name,
        "SRC_PREFIX": source,
        "TRG_PREFIX": choice.target,
    }


def route_parameters(choice: Choice, captures: dict[str, str]) -> dict[str, object]:
    """Return a route file's fields of the input; `captures` are those that all its objects share."""
    if choice.name is None:
        return {}
    return {"route": choice.name, "captures": captures, "parameters": choice.parameters}
