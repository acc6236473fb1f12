"""What is expected by when, each moment and partition written by hand; what counts, what is told, and the handlers."""

import json
import subprocess
import sys
from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from artifact.pack import pack
from handlers import check_expectations, look_again
from shared.domain import expectations
from shared.domain.errors import RetryableCallError
from shared.domain.expectations import Due, Overdue, due, incident
from shared.domain.pattern import Capture, Pattern
from shared.domain.routes import Expectation, Route, RouteTable, SetCondition
from shared.domain.windows import File
from tests.unit.builders import CONTEXT, ENVIRONMENT, MACHINE, REPOSITORY, Client, refusal, stack

ZURICH, SANTIAGO = "Europe/Zurich", "America/Santiago"
DAILY = "30 6 * * *"
DAY, HOUR = "%Y-%m-%d", "%Y-%m-%dT%H"
SALES = Pattern(("raw/sales/dt=", Capture("dt"), "/", Capture("file"), ".csv"))


def route(**changes: Any) -> Route:
    """Expect a day's sales by half past six in Zurich."""
    expect: dict[str, Any] = {"captures": (("dt", DAY),), "by": DAILY, "zone": ZURICH, "lag_hours": 24} | changes
    return Route("sales", (SALES,), "job", ("curated/sales",), expect=Expectation(**expect))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOON = moment("2026-11-24T12:00")


def expected(one: Route | None = None, now: datetime = NOON) -> Due:
    found = due(one or route(), now)
    assert found, "nothing is due"
    return found


# A cron, its zone, and its deadlines in UTC, one after the other.
# In Zurich 02:00 becomes 03:00 on 29 March (01:00 UTC), and 03:00 becomes 02:00 on 25 October (01:00 UTC).
CALENDAR = {
    "every day": (DAILY, ZURICH, "2026-11-23T05:30 2026-11-24T05:30"),
    "a weekend": ("30 6 * * MON-FRI", ZURICH, "2026-11-20T05:30 2026-11-23T05:30 2026-11-24T05:30"),
    "spring gap": ("30 2 * * *", ZURICH, "2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30"),
    "twice in the gap": ("0,30 2 * * *", ZURICH, "2026-03-28T01:00 2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:00"),
    "in the gap, after it": ("0 2,3 * * *", ZURICH, "2026-03-28T02:00 2026-03-29T01:00 2026-03-30T00:00"),
    "autumn, the first": ("30 2 * * *", ZURICH, "2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"),
    "two hours back": ("50 2 * * *", "Antarctica/Troll", "2026-10-24T00:50 2026-10-25T00:50 2026-10-26T02:50"),
    "hourly, both 02:15": ("15 * * * *", ZURICH, "2026-10-24T23:15 2026-10-25T00:15 2026-10-25T01:15 2026-10-25T02:15"),
    "every two hours, gap": ("30 */2 * * *", ZURICH, "2026-03-28T23:30 2026-03-29T02:30 2026-03-29T04:30"),
    "half hours, gap": ("*/30 2 * * *", ZURICH, "2026-03-28T01:00 2026-03-28T01:30 2026-03-30T00:00"),
    "gap at midnight": ("0 0 * * *", SANTIAGO, "2026-09-05T04:00 2026-09-06T04:00 2026-09-07T03:00"),
    "half an hour's gap": ("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T15:45 2026-10-03T15:30 2026-10-04T15:15"),
    "on leap days only": ("0 12 29 2 *", "UTC", "2024-02-29T12:00 2028-02-29T12:00"),
}


@pytest.mark.parametrize("why", CALENDAR)
def test_deadlines_follow_each_other(why: str) -> None:
    """Across changes of clocks, midnights, weekends, leap days and zones; backward as forward."""
    by, zone, written = CALENDAR[why]
    dated, undated = route(by=by, zone=zone), route(by=by, zone=zone, captures=())
    for last, following in pairwise(moment(one) for one in written.split()):
        soon = [last + timedelta(minutes=20 * number) for number in range(10)]
        for now in [*(one for one in soon if one < following), following - timedelta(seconds=1)]:
            ahead = expectations.next_deadline(Expectation((), by, zone), now)
            assert (last, following) == (expected(dated, now).deadline, ahead and ahead.at), now
        # Without captures, what was modified since the last one counts for the following.
        assert last == expected(undated, following).after


