"""Months of checks, some missed and some doubled: one incident a missed deadline, and none otherwise.

The deadlines and their partitions are found by another way than the product's: cronsim forward, in the zone.
"""

import itertools
import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from artifact.pack import pack
from shared.domain.expectations import Due, Known, Overdue, arrived_at, check, incident, prefixes
from shared.domain.routes import Expectation, Route, RouteTable
from shared.domain.windows import File
from tests.unit.builders import route, stack

EVERY = timedelta(minutes=97)
# In each of them the clocks change in all three zones.
SPRING = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 12, tzinfo=UTC)
AUTUMN = datetime(2026, 8, 30, tzinfo=UTC), datetime(2026, 11, 8, tzinfo=UTC)


def expecting(name: str, partition: str, *expect: Any) -> Route:
    """Expect one object a partition, or a new one under the same key."""
    captures = (("p", partition),) if partition else ()
    key = f"raw/{name}/{{p}}/x.csv" if partition else f"raw/{name}/x.csv"
    return route(key, f"curated/{name}", name=name, expect=Expectation(captures, *expect))


# Cron, zone, and hours of lag.
ROUTES = [
    expecting("night", "%Y-%m-%d", "30 2 * * *", "Europe/Zurich", 24),
    expecting("office", "%Y%m%d", "30 6 * * MON-FRI", "America/New_York", 24),
    expecting("hourly", "%Y-%m-%dT%H", "15 * * * *", "UTC", 1),
    expecting("same", "", "0 0 * * *", "America/Santiago"),
]
STACK = stack(source_prefix="raw/", table=RouteTable(pack(ROUTES)))


class Promised(NamedTuple):
    """A deadline of a route, the one before and the one after it, its key, and when that is uploaded, if ever."""

    route: str
    before: datetime
    at: datetime
    after: datetime
    key: str
    uploaded: datetime | None


def promises(chance: random.Random, route: Route, begin: datetime, end: datetime) -> Iterator[Promised]:
    """Walk through the deadlines, and decide of each whether it is kept."""
    expect = route.expect
    assert expect
    ahead = CronSim(expect.by, (begin - timedelta(days=8)).astimezone(ZoneInfo(expect.zone)))
    passed = itertools.takewhile(lambda local: local.astimezone(UTC) < end + timedelta(days=8), ahead)
    for (one, local), (_, following) in pairwise(pairwise(passed)):
        if route.name == "hourly":
            partition = (local - timedelta(hours=1)).strftime("%Y-%m-%dT%H")
        else:
            partition = (local.date() - timedelta(days=1)).strftime("%Y%m%d" if route.name == "office" else "%Y-%m-%d")
        key = f"raw/{route.name}/{partition}/x.csv" if expect.captures else f"raw/{route.name}/x.csv"
        late = chance.choice([None, -55, -10, 3, 70, 300])
        at = local.astimezone(UTC)
        uploaded = None if late is None else at + timedelta(minutes=late)
        yield Promised(route.name, one.astimezone(UTC), at, following.astimezone(UTC), key, uploaded)


class World:
    """The bucket as it is at each time, and the incidents."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.chance = random.Random(begin.month)  # noqa: S311 - a simulation
        self.promised = [kept for one in ROUTES for kept in promises(self.chance, one, begin, end)]
        self.begin, self.end, self.now = begin, end, begin
        self.opened: Counter[str] = Counter()
        self.uploads = defaultdict[str, list[int]](list)
        for one in self.promised:
            if one.uploaded:
                self.uploads[one.key].append(int(one.uploaded.timestamp()))

    def look(self, route: Route, due: Due) -> bool:
        """List what is there now, each key with its latest upload."""
        files = []
        for prefix in prefixes(route, due, STACK):
            for key in (prefix, f"{prefix}/x.csv", f"{prefix}x.csv"):
                seen = [one for one in self.uploads[key] if one <= self.now.timestamp()]
                files += [File(key, 1, "e", max(seen))] if seen else []
        return arrived_at(files, due, STACK, enough=True) is not None

    def tell(self, overdue: Overdue) -> None:
        self.opened[incident(overdue, STACK).name] += 1

    def ticks(self) -> list[datetime]:
        """Return when the check runs: late, twice, or not at all."""
        regular = (self.begin + number * EVERY for number in range(int((self.end - self.begin) / EVERY)))
        return sorted(
            one + timedelta(seconds=self.chance.random() * 90)
            for one in regular
            for _ in range(self.chance.choices([0, 1, 2], [1, 8, 1])[0])
        )

    def missed(self, ticks: list[datetime]) -> set[str]:
        """Return the incidents there must be: of each deadline whose first tick found nothing."""
        names = set()
        for promise in self.promised:
            number = bisect_left(ticks, promise.at)
            first = ticks[number].timestamp() if number < len(ticks) and ticks[number] < promise.after else 0
            since = promise.before.timestamp() if promise.route == "same" else 0
            if first and not any(since < one <= first for one in self.uploads[promise.key]):
                names.add(f"{promise.route}-{promise.at:%Y%m%dT%H%M%SZ}")
        return names


@pytest.mark.parametrize(("begin", "end"), [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_one_incident_a_missed_deadline(begin: datetime, end: datetime) -> None:
    """Whatever the changes of clocks, whoever forgets, and whoever asks twice."""
    world = World(begin, end)
    ticks = world.ticks()
    environments, failures = [Known(), Known()], list[object]()
    for world.now in ticks:
        number = world.chance.randrange(2)
        if world.chance.random() < 0.05:
            environments[number] = Known()
        found = check(ROUTES, world.now, environments[number], world.look, world.tell)
        failures += [one for one in found if not isinstance(one, Overdue)]

    missed = world.missed(ticks)
    assert not failures
    assert missed == world.opened.keys()
    assert {one.name for one in ROUTES} == {name.rsplit("-", 1)[0] for name in missed}
