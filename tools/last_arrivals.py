"""The last arrival of each route, from the function's log."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.cloud import Cloud, NotKnownError
from tools.deployed import Deployed
from tools.reading import dig, read_json
from tools.routes import Last

# An account can run only so many queries at once; the lowest limit of any region is 30.
AT_ONCE = 10
LOOKBACK = timedelta(days=7)
PATIENCE = 60
OUTCOMES = "started|duplicate|coalesced|waiting|skipped|failed"


def read_last(cloud: Cloud, deployed: Deployed) -> dict[str, Last]:
    """Ask Logs Insights for the newest decision of each route, of the last seven days."""
    logs, group = cloud.client("logs"), deployed.opened.resources["StartExecutionLogGroup"]
    names = [route.name for route in deployed.stack.table.routes] or [""]
    found = {}
    for first in range(0, len(names), AT_ONCE):
        queries = {name: _start(logs, group, name) for name in names[first : first + AT_ONCE]}
        for name, query in queries.items():
            if last := _result(logs, query):
                found[name] = last
    return found


def _start(logs: Any, group: str, route: str) -> str:
    """Start the query for a route's log line; a route's name has no character with a meaning in a pattern."""
    wanted = f'"route":{json.dumps(route)}' if route else f'"message":"({OUTCOMES})"'
    now = datetime.now(UTC)
    query: str = logs.start_query(
        logGroupName=group,
        startTime=int((now - LOOKBACK).timestamp()),
        endTime=int(now.timestamp()) + 1,
        # EMF lines name the route too; a decision has a level.
        queryString=f'fields @timestamp, @message | filter @message like /{wanted}/ | filter @message like /"level":/ '
        "| sort @timestamp desc | limit 1",
    )["queryId"]
    return query


def _result(logs: Any, query: str) -> Last | None:
    deadline = time.monotonic() + PATIENCE
    while (answer := logs.get_query_results(queryId=query))["status"] in {"Scheduled", "Running", "Unknown"}:
        if time.monotonic() > deadline:
            raise NotKnownError("The log did not answer within a minute: try again, or leave out --stack.")
        time.sleep(0.5)
    for row in answer["results"]:
        fields = {one["field"]: one["value"] for one in row}
        line = read_json(fields["@message"])
        outcome = " ".join(filter(None, (dig(line, "message"), dig(line, "reason"))))
        return Last(fields["@timestamp"][:19], outcome, dig(line, "key") or "")
    return None