# Why: cron, zone, lag in hours, format; the deadline, and the partition of its data.
PARTITIONS = {
    "a Monday, for Friday": ("30 6 * * MON", ZURICH, 72, DAY, "2026-11-23T05:30", "2026-11-20"),
    "gap, as the cron writes it": ("30 2 * * *", ZURICH, 3, HOUR, "2026-03-29T01:00", "2026-03-28T23"),
    "hour H is for H - 1": ("15 * * * *", "UTC", 1, HOUR, "2026-11-24T00:15", "2026-11-23T23"),
    "the second 02:15": ("15 * * * *", ZURICH, 1, HOUR, "2026-10-25T01:15", "2026-10-25T01"),
    "at midnight": ("0 0 * * *", ZURICH, 24, DAY, "2026-11-30T23:00", "2026-11-30"),
    "a week of the year": ("0 6 * * MON", "UTC", 24, "%G-W%V", "2027-01-04T06:00", "2026-W53"),
}


@pytest.mark.parametrize("why", PARTITIONS)
def test_a_deadline_is_of_a_partition(why: str) -> None:
    by, zone, lag, format_, at, partition = PARTITIONS[why]
    found = expected(route(by=by, zone=zone, lag_hours=lag, captures=(("dt", format_),)), moment(at))

    assert (moment(at), {"dt": partition}) == (found.deadline, found.captures)


@pytest.mark.parametrize(
    ("by", "since", "now", "last", "following"),
    [
        (DAILY, "2026-11-24", "2026-11-24T05:29", None, "2026-11-24T05:30"),
        (DAILY, "2026-11-24", "2026-11-24T05:30", "2026-11-24T05:30", "2026-11-25T05:30"),
        # A date of the zone, where it is the 24th before it is so in UTC; of the deadline and not of the data.
        ("15 0 * * *", "2026-11-24", "2026-11-23T23:15", "2026-11-23T23:15", "2026-11-24T23:15"),
        ("45 23 * * *", "2026-11-24", "2026-11-23T22:45", None, "2026-11-24T22:45"),
        ("45 23 * * *", "2026-11-24", "2026-11-23T22:44", None, "2026-11-24T22:45"),
        ("15 * * * *", "2026-12-24", "2026-11-24T05:30", None, "2026-12-23T23:15"),
    ],
)
def test_no_deadline_before_since(by: str, since: str, now: str, last: str | None, following: str) -> None:
    one = route(by=by, since=since)
    found, ahead = due(one, moment(now)), expectations.next_deadline(one.expect, moment(now))  # type: ignore[arg-type]

    assert (last and moment(last), moment(following)) == (found and found.deadline, ahead and ahead.at)


STACK = stack(source_prefix="raw/", table=RouteTable(pack([route()])))


def file(name: str, modified: str = "2026-11-24T05:00", size: int = 1) -> File:
    """List an object, below raw/."""
    return File(f"raw/{name}", size, "e", int(moment(modified).timestamp()))


FOUND = file("sales/dt=2026-11-23/a.csv")
FIVE, SIX, SEVEN = (f"2026-11-24T0{hour}:00" for hour in (5, 6, 7))
SEVERAL = [file(f"sales/dt=2026-11-23/{name}.csv", when) for name, when in (("a", SEVEN), ("b", FIVE), ("c", SIX))]
EACH = route(captures=(("day", DAY),))._replace(
    match=tuple(Pattern((f"raw/{name}_", Capture("day"), ".csv")) for name in ("orders", "lines")),
    set=SetCondition(None, 30),
)
COUNTED = route()._replace(source=("raw/sales/dt=", Capture("dt"), "/"), set=SetCondition(2, 30))
ORDERS = file("orders_2026-11-23.csv")


