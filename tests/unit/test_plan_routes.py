"""With route files: which one a key goes to, what that starts, and what starts nothing again."""

import json
from copy import replace
from typing import Any

import pytest

from artifact.route_files import read_routes
from shared.domain.arrival import Skip, SkipReason
from shared.domain.backfill import Item, Request, run_batch
from shared.domain.choose import Stack, choose, screen_object
from shared.domain.errors import UnsafeTargetError
from shared.domain.plan import Execution, plan
from tests.unit.builders import BUCKET, MACHINE, REPOSITORY, created, stack, stored, table

SALES = 'match = "raw/sales/dt={dt}/{file}.csv"\ntarget = "curated/sales/dt={dt}"\n'
LADDER = 'capacity = [{ up_to = "100 B", dpus = 5 }, { dpus = 9 }]\n'
MARKER = 'match = "raw/orders/{day...}/_SUCCESS"\nsource = "raw/orders/{day}/"\naccept_empty = true\ntarget = "curated/{day}"\n'
OTHERS = 'match = "raw/{all...}"\npriority = -1\nstate_machine_arn = "others"\ntarget = "misc"\n[parameters]\nALL = "{all}"\n'
KEY = "raw/sales/dt=2026-11-24/a.csv"


def routed(**files: str) -> Stack:
    """Describe a stack with route files."""
    return stack(source_prefix="raw/", table=table(**files))


ROUTES = routed(sales=SALES + LADDER, orders=MARKER, others=OTHERS)


def planned(key: str = KEY, routes: Stack = ROUTES, **changes: object) -> Execution | Skip:
    """Plan for an object, as both handlers do."""
    choice, found = choose(created(key=key), routes), stored(key=key, **changes)
    if isinstance(choice, Skip):
        return choice
    return screen_object(found.size, choice) or plan(found, choice, routes)


def started(key: str = KEY, routes: Stack = ROUTES, **changes: object) -> Execution:
    """Plan for an object that is started."""
    execution = planned(key, routes, **changes)
    assert isinstance(execution, Execution)
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
    assert NAME == started(version_id="v1").name


NAME = "a-67ec5e9185ffa9234958de27ce2d5509"


def test_a_marker_starts_a_job_on_its_folder() -> None:
    """The marker is empty; the job reads the folder."""
    given = json.loads(started("raw/orders/2026/11/_SUCCESS", size=0).input)

    assert ("raw/orders/2026/11/", "curated/2026/11") == (given["SRC_PREFIX"], given["TRG_PREFIX"])
    assert "raw/orders/2026/11/_SUCCESS" == given["object"]["key"]


def test_another_machine_is_named_in_the_stacks_account() -> None:
    """And gets the parameters."""
    execution = started("raw/else/x")

    assert MACHINE.replace("glueworkshop", "others") == execution.state_machine_arn
    assert {"ALL": "else/x"} == json.loads(execution.input)["parameters"]


@pytest.mark.parametrize(
    ("key", "reason", "name"),
    [
        ("raw/orders/2026/", SkipReason.FOLDER_MARKER, None),
        ("raw/orders_$folder$", SkipReason.FOLDER_MARKER, None),
        ("curated/x", SkipReason.WRONG_PREFIX, None),
    ],
)
def test_some_keys_never_get_to_a_route(key: str, reason: SkipReason, name: str | None) -> None:
    """Though the last route would take whatever is below raw/."""
    skip = planned(key)

    assert isinstance(skip, Skip)
    assert (reason, name) == (skip.reason, skip.route)


def test_a_key_that_no_route_takes_is_skipped() -> None:
    """With a reason of its own."""
    skip = planned("raw/x", routed(sales=SALES))

    why = "no route's match fits the key: `make route KEY=…` tells which come near"
    assert Skip(SkipReason.NO_ROUTE, why) == skip


