"""Routes: the one that takes a key, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.pack import pack
from shared.domain.pattern import Pattern, Template
from shared.domain.routes import RouteTable, Rung, is_unsafe
from tests.unit.builders import route
from tests.unit.patterns import keys, patterns


@given(st.lists(st.lists(patterns(), min_size=1, max_size=3), max_size=8), keys())
def test_the_highest_that_matches_takes_the_key(templates: list[list[Template]], key: str) -> None:
    """As if each route, and each of its matches, were asked in turn, whichever way they are found."""
    routes = [
        route(name=f"r{number}", match=tuple(map(Pattern, several)), priority=number)
        for number, several in enumerate(templates)
    ]
    asked = [(one, number, pattern) for one in reversed(routes) for number, pattern in enumerate(one.match)]
    expected = next(
        ((one, read, number) for one, number, pattern in asked if (read := pattern.match(key)) is not None), None
    )

    assert expected == RouteTable(pack(routes[::2] + routes[1::2])).find(key)


@pytest.mark.parametrize(
    ("size", "dpus"), [(0, 2), (100, 2), (101, 5), (1000, 5), (1001, 10), (5 * 1024**4, 10)]
)  # fmt: skip
def test_the_size_chooses_the_capacity(size: int, dpus: int) -> None:
    """A bound belongs to its own step; without a ladder the stack says."""
    laddered = route(capacity=(Rung(100, 2), Rung(1000, 5), Rung(None, 10)))

    assert (dpus, 7) == (laddered.dpus(size, 7), route().dpus(size, 7))


@pytest.mark.parametrize("given", [None, "orders", "arn:aws:states:us-east-2:123456789012:stateMachine:x:live"])
def test_a_name_is_a_machine_of_the_stacks(given: str | None) -> None:
    """Partition, region and account are those of the stack's own machine, which may have an alias."""
    stacks = "arn:aws-cn:states:cn-north-1:210987654321:stateMachine:glueworkshop:live"
    arns = {None: stacks, "orders": "arn:aws-cn:states:cn-north-1:210987654321:stateMachine:orders"}

    assert arns.get(given, given) == route(state_machine_arn=given).machine_arn(stacks)


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("input/lab2/{file}", []),
        ("input/{lab}/eventdriven/{file}", []),
        ("{all...}", []),
        ("output/{file}", ["r"]),
        ("input/lab2", ["r"]),
        ("input/lab2/{folder}/", ["r"]),
        ("input/lab2/{folder}_$folder$", ["r"]),
        ("input/lab2/{file}/" + "x" * 1010, []),
        ("input/lab2/{file}/" + "x" * 1014, ["r"]),
        ("input/lab2/{file}/" + "é" * 508, ["r"]),
    ],
)
def test_a_route_that_no_arrival_can_take_is_named(match: str, names: list[str]) -> None:
    """Not under the prefix, a marker, or longer than a key."""
    assert names == RouteTable(pack([route(match)])).unreachable("input/lab2/")


@pytest.mark.parametrize(
    ("targets", "unsafe"),
    [
        (["out/..", "out/../x", "out/./x", "out//x", "..", "out//", "out/"], True),
        (["out", "out/..x", "out/dt=..", "out/a..b/..."], False),
    ],
)
def test_a_target_that_would_leave_its_place_is_seen(targets: list[str], *, unsafe: bool) -> None:
    """Jobs resolve segments that are empty, one dot or two; dots in a name are only dots."""
    assert dict.fromkeys(targets, unsafe) == {target: is_unsafe(target) for target in targets}


@given(patterns(), keys(), st.text("ab./", max_size=3))
def test_no_key_makes_a_target_leave_its_prefix(tokens: Template, key: str, text: str) -> None:
    """Whatever is captured, a target that isn't refused stays below its own text, resolved or not."""
    captured = [one for one in tokens if not isinstance(one, str)]
    dotted = key.replace("x", "..")
    taken = RouteTable(pack([route(match=(Pattern(tokens),), target=("out/", text, *captured[:2]))])).find(dotted)

    if taken and taken.is_safe:
        assert taken.target.startswith("out/")
        resolved: list[str] = []
        for segment in taken.target.removesuffix("/").split("/"):
            resolved = resolved[:-1] if segment == ".." else [*resolved, segment]
        assert "/".join(resolved) == taken.target.removesuffix("/")


@pytest.mark.parametrize(
    ("match", "shared"),
    [
        ("raw/{a}/{b}/{file}.csv", ["a", "b"]),
        ("{file}", []),
        ("raw/{deep...}/{file}", ["deep"]),
        ("raw/{a}/{deep...}.csv", ["a"]),
        ("raw/{a}-{deep...}.csv", []),
        ("raw-{deep...}.csv", []),
        ("{a}{deep...}", []),
        ("{a}{deep...}/x={b}/{file}", ["a", "deep", "b"]),
    ],
)
def test_what_a_folder_shares(match: str, shared: list[str]) -> None:
    """What is captured before the last slash, and before a placeholder that may hold that slash."""
    assert shared == route(match).folder_captures