@pytest.mark.parametrize(
    ("one", "files", "when"),
    [
        # Of the expected captures exactly; no marker, no empty object, no other day; the first of two is when it came.
        (route(), [FOUND], FIVE),
        *((route(), [file(f"sales/dt=2026-11-2{end}")], None) for end in ("4/a.csv", "/a.csv", "3/", "3/b/a.csv")),
        (route(), [FOUND._replace(size=0)], None),
        (route(), SEVERAL[:2], FIVE),
        # The last of so many, in order of time, whatever the order of keys.
        (route(at_least=2), SEVERAL, SIX),
        (route(at_least=2), SEVERAL[:1], None),
        # Without captures only what is newer than the deadline before, and not of that very moment.
        (route(captures=()), [file("sales/dt=1/a.csv", "2026-11-23T05:30")], None),
        (route(captures=()), [file("sales/dt=1/a.csv", "2026-11-23T05:31")], "2026-11-23T05:31"),
        # A set has come with its last member, or the last of so many that it needs.
        (EACH, [ORDERS], None),
        (EACH, [ORDERS, file("lines_2026-11-24.csv")], None),
        (EACH, [ORDERS, file("lines_2026-11-23.csv", SIX)], SIX),
        (COUNTED, SEVERAL[:1], None),
        (COUNTED, SEVERAL, SIX),
    ],
)
def test_what_its_own_arrival_would_start_counts(one: Route, files: list[File], when: str | None) -> None:
    """And when what had to come was there."""
    deployed = stack(source_prefix="raw/", table=RouteTable(pack([one])))

    assert (when and moment(when)) == expectations.arrived_at(files, expected(one), deployed)


def test_no_more_is_listed_than_is_enough() -> None:
    """Where the time does not matter."""
    broken: Any = None

    assert expectations.arrived_at([*SEVERAL[:2], broken], expected(route(at_least=2)), STACK, enough=True)


@pytest.mark.parametrize(
    ("prefix", "captures", "where"),
    [
        ("raw/", (("dt", DAY),), ["raw/sales/dt=2026-11-23/"]),
        ("raw/", (("file", "x"),), ["raw/sales/dt="]),
        ("raw/sales/dt=2026-11-23/a", (("dt", DAY),), ["raw/sales/dt=2026-11-23/a"]),
        ("elsewhere/", (("dt", DAY),), []),
    ],
)
def test_listing_starts_where_the_key_is_known(prefix: str, captures: Any, where: list[str]) -> None:
    """As far as it is known, and never outside the source prefix."""
    assert where == expectations.prefixes(route(), expected(route(captures=captures)), stack(source_prefix=prefix))


def test_one_failure_holds_nobody_up_and_what_came_is_not_asked_again() -> None:
    """The others are looked at; what has arrived is remembered for its deadline alone, what was told is told once."""
    routes = [route()._replace(name=name) for name in ("bad", "here", "late")]
    routes += [routes[0]._replace(expect=None), routes[0]._replace(paused=True)]
    asked: list[str] = []
    told: list[str] = []

    def look(one: Route, _due: Due) -> bool:
        asked.append(one.name)
        if one.name == "bad":
            raise ValueError(one.name)
        return one.name == "here"

    memory = expectations.Known()
    for now in ("2026-11-24T06:00", "2026-11-24T06:05", "2026-11-25T06:00"):
        found = expectations.check(routes, moment(now), memory, look, lambda overdue: told.append(overdue.due.name))
        assert ["ValueError", "Overdue"] == [type(one).__name__ for one in found]

    assert ["late-20261124T053000Z", "late-20261125T053000Z"] == told
    assert ["bad", "here", "late", "bad", "late", "bad", "here", "late"] == asked


