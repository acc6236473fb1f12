"""Permissions of the roles that services assume.

AWS starts a workflow's tasks with the role of the state machine, a schedule's target with the role of the schedule, and
delivers an OnFailure record with the role of the function. ministack checks only the callers of its API, so a missing
permission in one of these roles would first be found on AWS. Its wildcards stop at the end of a line, so it denies a
key with a line feed to everybody but root; IAM's wildcards match line feeds.
"""

import re
from collections.abc import Callable

from ministack.core import iam_evaluator
from ministack.core.responses import get_region
from ministack.services import iam

from local.emulator import seams
from local.emulator.aws import account_of

import ministack.app as gateway  # isort: skip


def denial(role_arn: str, action: str, resource: str, *, session: str) -> str | None:
    """Return AWS's message if the role may not do this, otherwise nothing; conditions see no request."""
    account, name = account_of(role_arn), role_arn.rsplit("/", 1)[-1]
    principal = f"arn:aws:sts::{account}:assumed-role/{name}/{session}"
    context = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    decision = iam_evaluator.evaluate(context, policies, *limits).decision
    if decision == "Allow":
        return None
    because = "with an explicit deny in" if decision == "Deny" else "because no identity-based policy allows"
    end = "an identity-based policy" if decision == "Deny" else f"the {action} action"
    return f"User: {principal} is not authorized to perform: {action} on resource: {resource} {because} {end}"


@seams.replaces(iam_evaluator, "_fnmatch_compile")
def fnmatch_compile(original: Callable[[str, bool], re.Pattern[str]], *asked: str | bool) -> re.Pattern[str]:
    """Let a wildcard of a policy stand for any character."""
    compiled = original(*asked)  # type: ignore[arg-type]
    return re.compile(compiled.pattern.removesuffix("$") + r"\Z", compiled.flags | re.DOTALL)


@seams.replaces(gateway, "pin_request_origin")
def pin_request_origin(original: object, source_ip: str, secure_transport: bool) -> None:  # noqa: ARG001, FBT001
    """Take every request for an encrypted one: a policy that demands TLS must not refuse the whole local cloud."""
    iam_evaluator.pin_request_origin(source_ip, secure_transport=True)
