"""Expectations: the deadlines of data, and whether the data has come. There is no clock: `now` is an argument.

A deadline has two times. Its `wall` is the local time as the cron has it; the data's date is made from it. Its `at` is
the moment of that local time. If the zone skips the local time in spring, `at` is the first moment after the gap; if
the local time comes twice in autumn, `at` is the first. If the cron's minute or hour begins with a star, the cron runs
in real time, as in cronsim: an hour that comes twice has two deadlines, and a skipped hour has none.

Data has arrived if its objects exist: objects that the route takes, with the expected captures.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from shlex import quote
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from shared.domain.choose import choose_listed
from shared.domain.errors import MalformedEventError
from shared.domain.pattern import Capture, Template
from shared.domain.plan import Execution
from shared.domain.routes import Expectation, Route
from shared.domain.stack import Stack
from shared.domain.windows import File

# More than any zone's clock was ever turned back: a search that starts so much earlier, or later, misses no deadline.
TURNED_BACK = timedelta(hours=3)
# With one of these formats the data has a time, not only a date.
TIMES = ("%H", "%-H", "%I", "%-I", "%M", "%-M")
DATE, MINUTE = "%Y-%m-%d", "%Y-%m-%d %H:%M"
NAME_OF_DEADLINE = "%Y%m%dT%H%M%SZ"


class Deadline(NamedTuple):
    """A moment (`at`, in UTC), and its local time in the cron (`wall`, in the zone, without tzinfo)."""

    at: datetime
    wall: datetime


class Due(NamedTuple):
    """The data that one route should have by one deadline, as in the input of its incident.

    `deadline` is in UTC, `data` is the data's date in `zone`. Only objects that were modified after `after` count;
    None: all count.
    """

    route: str
    deadline: datetime
    zone: str
    data: datetime
    captures: Mapping[str, str]
    at_least: int
    after: datetime | None
    dated_to_the_minute: bool = False

    @property
    def name(self) -> str:
        """The name of the incident: always the same for a route and deadline."""
        return f"{self.route}-{self.deadline.strftime(NAME_OF_DEADLINE)}"

    @property
    def data_date(self) -> str:
        """The data's date for people, with a time if its captures have one."""
        return self.data.strftime(MINUTE if self.dated_to_the_minute else DATE)

    def in_zone(self, moment: datetime) -> str:
        """Return a moment for people: in the zone of the deadline, and in UTC."""
        there = moment.astimezone(ZoneInfo(self.zone)).strftime(MINUTE)
        return f"{there} {self.zone}" if self.zone == "UTC" else f"{there} {self.zone} ({moment.strftime(MINUTE)} UTC)"


# ---- Time ----


def deadlines(expect: Expectation, now: datetime) -> Iterator[Deadline]:
    """Yield the deadlines that have passed, the last one first, without regard to `since`."""
    zone = ZoneInfo(expect.zone)
    last: datetime | None = None
    for deadline in _in_real_time(expect, zone, now) if _is_hourly(expect.by) else _by_the_wall(expect, zone, now):
        # Two local times in one gap are one moment.
        if deadline.at <= now and deadline.at != last:
            last = deadline.at
            yield deadline


def due(route: Route, now: datetime) -> Due | None:
    """Return the data that the route should have by its last deadline that has passed; None without a deadline."""
    expect = route.expect
    if expect is None or not is_expected(route):
        return None
    passed = deadlines(expect, now)
    deadline = next(passed, None)
    if deadline is None or (expect.since and deadline.wall.strftime(DATE) < expect.since):
        return None
    before = None if expect.captures else next(passed, None)
    data = deadline.wall - timedelta(hours=expect.lag_hours)
    return Due(
        route=route.name,
        deadline=deadline.at,
        zone=expect.zone,
        data=data,
        captures={name: data.strftime(format_) for name, format_ in expect.captures},
        at_least=_wanted(route, expect),
        after=before and before.at,
        dated_to_the_minute=any(time in format_ for _, format_ in expect.captures for time in TIMES),
    )


def _wanted(route: Route, expect: Expectation) -> int:
    """Return the number of objects that must be there; for a set all members: its captures name one instance."""
    if route.set is None:
        return expect.at_least
    return len(route.match) if route.set.at_least is None else route.set.at_least


def is_expected(route: Route) -> bool:
    """Return whether the route has deadlines and is not paused."""
    return route.expect is not None and not route.paused


def next_deadline(expect: Expectation, now: datetime) -> Deadline | None:
    """Return the next deadline that counts, if there is one within a lifetime."""
    zone = ZoneInfo(expect.zone)
    start = now
    if expect.since:
        start = max(now, datetime.fromisoformat(expect.since).replace(tzinfo=zone) - timedelta(seconds=1))
    if _is_hourly(expect.by):
        ahead = (
            Deadline(one.astimezone(UTC), one.replace(tzinfo=None))
            for one in CronSim(expect.by, start.astimezone(zone))
        )
    else:
        local = start.astimezone(zone).replace(tzinfo=None) - TURNED_BACK
        ahead = (Deadline(_moment(wall, zone), wall) for wall in CronSim(expect.by, local))
    return next((one for one in ahead if one.at > now and one.wall.strftime(DATE) >= (expect.since or "")), None)