def test_live_arrivals_import_none_of_it() -> None:
    """A cold start has no use for crons and zones."""
    code = "import sys, handlers.start_execution; print(*sys.modules)"
    environment = {**ENVIRONMENT, "PATH": "", "PYTHONPATH": str(REPOSITORY / "src")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert {"cronsim", "tzdata", "shared.domain.expectations", "shared.gates.expected"}.isdisjoint(ran.stdout.split())
    assert "shared.domain.routes" in ran.stdout.split()


def test_an_incident_says_all_there_is_to_know() -> None:
    """In plain words, with every fact; its input is read back to what is looked for again."""
    found = expected(route(at_least=3))
    opened = incident(Overdue(found, expectations.expected_keys(route(), found)), STACK)
    said = json.loads(opened.input)
    facts = (
        *("stack glueworkshop", "2026-11-24 06:30 Europe/Zurich (2026-11-24 05:30 UTC)", "At least 3 objects"),
        *("/raw/sales/dt=2026-11-23/{file}.csv", "aws s3 ls s3://", "docs/runbook.md#overduealarm"),
    )

    assert (f"{MACHINE}-overdue", "sales-20261124T053000Z") == (opened.state_machine_arn, opened.name)
    assert found == expectations.parse_due(said)
    assert "Missing: sales, data of 2026-11-23" == said["subject"]
    assert [] == [fact for fact in facts if fact not in said["message"]]


@pytest.mark.parametrize(
    ("arrived", "words"),
    [
        ("2026-11-24T05:30:01", "It came 1 minute after"),
        ("2026-11-24T07:35", "It came 2 hours 5 minutes after"),
        ("2026-11-26T05:30", "It came 2 days after"),
        # An upload in parts is dated when it began.
        ("2026-11-24T05:29", "Its upload began before the deadline"),
    ],
)
def test_how_late_it_came(arrived: str, words: str) -> None:
    """In subjects that SNS takes: fewer than 100 ASCII characters, with the longest name and an hour."""
    found = expected(route(captures=(("dt", HOUR),))._replace(name="s" * 63))
    opened = incident(Overdue(found, ["k"]), STACK)
    subject, text = expectations.arrived_message(found, moment(arrived), STACK)

    assert f"Arrived: {found.route}, data of 2026-11-23 06:30" == subject
    assert words in text
    assert [] == [one for one in (subject, json.loads(opened.input)["subject"]) if not one.isascii() or len(one) >= 100]
    assert len(opened.name) <= 80, opened.name


@pytest.mark.parametrize(
    ("now", "keys", "state"),
    [
        (route(), [], "missing"),
        (route(), [FOUND.key], "arrived"),
        (route()._replace(paused=True), [FOUND.key], "not_expected"),
        (route()._replace(expect=None), [FOUND.key], "not_expected"),
        (route()._replace(name="renamed"), [FOUND.key], "not_expected"),
        # What is expected of this deadline stands in the incident.
        (route(by="0 9 * * *", lag_hours=0), [FOUND.key], "arrived"),
    ],
)
def test_an_incident_looks_for_what_it_was_opened_for(
    monkeypatch: pytest.MonkeyPatch, now: Route, keys: list[str], state: str
) -> None:
    """As long as its route, as it is deployed by then, expects anything."""
    listed = {"Size": 1, "ETag": '"e"', "LastModified": moment("2026-11-24T07:35")}
    monkeypatch.setattr(look_again, "s3", Client({"Contents": [{"Key": key, **listed} for key in keys]}))
    monkeypatch.setattr(look_again, "this_stack", lambda: replace(STACK, table=RouteTable(pack([now]))))
    given = json.loads(incident(Overdue(expected(), ["k"]), STACK).input)

    assert state == look_again.handler({**given, "look": {"state": "missing"}}, CONTEXT)["state"]


def test_a_route_that_cannot_be_looked_at_fails_the_tick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no sum is written: what is missing rings the alarm."""
    monkeypatch.setattr(check_expectations, "s3", Client(refusal("AccessDenied", 403, "ListObjectsV2")))
    monkeypatch.setattr(check_expectations, "this_stack", lambda: STACK)

    with pytest.raises(RetryableCallError, match="ListObjectsV2"):
        check_expectations.handler({}, CONTEXT)

    assert '"Overdue"' not in capsys.readouterr().out
