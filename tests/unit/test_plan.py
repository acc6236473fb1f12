"""Plan: a function of (object, route), and of nothing else; with route files, and without."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.arrival import Skip
from shared.domain.choose import choose, screen, screen_object
from shared.domain.errors import ForeignObjectError
from shared.domain.plan import Execution, execution_input, execution_name, plan
from shared.domain.stack import Stack
from tests.unit.builders import BUCKET, KEY, MACHINE, PREFIX, chosen, created, stack, stored, table


@given(st.text(min_size=1, max_size=1024))
def test_the_name_is_legal_for_any_key(key: str) -> None:
    """At most 80 characters of the safest kind, the last 32 of them a digest."""
    name = execution_name(stored(key=key), chosen())

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,47}-[0-9a-f]{32}", name)


# Computed once, and never again. Key below the source prefix: the readable part; digests of v1 without a label and with
# one, and without a version.
GOLDEN = {
    "green_tripdata.csv": ("green_tripdata", """
        d89bb8e735de5a39c9d26609df9bafca d3e7471c890383b11ceb29f0c5494efa
        ec1d15a309beb8e3b8e9f543c8368534 2b60fa7f06b65c6267b18d4b7e7bd0a7"""),
    'dt=2026-11-24/été 🚕 "q".csv': ("ete-q", """
        951288efe731836333f7bd0a315871ef c1898a4f74bb6945d885429ae4a3785a
        85639ecf5ebd3451f4874b9cafc7759a 9a89e5eaccef17da3867bbee846f8d25"""),
    "x" * 48 + ".csv": ("x" * 47, """
        e0950724e49235db7acc000311147ecb 2b8d84b9bf132986d59657411c2618c5
        33699b8ace06a9294f2db9e2d3b3d092 1db3265e48863596067633fb57977f82"""),
    "🚕.csv": ("object", """
        53a161c0accf6da73eb7ca03ecaca748 8337981aa45693e73526fbde2700efc4
        9305617ac67e667a59b0f631899370c6 5bf39828fdd0ff833ccada2e200a280f"""),
    " a.b .csv": ("a-b", """
        4ca91767590e488c9b6a5a9121a1e18e 2c9f90c7c43dc9538dee5dfae2dc06c2
        f1f7eed6d308ebcb947ace55586c4827 6740734d117df72afa5765c5ecf49aff"""),
}  # fmt: skip
UPLOADS = [("v1", None), ("v1", "again"), (None, None), (None, "again")]


@pytest.mark.parametrize("key", GOLDEN)
def test_the_name_never_changes(key: str) -> None:
    """A release that computed other names would start everything again: these are a promise."""
    readable, digests = GOLDEN[key]
    names = [execution_name(stored(key=PREFIX + key, version_id=one), chosen(), label) for one, label in UPLOADS]

    assert [f"{readable}-{digest}" for digest in digests.split()] == names


def test_the_input_never_changes() -> None:
    """Byte for byte, whatever the time zone and the order of metadata: the same name with another input is an error."""
    moment = datetime(2026, 11, 24, 7, 20, tzinfo=timezone(timedelta(hours=2)))
    plain = {"key": PREFIX + 'été 🚕 "q".csv', "version_id": "v1", "content_type": "text/csv"}
    ways: list[dict[str, Any]] = [
        {"metadata": {"a": "1", "b": "ünï"}},
        {"metadata": {"b": "ünï", "a": "1"}, "last_modified": moment},
    ]
    key = PREFIX + '\\u00e9t\\u00e9 \\ud83d\\ude95 \\"q\\".csv'
    expected = (
        '{"glue_max_capacity_dpus": 2, "JOB_NAME": "ny-taxi-transformed-console-jb", '
        f'"BUCKET_NAME": "{BUCKET}", "SRC_PREFIX": "{key}", '
        f'"TRG_PREFIX": "target/event-transformed", "object": {{"key": "{key}", "size": 12, "etag": "e1", '
        '"version_id": "v1", "last_modified": "2026-11-24T05:20:00Z", "content_type": "text/csv", '
        '"metadata": {"a": "1", "b": "\\u00fcn\\u00ef"}}}'
    )

    assert [expected] * 2 == [execution_input(stored(**plain, **way), chosen(), stack()) for way in ways]


LATER = datetime(2026, 11, 24, 5, 20, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("upload", "other", "settings", "is_another"),
    [
        # Bucket, key and version make the upload; without a version ETag and last-modified stand in.
        ({"version_id": "v1"}, {"version_id": "v2"}, {}, True),
        ({}, {"bucket": "other"}, {}, True),
        ({}, {"key": KEY + "x"}, {}, True),
        ({}, {"etag": "e2"}, {}, True),
        ({}, {"last_modified": LATER}, {}, True),
        ({"version_id": "v1"}, {"etag": "e2", "last_modified": LATER}, {}, False),
        ({}, {"content_type": "text/csv", "metadata": {"a": "1"}}, {}, False),
        # What the upload is turned into is part of the identity, and turning the capacity up no reason to run again.
        ({}, {}, {"job_name": "other"}, True),
        ({}, {}, {"target_prefix": "other"}, True),
        ({}, {}, {"glue_max_capacity_dpus": 10}, False),
    ],
)
def test_what_makes_another_name(
    upload: dict[str, object], other: dict[str, object], settings: dict[str, object], *, is_another: bool
) -> None:
    """The name is the identity of upload and route."""
    names = {execution_name(stored(**upload), chosen()), execution_name(stored(**upload | other), chosen(**settings))}

    assert is_another == (len(names) == 2)


@pytest.mark.parametrize(
    ("key", "settings", "reason"),
    [
        ("target/event-transformed/x.parquet", {}, "target_prefix"),
        ("target/event-transformed-2/x.parquet", {}, "wrong_prefix"),
        (PREFIX, {}, "folder_marker"),
        (PREFIX + "a_$folder$", {}, "folder_marker"),
        # A target below the source prefix would loop.
        ("out/x", {"source_prefix": "", "target_prefix": "out"}, "target_prefix"),
        ("in/x", {"source_prefix": "", "target_prefix": "out/"}, None),
        # With route files it is the target of the stack's own job only.
        ("out/x", {"source_prefix": "", "target_prefix": "out", "table": table(all='match = "in/{a}"')}, None),
    ],
)
def test_the_key_alone_can_be_reason_to_skip(key: str, settings: dict[str, Any], reason: str | None) -> None:
    skip = screen(created(key=key), stack(**settings))

    assert reason == (skip and skip.reason.value)


def test_a_foreign_object_is_refused() -> None:
    """Another bucket or account is an error that names it, with what to do."""
    with pytest.raises(ForeignObjectError, match=rf"^Bucket 'other' is not this stack's \({BUCKET}\): deploy a second"):
        screen(created(bucket="other"), stack())
    with pytest.raises(
        ForeignObjectError, match=r"^Account '9' is not this stack's \(123456789012\): deploy the stack"
    ):
        screen(created(account="9"), stack())


@pytest.mark.parametrize("qualifier", ["", ":live", ":3"])
def test_an_execution_knows_its_arn(qualifier: str) -> None:
    """An alias or version of the state machine is no part of the execution's ARN."""
    assert MACHINE.replace("stateMachine", "execution") + ":n" == Execution(MACHINE + qualifier, "n", "{}").arn