def _is_hourly(by: str) -> bool:
    """Return whether cronsim runs the cron in real time, as Debian's cron does: https://github.com/cuu508/cronsim."""
    minute, hour, *_ = by.split()
    return minute.startswith("*") or hour.startswith("*")


def _in_real_time(expect: Expectation, zone: ZoneInfo, now: datetime) -> Iterator[Deadline]:
    # CronSim yields only times before its start, and `now` itself may be a deadline.
    for local in CronSim(expect.by, (now + timedelta(seconds=1)).astimezone(zone), reverse=True):
        yield Deadline(local.astimezone(UTC), local.replace(tzinfo=None))


def _by_the_wall(expect: Expectation, zone: ZoneInfo, now: datetime) -> Iterator[Deadline]:
    # Without a zone, cronsim yields the local times of the cron, also those that the zone skips.
    start = now.astimezone(zone).replace(tzinfo=None) + TURNED_BACK
    for wall in CronSim(expect.by, start, reverse=True):
        yield Deadline(_moment(wall, zone), wall)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local time; if the zone skips it, the first moment after the gap."""
    while True:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == wall:
            return moment
        wall += timedelta(minutes=1)


# ---- Place ----


def prefixes(route: Route, due: Due, stack: Stack) -> list[str]:
    """Return the prefixes to list: the longest known beginnings of the keys, none of them inside another."""
    found: list[str] = []
    for pattern in route.match:
        known = _known_beginning(pattern.tokens, due.captures)
        # Every key that counts begins with both; if neither begins with the other, there is no such key.
        if known.startswith(stack.source_prefix) or stack.source_prefix.startswith(known):
            found.append(max(known, stack.source_prefix, key=len))
    return [one for one in sorted(set(found)) if not any(one != other and one.startswith(other) for other in found)]


def expected_keys(route: Route, due: Due) -> list[str]:
    """Return the expected keys for people: unknown parts stay placeholders."""
    return ["".join(_piece(token, due.captures) for token in pattern.tokens) for pattern in route.match]


def _piece(token: str | Capture, captures: Mapping[str, str]) -> str:
    if isinstance(token, str):
        return token
    return captures.get(token.name, f"{{{token.name}{'...' * token.deep}}}")


def _known_beginning(match: Template, captures: Mapping[str, str]) -> str:
    known = ""
    for token in match:
        if isinstance(token, Capture) and token.name not in captures:
            break
        known += token if isinstance(token, str) else captures[token.name]
    return known


# ---- Arrival ----


def counts(file: File, due: Due, stack: Stack) -> bool:
    """Return whether a listed object is an expected one: its own arrival would start the route."""
    if due.after is not None and file.last_modified <= due.after.timestamp():
        return False
    choice = choose_listed(file.key, file.size, stack)
    return (
        choice is not None
        and choice.name == due.route
        and all(choice.captures.get(name) == value for name, value in due.captures.items())
    )


def arrived_at(files: Iterable[File], due: Due, stack: Stack, *, enough: bool = False) -> datetime | None:
    """Return the upload time of the last required object; None if there are too few objects.

    With `enough`, it stops as soon as there are enough objects; then the time is one of those that it has seen.
    """
    found = (file.last_modified for file in files if counts(file, due, stack))
    times = sorted(islice(found, due.at_least) if enough else found)
    return datetime.fromtimestamp(times[due.at_least - 1], UTC) if len(times) >= due.at_least else None


# ---- One check ----


class Overdue(NamedTuple):
    """A route whose data has not come, and the place where it should be."""

    due: Due
    keys: list[str]


class Known:
    """The memory of one execution environment, by route: the last deadline that was met, and the last that was told."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.arrived: dict[str, datetime] = {}
        self.told: dict[str, datetime] = {}


type HasArrived = Callable[[Route, Due], bool]
type Tell = Callable[[Overdue], None]


def check(
    routes: Iterable[Route], now: datetime, known: Known, has_arrived: HasArrived, tell: Tell
) -> Iterator[Overdue | Exception]:
    """Yield each route that is overdue now, after its incident is open, or the error of a route; errors stop no other.

    If the data of a deadline has arrived once, it is not looked for again.
    """
    for route in routes:
        expected = due(route, now)
        if expected is None or known.arrived.get(route.name) == expected.deadline:
            continue
        try:
            if has_arrived(route, expected):
                known.arrived[route.name] = expected.deadline
                continue
            overdue = Overdue(expected, expected_keys(route, expected))
            if known.told.get(route.name) != expected.deadline:
                tell(overdue)
                known.told[route.name] = expected.deadline
            yield overdue
        except Exception as error:  # noqa: BLE001 - any error belongs to this route, and is raised in the end
            yield error


