"""With route files: which one a key goes to, what that starts, and what starts nothing again."""

import json
from copy import replace

import pytest

from shared.domain.arrival import Skip
from shared.domain.choose import choose, screen_object
from shared.domain.plan import Execution, plan
from shared.domain.stack import Stack
from tests.unit.builders import BUCKET, MACHINE, created, stack, stored, table

SALES = 'match = "raw/sales/dt={dt}/{file}.csv"\ntarget = "curated/sales/dt={dt}"\n'
LADDER = 'capacity = [{ up_to = "100 B", dpus = 5 }, { dpus = 9 }]\n'
MARKER = 'match = "raw/orders/{day...}/_SUCCESS"\nsource = "raw/orders/{day}/"\naccept_empty = true\ntarget = "curated/{day}"\n'
OTHERS = 'match = "raw/{all...}"\npriority = -1\nstate_machine_arn = "others"\ntarget = "misc"\n[parameters]\nALL = "{all}"\n'
LISTS = 'match = ["raw/l/{day}/{kind}.csv", "raw/l/{kind}/{day}.csv.gz", "raw/l/{day...}"]\ntarget = "out/{day}"\n'
# A pause comes before what is hidden or unsafe.
PAUSED = 'paused = true\nmatch = "raw/p/{path...}/{file}"\ntarget = "out/{path}"\n'
KEY = "raw/sales/dt=2026-11-24/a.csv"


def routed(**files: str) -> Stack:
    """Describe a stack with route files."""
    return stack(source_prefix="raw/", table=table(**files))


ROUTES = routed(sales=SALES + LADDER, orders=MARKER, others=OTHERS, lists=LISTS, tenants=PAUSED)


def planned(key: str = KEY, routes: Stack = ROUTES, **changes: object) -> Execution | Skip:
    """Plan for an object, as both handlers do."""
    choice, found = choose(created(key=key), routes), stored(key=key, **changes)
    if isinstance(choice, Skip):
        return choice
    return screen_object(found.size, choice) or plan(found, choice, routes)


def started(key: str = KEY, routes: Stack = ROUTES, **changes: object) -> Execution:
    """Plan for an object that is started."""
    execution = planned(key, routes, **changes)
    assert isinstance(execution, Execution), execution
    return execution


def test_a_route_makes_the_input() -> None:
    """The five, the object, and what the route adds, in this order."""
    expected = {
        "glue_max_capacity_dpus": 5,
        "JOB_NAME": "sales-job",
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": KEY,
        "TRG_PREFIX": "curated/sales/dt=2026-11-24",
        "object": {"key": KEY, "size": 12, "etag": "e1", "version_id": None, "last_modified": "2026-11-24T05:20:00Z"}
        | {"content_type": None, "metadata": {}},
        "route": "sales",
        "captures": {"dt": "2026-11-24", "file": "a"},
        "parameters": {},
    }

    assert json.dumps(expected) == started().input


def test_the_name_with_a_route_never_changes() -> None:
    """A release that computed other names would start everything again: this one is a promise."""
    assert "a-67ec5e9185ffa9234958de27ce2d5509" == started(version_id="v1").name


@pytest.mark.parametrize(
    ("key", "size", "expected"),
    [
        # The marker is empty; the job reads the folder.
        (
            "raw/orders/2026/11/_SUCCESS",
            0,
            {"route": "orders", "SRC_PREFIX": "raw/orders/2026/11/", "TRG_PREFIX": "curated/2026/11"},
        ),
        ("raw/else/x", 1, {"route": "others", "parameters": {"ALL": "else/x"}, "glue_max_capacity_dpus": 2}),
        (KEY, 101, {"route": "sales", "glue_max_capacity_dpus": 9}),
        # The first match that fits, with captures of its own, of which the route uses what they share.
        ("raw/l/1/a.csv", 1, {"TRG_PREFIX": "out/1", "captures": {"day": "1", "kind": "a"}}),
        ("raw/l/a/1.csv.gz", 1, {"TRG_PREFIX": "out/1", "captures": {"kind": "a", "day": "1"}}),
        ("raw/l/2/b/c", 1, {"TRG_PREFIX": "out/2/b/c", "captures": {"day": "2/b/c"}}),
    ],
)
def test_where_a_key_goes(key: str, size: int, expected: dict[str, object]) -> None:
    """What the job of its route is told; another machine is named in the stack's account."""
    execution = started(key, size=size)
    given = json.loads(execution.input)

    assert expected == {name: given[name] for name in expected}
    machine = MACHINE.replace("glueworkshop", "others") if given["route"] == "others" else MACHINE
    assert (machine, key) == (execution.state_machine_arn, given["object"]["key"])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        # Though the last route would take whatever is below raw/, even an empty object.
        ("raw/orders/2026/", ("folder_marker", None)),
        ("curated/x", ("wrong_prefix", None)),
        ("raw/_a/x", ("hidden_file", "others")),
        (KEY, ("empty_object", "sales")),
        ("raw/p/_x/../y", ("paused", "tenants")),
    ],
)
def test_some_keys_start_nothing(key: str, said: tuple[str, str | None]) -> None:
    """With the reason, and the route where one took the key."""
    accepting = routed(sales=SALES, tenants=PAUSED, others=OTHERS.replace("priority", "accept_empty = true\npriority"))
    skip = planned(key, accepting, size=0)

    assert isinstance(skip, Skip), skip
    assert said == (skip.reason.value, skip.route)


def test_a_key_that_no_route_takes_is_skipped() -> None:
    """With a reason of its own, also where the one route that could is paused."""
    skips = [planned("raw/x", routed(sales=SALES)), planned("raw/x", routed(tenants=PAUSED))]

    assert [("no_route", None)] * 2 == [(one.reason.value, one.route) for one in skips if isinstance(one, Skip)]


def test_with_files_the_stacks_own_target_is_no_reason() -> None:
    """It is the target of the stack's own job only."""
    files = replace(routed(all='match = "target/{all...}"\ntarget = "elsewhere"\nsource = "x"'), source_prefix="")

    assert isinstance(planned("target/event-transformed/x", files), Execution)


@pytest.mark.parametrize(
    "change",
    [
        'job_name = "other"\n' + SALES + LADDER,
        SALES.replace("curated", "silver") + LADDER,
        SALES + 'source = "raw/sales"\n',
        SALES + "priority = 7\n",
        SALES + '[parameters]\nX = "{dt}"\n',
    ],
)
def test_what_a_route_says_is_no_part_of_the_name(change: str) -> None:
    """Job, target, capacity, source, priority and parameters start nothing again."""
    assert started().name == started(routes=routed(sales=change)).name


@pytest.mark.parametrize("routes", [routed(renamed=SALES), stack(source_prefix="raw/")])
def test_another_route_has_another_name(routes: Stack) -> None:
    """To rename a route, or to move from the parameters to files, is a new start."""
    assert started().name != started(routes=routes).name