# ---- With route files ----

SALES = 'match = "raw/sales/dt={dt}/{file}.csv"\ntarget = "curated/sales/dt={dt}"\n'
LADDER = 'capacity = [{ up_to = "100 B", dpus = 5 }, { dpus = 9 }]\n'
MARKER = 'match = "raw/o/{day...}/_SUCCESS"\nsource = "raw/o/{day}/"\naccept_empty = true\ntarget = "curated/{day}"\n'
OTHERS = 'match = "raw/{all...}"\npriority = -1\nstate_machine_arn = "others"\n[parameters]\nALL = "{all}"\n'
LISTS = 'match = ["raw/l/{day}/{kind}.csv", "raw/l/{kind}/{day}.csv.gz", "raw/l/{day...}"]\ntarget = "out/{day}"\n'
# A pause comes before what is hidden or unsafe.
PAUSED = 'paused = true\nmatch = "raw/p/{path...}/{file}"\ntarget = "out/{path}"\n'
DAYS = "raw/sales/dt=2026-11-24/a.csv"


def routed(**files: str) -> Stack:
    return stack(source_prefix="raw/", table=table(**files))


ROUTES = routed(
    sales=SALES + LADDER, orders=MARKER, others="accept_empty = true\n" + OTHERS, lists=LISTS, tenants=PAUSED
)


