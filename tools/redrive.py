"""Run failed executions again from the step that failed: `arrivals redrive [NAME…]`."""

from collections.abc import Sequence
from datetime import datetime

from botocore.exceptions import ClientError

from tools.answer import Answer, Listing, harmless, moment
from tools.cloud import Cloud
from tools.deployed import open_stack
from tools.executions import Ended, find_by_name, read_unsuccessful


def ask(cloud: Cloud, names: Sequence[str], since: datetime) -> list[Ended]:
    """Return the executions with these names; without names, all that failed since then."""
    opened = open_stack(cloud)
    if names:
        return [find_by_name(cloud, opened, name) for name in names]
    return read_unsuccessful(cloud, opened, since)[0]


def tell(ended: Sequence[Ended]) -> Answer:
    """Return the plan."""
    rows = [(one.name, one.kind, one.status, moment(one.stopped), harmless(one.subject), _plan(one)) for one in ended]
    data = [
        {"name": one.name, "execution_arn": one.arn, "kind": one.kind, "status": one.status, "key": one.subject}
        | {"why": one.why, "redrivable": not one.not_redrivable, "not_redrivable": one.not_redrivable}
        for one in ended
    ]
    if not ended:
        return Answer(["Nothing failed: there is nothing to redrive."], data)
    return Answer([Listing(("NAME", "WHAT", "STATUS", "ENDED (UTC)", "KEY", "REDRIVE"), rows)], data, to_do=True)


def _plan(one: Ended) -> str:
    return f"no: {one.not_redrivable}" if one.not_redrivable else "yes, at the step that failed"


def redrive(cloud: Cloud, ended: Sequence[Ended]) -> Answer:
    """Redrive the executions that can be redriven; one that is refused stops no other."""
    sfn, told, data = cloud.client("stepfunctions"), list[str | Listing](), []
    for one in ended:
        if one.not_redrivable:
            refusal = one.not_redrivable
        else:
            refusal = ""
            try:
                sfn.redrive_execution(executionArn=one.arn)
            except ClientError as error:
                refusal = str(error)
        told.append(f"{one.name}: " + (f"not redriven, {refusal}" if refusal else "redriven"))
        data.append({"name": one.name, "execution_arn": one.arn, "redriven": not refusal, "why": refusal})
    return Answer(told, data, to_do=any(not one["redriven"] for one in data))
