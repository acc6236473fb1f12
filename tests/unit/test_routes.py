"""Routes: the template language of their keys, the one that takes a key, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.pack import pack
from shared.domain.pattern import Pattern, Template
from shared.domain.routes import RouteTable, Rung, is_unsafe
from tests.unit.builders import route
from tests.unit.patterns import keys, parsed, patterns, readings


@pytest.mark.parametrize(
    ("match", "key", "captures"),
    [
        ("{a}-{b}", "x-y-z", {"a": "x", "b": "y-z"}),
        ("raw/dt={dt}/{file}.csv", "raw/dt=2026-11-24/a.csv.csv", {"dt": "2026-11-24", "file": "a.csv"}),
        ("raw/dt={dt}/{file}.csv", "raw/dt=1/.csv", None),
        ("{path...}/{file}", "a//c", {"path": "a/", "file": "c"}),
        ("a.c", "abc", None),
        ("a*[b]?", "a*[b]?", {}),
        ("{{{a}}}", "{x}", {"a": "x"}),
        ("{a}🚕{b}", "é🚕🚕", {"a": "é", "b": "🚕"}),
        ("{a}\n{b}", "x\n\n", {"a": "x", "b": "\n"}),
        ("{a}ab{b}/{c}", "xababababab/z", {"a": "x", "b": "abababab", "c": "z"}),
        ("{a}-{b}_{c}", "é-é-é-é-é-é_x", {"a": "é", "b": "é-é-é-é-é", "c": "x"}),
        ("{a}é🚕{b}", "xé🚕é🚕é🚕é🚕é🚕", {"a": "x", "b": "é🚕é🚕é🚕é🚕"}),
        ("aa{a}aa", "aaaa", None),
        ("{a}aa{b}", "aaaab", {"a": "a", "b": "ab"}),
        ("{a...}/{b}é{c}", "é/é/éé/éé🚕", {"a": "é/é/éé", "b": "é", "c": "🚕"}),
    ],
)
def test_a_key_is_read_whole_and_from_the_left(match: str, key: str, captures: dict[str, str] | None) -> None:
    """Every text stands for itself, every capture takes as little as the rest allows."""
    assert captures == Pattern(parsed(match)).match(key)


@given(patterns(), keys())
def test_the_reading_is_the_first_of_all_readings(tokens: Template, key: str) -> None:
    """Of all readings, listed by force, the one that captures least from the left; a key that matches may begin so."""
    pattern = Pattern(tokens)
    found = pattern.match(key)

    assert next(readings(tokens, key), None) == found
    assert found is None or all(pattern.can_begin_with(key[:length]) for length in range(len(key) + 1))


@pytest.mark.parametrize("part", ["{%s}", "{%s...}", "{%s}a", "{%s...}a", "{%s...}aa", "{%s}/", "{%s...}a/"])
def test_no_key_makes_it_backtrack(part: str) -> None:
    """Twelve captures and a key made to provoke them end; a backtracking matcher would not, within this universe."""
    pattern = Pattern(parsed("".join(part % f"c{number}" for number in range(12)) + "b{end}"))

    for key in ("a" * 1024, "a" * 1023 + "b", "é" * 512, "a/" * 512, "/" * 1024):
        assert pattern.match(key) is None, key[-9:]


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


def test_the_size_chooses_the_capacity() -> None:
    """A bound belongs to its own step; without a ladder the stack says."""
    expected = {0: 2, 100: 2, 101: 5, 1000: 5, 1001: 10, 5 * 1024**4: 10}
    laddered = route(capacity=(Rung(100, 2), Rung(1000, 5), Rung(None, 10)))

    assert expected == {size: laddered.dpus(size, 7) for size in expected}
    assert 7 == route().dpus(100, 7), "the stack's"


def test_a_name_is_a_machine_of_the_stacks() -> None:
    """Partition, region and account are those of the stack's own machine, which may have an alias."""
    stacks = "arn:aws-cn:states:cn-north-1:210987654321:stateMachine:glueworkshop:live"
    other = "arn:aws:states:us-east-2:123456789012:stateMachine:x:live"
    arns = {None: stacks, "orders": "arn:aws-cn:states:cn-north-1:210987654321:stateMachine:orders", other: other}

    assert arns == {given: route(state_machine_arn=given).machine_arn(stacks) for given in arns}


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("input/{lab}/eventdriven/{file}", []),
        ("{all...}", []),
        ("output/{file}", ["r"]),
        ("{a}/out/{b...}", ["r"]),
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


def test_a_target_that_would_leave_its_place_is_seen() -> None:
    """Jobs resolve segments that are empty, one dot or two; dots in a name are only dots."""
    unsafe = ["out/..", "out/../x", "out/./x", "out//x", "..", "out//", "out/"]
    safe = ["out", "out/..x", "out/dt=..", "out/a..b/..."]

    assert unsafe == [target for target in unsafe + safe if is_unsafe(target)]


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
        ("{a}/{deep...}/x-{more...}", ["a"]),
        ("{a}{deep...}/x={b}/{file}", ["a", "deep", "b"]),
    ],
)
def test_what_a_folder_shares(match: str, shared: list[str]) -> None:
    """What is captured before the last slash, and before a placeholder that may hold that slash."""
    assert shared == route(match).folder_captures