def planned(key: str = DAYS, routes: Stack = ROUTES, **changes: Any) -> Execution | Skip:
    """Plan for an object, as both handlers do."""
    choice, found = choose(created(key=key), routes), stored(key=key, **changes)
    if isinstance(choice, Skip):
        return choice
    return screen_object(found.size, choice) or plan(found, choice, routes)


def started(routes: Stack = ROUTES, **changes: Any) -> Execution:
    execution = planned(routes=routes, **changes)
    assert isinstance(execution, Execution), execution
    return execution


def test_a_route_makes_the_input_and_the_name() -> None:
    """The five, the object, and what the route adds, in this order; the name is a promise, as above."""
    expected = {
        "glue_max_capacity_dpus": 5,
        "JOB_NAME": "sales-job",
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": DAYS,
        "TRG_PREFIX": "curated/sales/dt=2026-11-24",
        "object": json.loads(execution_input(stored(key=DAYS), chosen(), stack()))["object"],
        "route": "sales",
        "captures": {"dt": "2026-11-24", "file": "a"},
        "parameters": {},
    }

    assert json.dumps(expected) == started().input
    assert "a-67ec5e9185ffa9234958de27ce2d5509" == started(version_id="v1").name


@pytest.mark.parametrize(
    ("key", "size", "expected"),
    [
        # The marker is empty; the job reads the folder.
        ("raw/o/2026/11/_SUCCESS", 0, {"SRC_PREFIX": "raw/o/2026/11/", "TRG_PREFIX": "curated/2026/11"}),
        ("raw/else/x", 1, {"route": "others", "parameters": {"ALL": "else/x"}, "glue_max_capacity_dpus": 2}),
        (DAYS, 101, {"route": "sales", "glue_max_capacity_dpus": 9}),
        # The first match that fits, with captures of its own, of which the route uses what they share.
        ("raw/l/1/a.csv", 1, {"TRG_PREFIX": "out/1", "captures": {"day": "1", "kind": "a"}}),
        ("raw/l/a/1.csv.gz", 1, {"TRG_PREFIX": "out/1", "captures": {"kind": "a", "day": "1"}}),
        # Though the last route would take whatever is below raw/, even an empty object.
        (DAYS, 0, "empty_object of sales"),
        ("raw/_a/x", 0, "hidden_file of others"),
        ("raw/p/_x/../y", 0, "paused of tenants"),
    ],
)
def test_where_a_key_goes(key: str, size: int, expected: dict[str, object] | str) -> None:
    """What the job of its route is told, or why nothing starts; another machine is named in the stack's account."""
    found = planned(key, size=size)

    if isinstance(expected, str):
        assert isinstance(found, Skip), found
        assert expected == f"{found.reason.value} of {found.route}"
        return
    assert isinstance(found, Execution), found
    given = json.loads(found.input) | {"machine": found.state_machine_arn}
    machine = MACHINE.replace("glueworkshop", "others") if given["route"] == "others" else MACHINE
    assert {"machine": machine, **expected} == {name: given[name] for name in ("machine", *expected)}


@pytest.mark.parametrize(
    ("routes", "is_another"),
    [
        # Job, target, capacity, source, priority and parameters start nothing again.
        (routed(sales='job_name = "other"\n' + SALES + LADDER), False),
        (routed(sales=SALES.replace("curated", "silver") + LADDER), False),
        (routed(sales=SALES + 'source = "raw/sales"\npriority = 7\n'), False),
        (routed(sales=SALES + '[parameters]\nX = "{dt}"\n'), False),
        # To rename a route, or to move from the parameters to files, is a new start.
        (routed(renamed=SALES), True),
        (stack(source_prefix="raw/"), True),
    ],
)
def test_what_a_route_says_is_no_part_of_the_name(routes: Stack, *, is_another: bool) -> None:
    assert is_another == (started().name != started(routes=routes).name)