def test_a_paused_route_keeps_its_keys() -> None:
    """No other route takes them instead, nor does an unsafe target fail; only what no route takes is no arrival of this one."""
    unsafe = routed(tenants='paused = true\nmatch = "raw/{path...}/{file}"\ntarget = "out/{path}"')
    skips = [planned("raw/../x", unsafe), planned("raw/x", unsafe)]
    assert ["paused", "no_route"] == [skip.reason for skip in skips if isinstance(skip, Skip)]


def test_the_first_match_that_fits_counts() -> None:
    """Each with captures of its own, of which the route uses what they share."""
    matches = 'match = ["raw/{day}/{kind}.csv", "raw/{kind}/{day}.csv.gz", "raw/{day...}"]\ntarget = "out/{day}"\n'
    keys = ("raw/1/a.csv", "raw/a/1.csv.gz", "raw/2/b/c")
    inputs = [json.loads(started(key, routed(lists=matches)).input) for key in keys]

    assert ["out/1", "out/1", "out/2/b/c"] == [one["TRG_PREFIX"] for one in inputs]
    assert [{"day": "1", "kind": "a"}, {"kind": "a", "day": "1"}, {"day": "2/b/c"}] == [
        one["captures"] for one in inputs
    ]


def test_an_empty_object_is_skipped_by_its_own_route() -> None:
    """It is not passed on to the next one, which would accept it."""
    skip = planned(KEY, routed(sales=SALES, others=OTHERS.replace("priority", "accept_empty = true\npriority")), size=0)

    assert Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform", "sales") == skip


def test_with_files_the_stacks_own_target_is_no_reason() -> None:
    """It is the target of the stack's own job only."""
    files = replace(
        routed(all='match = "{all...}"\ntarget = "elsewhere"\nsource = "x"'.replace("{all...}", "target/{all...}")),
        source_prefix="",
    )

    assert isinstance(planned("target/event-transformed/x", files), Execution)


@pytest.mark.parametrize(
    "change",
    [
        'job_name = "other"\n' + SALES + LADDER,
        SALES.replace("curated", "silver") + LADDER,
        SALES,
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


UNSAFE = (
    r"^Key 'raw/.*' makes the target 'out/.*' of route tenants: jobs resolve its empty, '\.' or '\.\.' segment, and would "
    r"write elsewhere\. Upload the object under another key, or make the match narrower\.$"
)


@pytest.mark.parametrize("key", ["raw/x../x", "raw/x./x", "raw/xa//x"])
def test_a_target_that_would_leave_its_place_fails(key: str) -> None:
    """With the key, the route, and what to do."""
    routes = routed(tenants='match = "raw/x{path...}/{file}"\ntarget = "out/{path}"')

    with pytest.raises(UnsafeTargetError, match=UNSAFE) as failed:
        planned(key, routes)

    assert "tenants" == failed.value.route


def test_a_backfill_goes_on_after_an_unsafe_target() -> None:
    """It is a failure of that object alone."""
    request = Request(bucket=BUCKET, prefix="", since=None, until=None, dry_run=False, reprocess=None)
    items = [Item.model_validate({"Key": key, "LastModified": 5, "request": request}) for key in ("raw/a//b", KEY)]

    def decide(one: Any, _request: Request) -> Skip:
        return _skipped(choose(one, routed(tenants='match = "raw/{path...}/{file}"\ntarget = "out/{path}"')))

    results = run_batch(items, ROUTES, decide)

    assert ["raw/a//b"] == [one["key"] for one in results.failed]
    assert 1 == sum(map(len, results.skipped.values()))


def _skipped(_chosen: object) -> Skip:
    return Skip(SkipReason.OBJECT_GONE, "a decision")


def test_the_examples_are_built() -> None:
    """All together, by the same reader as `sam build`."""
    found = read_routes(REPOSITORY / "examples" / "routes")

    names = ["daily-close", "orders", "readings", "sales", "scores", "tenants", "tenants-acme"]
    assert names == sorted(one.name for one in found)
