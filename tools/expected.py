"""List the data that should have come by now, and its arrival: `arrivals expected`, one row for each route.

The check's own code finds deadlines and arrivals. Below the newest deadlines come older ones with an open incident.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from shared.domain.expectations import Due, due, is_expected, next_deadline, parse_due
from shared.domain.routes import Route
from shared.domain.stack import Stack
from shared.gates.expected import when_arrived
from tools.answer import Answer, Listing
from tools.cloud import Cloud
from tools.deployed import Deployed

HEADINGS = ("ROUTE", "DATA'S DATE", "DEADLINE", "ARRIVED")


class Row(NamedTuple):
    """One deadline: times in the zone of its route; `is_missing` is something to do."""

    route: str
    data_date: str
    deadline: str
    arrived: str
    is_missing: bool = False


def ask(cloud: Cloud, deployed: Deployed) -> list[Row]:
    """Return the last deadline of each route that has deadlines, and whether its data is there.

    Raises CallError, and boto3's errors.
    """
    stack, now, s3 = deployed.stack, datetime.now(UTC), cloud.client("s3")
    routes = {route.name: route for route in stack.table.routes if route.expect}
    newest = {name: due(route, now) for name, route in sorted(routes.items())}
    rows = [_row(s3, stack, routes[name], one, now) for name, one in newest.items()]
    running = _running(cloud.client("stepfunctions"), stack)
    older = (one for one in running if one.route in routes and one != newest[one.route])
    return rows + [_row(s3, stack, routes[one.route], one, now) for one in older]


def _row(s3: Any, stack: Stack, route: Route, one: Due | None, now: datetime) -> Row:
    if not is_expected(route):
        return Row(route.name, "-", "-", "paused: nothing is expected")
    if one is None:
        ahead = next_deadline(route.expect, now) if route.expect else None
        when = ahead.wall.strftime("%Y-%m-%d %H:%M") if ahead else "-"
        return Row(route.name, "-", when, "not yet: the first deadline comes later")
    arrived = when_arrived(s3, stack, route, one)
    said = one.in_zone(arrived) if arrived else f"MISSING since {one.in_zone(one.deadline)}"
    return Row(route.name, one.data_date, one.in_zone(one.deadline), said, is_missing=arrived is None)


def _running(sfn: Any, stack: Stack) -> Iterator[Due]:
    """Yield the deadlines of the open incidents."""
    pages = sfn.get_paginator("list_executions").paginate(
        stateMachineArn=stack.overdue_machine_arn, statusFilter="RUNNING"
    )
    for page in pages:
        for one in page["executions"]:
            yield parse_due(json.loads(sfn.describe_execution(executionArn=one["executionArn"])["input"]))


def tell(rows: list[Row]) -> Answer:
    """Return the table; missing data is something to do."""
    data = [one._asdict() for one in rows]
    if not rows:
        return Answer(["No route file has [expect]. See docs/expectations.md."], data)
    return Answer([Listing(HEADINGS, [one[:4] for one in rows])], data, to_do=any(one.is_missing for one in rows))