# ---- Messages, and the input of an incident ----


def incident(overdue: Overdue, stack: Stack) -> Execution:
    """Plan the execution of the incident; its input has the route and deadline, and the first message."""
    due = overdue.due
    written = {
        "route": due.route,
        "deadline": due.deadline.isoformat(),
        "zone": due.zone,
        "data": due.data.isoformat(),
        "captures": dict(due.captures),
        "at_least": due.at_least,
        "after": due.after and due.after.isoformat(),
        "dated_to_the_minute": due.dated_to_the_minute,
        "subject": f"Missing: {due.route}, data of {due.data_date}",
        "message": missing_message(overdue, stack),
    }
    return Execution(stack.overdue_machine_arn, due.name, json.dumps(written), due.route)


def parse_due(given: Any) -> Due:
    """Parse the input of an incident.

    Raises MalformedEventError.
    """
    try:
        return Due(
            given["route"],
            datetime.fromisoformat(given["deadline"]),
            given["zone"],
            datetime.fromisoformat(given["data"]),
            dict(given["captures"]),
            int(given["at_least"]),
            datetime.fromisoformat(given["after"]) if given["after"] else None,
            bool(given["dated_to_the_minute"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEventError(
            f"Not the input of an incident ({error!r}): start the overdue machine with the input of one of its executions."
        ) from error


def missing_message(overdue: Overdue, stack: Stack) -> str:
    """Return subject and text for missing data: its name, its deadline, its place, and the remedy."""
    due, stack_name = overdue.due, name_of(stack)
    folder = f"s3://{stack.source_bucket_name}/{_shown(_folder(overdue.keys[0]))}"
    where = [f"  s3://{stack.source_bucket_name}/{_shown(key)}" for key in overdue.keys]
    return "\n".join(
        [
            f"The data of {due.data_date} for {due.route} is missing.",
            "",
            f"Dataset:      {due.route} (stack {stack_name})",
            f"Data's date:  {due.data_date}",
            f"Deadline:     {due.in_zone(due.deadline)}",
            f"Missing since the deadline. {_how_many(due)}",
            "",
            "It is expected here:",
            *where,
            "",
            "What to do:",
            "1. Ask the people who deliver it if it was sent, and under which key.",
            f"2. List the folder: aws s3 ls {quote(folder)}",
            f"3. See all datasets: arrivals expected --stack {stack_name}",
            "4. If it will not come, stop this execution; then no more messages come:",
            f"   {due.name} of the state machine {stack_name}-overdue",
            "",
            "The stack looks for it again every 15 minutes, for seven days. When it has come, you get a message.",
            "Runbook: docs/runbook.md#overduealarm",
        ]
    )


def arrived_message(due: Due, arrived: datetime, stack: Stack) -> tuple[str, str]:
    """Return subject and text for data that has come late."""
    late = arrived - due.deadline
    if late > timedelta():
        how_late = f"It came {_duration(late)} after the deadline."
    else:
        # An upload in parts has the time of its beginning in S3, but is visible only when it is complete.
        how_late = "Its upload began before the deadline and ended after it."
    text = "\n".join(
        [
            f"The data of {due.data_date} for {due.route} has come. {how_late}",
            "",
            f"Dataset:      {due.route} (stack {name_of(stack)})",
            f"Data's date:  {due.data_date}",
            f"Deadline:     {due.in_zone(due.deadline)}",
            f"Arrived:      {due.in_zone(arrived)}",
            "",
            "Nothing is left to do.",
        ]
    )
    return f"Arrived: {due.route}, data of {due.data_date}", text


def name_of(stack: Stack) -> str:
    """Return the stack's name, from the name of its machine for incidents."""
    return stack.overdue_machine_arn.rsplit(":", 1)[-1].removesuffix("-overdue")


def _how_many(due: Due) -> str:
    newer = f" Only uploads after {due.in_zone(due.after)} count." if due.after else ""
    return f"At least {due.at_least} object{'s are' if due.at_least > 1 else ' is'} expected.{newer}"


def _folder(key: str) -> str:
    """Return the folder of an expected key, as far as it is known."""
    known = key.partition("{")[0]
    return known[: known.rfind("/") + 1]


def _duration(late: timedelta) -> str:
    minutes = -(-int(late.total_seconds()) // 60)
    days, rest = divmod(minutes, 24 * 60)
    parts = ((days, "day"), (rest // 60, "hour"), (rest % 60, "minute"))
    return " ".join(f"{number} {unit}{'s' * (number > 1)}" for number, unit in parts if number)


def _shown(text: str) -> str:
    """Return text without control characters for a terminal or a mail."""
    return text if text.isprintable() else ascii(text)[1:-1]
