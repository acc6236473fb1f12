"""Find the failed executions of the stack's state machines, their errors, and whether they can be redriven."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from shared.gates.aws import code_of
from tools.cloud import Cloud, NotKnownError
from tools.deployed import Opened
from tools.reading import dig, read_json

UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
# The most executions of one machine and status: DescribeExecution has a rate of 15 a second, or more.
MOST = 50
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
# Errors that a redrive would only repeat: the first ends in a Fail state, and the second was asked for.
FINAL = {
    "SomeObjectsFailed": "its batches are done; run the backfill again",
    "MalformedEventError": "its request was refused",
}


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that did not succeed; `subject` is its key, folder or prefix."""

    kind: str
    name: str
    arn: str
    status: str
    stopped: datetime
    subject: str
    error: str
    cause: str
    # Empty if a redrive helps.
    not_redrivable: str

    @property
    def why(self) -> str:
        """The error and its cause in a line."""
        return reason(self.error, self.cause)


def machines(opened: Opened) -> dict[str, str]:
    """Return the purpose of each state machine of the stack, by its ARN without a version or alias."""
    found = {opened.output("StateMachineArn"): "workflow"}
    found |= dict.fromkeys(filter(None, opened.parameters.get("RouteStateMachineArns", "").split(",")), "workflow")
    found[opened.resources["WindowStateMachine"]] = "window"
    found[opened.output("BackfillStateMachineArn")] = "backfill"
    return {":".join(arn.split(":")[:7]): kind for arn, kind in found.items()}


def read_unsuccessful(cloud: Cloud, opened: Opened, since: datetime) -> tuple[list[Ended], bool]:
    """Return the executions that failed, timed out or were stopped since then, and whether there are more of them."""
    sfn, found, more = cloud.client("stepfunctions"), list[Ended](), False
    for machine, kind in machines(opened).items():
        for status in UNSUCCESSFUL:
            recent = list(islice(_since(sfn, machine, status, since), MOST + 1))
            more = more or len(recent) > MOST
            found += [describe(sfn, one["executionArn"], kind) for one in recent[:MOST]]
    return sorted(found, key=lambda one: one.stopped, reverse=True), more


def _since(sfn: Any, machine: str, status: str, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield the executions of one status, the newest first, that ended since then."""
    pages = sfn.get_paginator("list_executions").paginate(
        stateMachineArn=machine, statusFilter=status, PaginationConfig={"PageSize": MOST + 1}
    )
    for page in pages:
        for one in page["executions"]:
            if one["stopDate"] < since:
                return
            yield one


def describe(sfn: Any, arn: str, kind: str) -> Ended:
    """Describe an execution that has ended."""
    described = sfn.describe_execution(executionArn=arn)
    given, error = read_json(described.get("input", "")), described.get("error", "")
    refusal = FINAL.get(error, "")
    if not refusal and described.get("redriveStatus") == "NOT_REDRIVABLE":
        refusal = described.get("redriveStatusReason", "not redrivable")
    return Ended(
        kind,
        described["name"],
        arn,
        described["status"],
        described.get("stopDate", described["startDate"]),
        dig(given, "object", "key") or dig(given, "SRC_PREFIX") or dig(given, "folder") or dig(given, "prefix") or "",
        error,
        described.get("cause", ""),
        refusal,
    )


def find_by_name(cloud: Cloud, opened: Opened, name: str) -> Ended:
    """Return the execution of that name or ARN, on any machine.

    Raises NotKnownError if there is none, or if it has not failed.
    """
    sfn, known = cloud.client("stepfunctions"), machines(opened)
    for machine, kind in known.items():
        arn = execution_arn(machine, name.rsplit(":", 1)[-1])
        if name.startswith("arn:") and name != arn:
            continue
        try:
            ended = describe(sfn, arn, kind)
        except ClientError as error:
            if code_of(error) in {"ExecutionDoesNotExist", "InvalidArn"}:
                continue
            raise
        if ended.status not in UNSUCCESSFUL:
            raise NotKnownError(f"{name} is {ended.status}: there is nothing to redrive.")
        return ended
    raise NotKnownError(
        f"No execution {name!a} of this stack's machines: arrivals failed{cloud.options} lists those that failed."
    )


def execution_arn(machine: str, name: str) -> str:
    """Return the ARN of an execution."""
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def reason(error: str, cause: str) -> str:
    """Return error and cause in one line; for a Glue run, only its message."""
    said = read_json(cause)
    return ": ".join(filter(None, (error, dig(said, "ErrorMessage") or dig(said, "errorMessage") or cause)))


def console(arn: str) -> str:
    """Return the address of an execution's page."""
    partition, _, region = arn.split(":")[1:4]
    host = CONSOLES.get(partition, CONSOLES["aws"])
    return f"https://{region}.{host}/states/home?region={region}#/v2/executions/details/{arn}"
