"""The template language: what a pattern matches, what it captures, and that it never takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.pattern import Capture, Pattern, Template, fill
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
    ],
)
def test_a_key_is_read_whole_and_from_the_left(match: str, key: str, captures: dict[str, str] | None) -> None:
    """Every text stands for itself, every capture takes as little as the rest allows."""
    assert captures == Pattern(parsed(match)).match(key)


@given(patterns(), keys())
def test_the_reading_is_the_first_of_all_readings(tokens: Template, key: str) -> None:
    """Of all readings, listed by force, the one that captures least from the left; a key that matches begins as it may."""
    pattern = Pattern(tokens)
    found = pattern.match(key)

    assert next(readings(tokens, key), None) == found
    assert found is None or all(pattern.can_begin_with(key[:length]) for length in range(len(key) + 1))


@given(patterns(), st.data())
def test_what_was_filled_in_matches(tokens: Template, data: st.DataObject) -> None:
    """A key made from captures is taken, perhaps by another reading."""
    plain = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
    deep = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    captures = {one.name: data.draw(deep if one.deep else plain) for one in tokens if isinstance(one, Capture)}
    key = fill(tokens, captures)

    found = Pattern(tokens).match(key)

    assert found is not None
    assert key == fill(tokens, found)


@pytest.mark.parametrize(
    ("match", "prefix", "can"),
    [
        ("raw/sales/{file}", "raw/sales/a/b", False),
        ("raw/sales/{file}", "raw/orders/", False),
        ("{a}/in/{b...}", "x/out", False),
        ("{a}/in/{b...}", "x/in/y/z", True),
    ],
)
def test_a_prefix_bounds_a_pattern(match: str, prefix: str, can: object) -> None:
    assert can == Pattern(parsed(match)).can_begin_with(prefix)


@pytest.mark.parametrize("part", ["{%s}", "{%s...}", "{%s}a", "{%s...}a", "{%s...}aa", "{%s}/", "{%s...}a/"])
def test_no_key_makes_it_backtrack(part: str) -> None:
    """Twelve captures and a key made to provoke them end; a backtracking matcher would not, within this universe."""
    pattern = Pattern(parsed("".join(part % f"c{number}" for number in range(12)) + "b{end}"))

    for key in ("a" * 1024, "a" * 1023 + "b", "é" * 512, "a/" * 512, "/" * 1024):
        assert pattern.match(key) is None, key[-9:]
