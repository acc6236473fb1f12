"""What the build decides about pairs and circles of routes, checked by brute force on a small alphabet."""

import itertools
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from artifact import conflicts
from artifact.conflicts import Shape, common_key, find_loop, find_step, find_unread, near_pairs, objects_of
from artifact.pack import pack
from shared.domain.pattern import Capture, Pattern, Template, fill
from shared.domain.routes import Route, RouteTable
from tests.unit.patterns import ALPHABET, parsed, patterns

# All texts over the alphabet, and one character more, up to a length.
WORDS = ["".join(word) for length in range(1, 6) for word in itertools.product(ALPHABET + "x", repeat=length)]
KEYS = [word for word in WORDS if len(word) <= 4]
OBJECTS = [word for word in WORDS if len(word) <= 2 and not word.endswith("/")]


def route(name: str, match: str, target: str = "out", priority: int = 0) -> Route:
    return Route(name, tuple(Pattern(parsed(one)) for one in match.split()), "job", parsed(target), priority=priority)


@st.composite
def tables(draw: st.DrawFn, *, in_order: bool) -> list[Route]:
    """Make up to three routes, of one or two matches; targets use each capture once and in its order, or any."""
    routes = []
    for number in range(draw(st.integers(1, 3))):
        match = draw(patterns(3))
        other = draw(patterns(3)) if draw(st.booleans()) else match
        shared = {one.name for one in other if isinstance(one, Capture)}
        captured = [Capture(one.name) for one in match if isinstance(one, Capture) and one.name in shared]
        used = [one for one in captured if draw(st.booleans())] if in_order else []
        if not in_order and captured:
            used = draw(st.lists(st.sampled_from(captured), max_size=3))
        texts = [draw(st.text(ALPHABET, max_size=2)) for _ in range(len(used) + 1)]
        target = tuple(one for pair in itertools.zip_longest(texts, used) for one in pair if one)
        assume(target and (not isinstance(target[-1], str) or target[-1].rstrip("/")))
        several = (Pattern(match),) if other == match else (Pattern(match), Pattern(other))
        routes.append(Route(f"r{number}", several, "job", target, priority=number))
    return routes


@given(patterns(4), patterns(4))
def test_a_common_key_is_found_if_there_is_one(one: Template, other: Template) -> None:
    """The key that is shown is both patterns', no shorter one is, and where none is shown none is."""
    left, right = Pattern(one), Pattern(other)
    found = common_key(left, right)
    forced = next((word for word in WORDS if left.match(word) is not None and right.match(word) is not None), None)

    if found is None:
        assert forced is None
    else:
        assert left.match(found) is not None
        assert right.match(found) is not None
        assert Shape.of(one).may_meet(Shape.of(other))
        assert forced is None or len(found) == len(forced)


@given(st.lists(patterns(4), max_size=8), st.lists(patterns(4), max_size=8))
def test_no_pair_that_may_meet_is_left_out(ones: list[Template], others: list[Template]) -> None:
    """The shortcut for a thousand routes yields what looking at each pair would."""
    left, right = [Shape.of(one) for one in ones], [Shape.of(one) for one in others]
    slowly = {
        (number, another)
        for (number, one), (another, other) in itertools.product(enumerate(left), enumerate(right))
        if one.may_meet(other)
    }

    assert sorted(slowly) == sorted(near_pairs(left, right))


def steps_by_force(routes: list[Route]) -> set[tuple[str, str]]:
    """Try every short key, and every short object that its job may write."""
    table = RouteTable(pack(routes))
    taken = [choice for key in KEYS if not key.endswith("/") and (choice := table.find(key))]
    targets = {(one.route.name, fill(conflicts._bare(one.route.target), one.captures)) for one in taken}
    return {
        (name, after.route.name)
        for name, target in targets
        for rest in OBJECTS
        if (after := table.find(f"{target}/{rest}"))
    }


@settings(max_examples=50)
@given(st.booleans().flatmap(lambda in_order: st.tuples(st.just(in_order), tables(in_order=in_order))))
def test_no_step_is_missed_and_each_is_real(drawn: tuple[bool, list[Route]]) -> None:
    """Its key is the one route's, its object may be written for that very key, and is the other's.

    With placeholders twice or out of order: rather a step too many than one too few.
    """
    in_order, routes = drawn
    table = RouteTable(pack(routes))
    with pytest.MonkeyPatch.context() as patch:
        if not in_order:
            patch.setattr(conflicts._shortest, "__defaults__", (5_000,))  # then it goes on with what is simpler
        steps = [step for one, other in itertools.product(routes, routes) if (step := find_step(one, other, routes))]

    assert steps_by_force(routes) <= {(step.route.name, step.next.name) for step in steps}
    for step in steps if in_order else []:
        taken, after = table.find(step.key), table.find(step.written)
        assert taken
        assert after
        assert (step.route, step.next) == (taken.route, after.route)
        target = fill(conflicts._bare(step.route.target), taken.captures) + "/"
        assert step.written.startswith(target)
        assert step.written != target
        written = Shape.of(objects_of(step.route, step.route.match[taken.number]))
        assert written.may_meet(Shape.of(step.next.match[after.number].tokens))


@given(first=patterns(4), dice=st.randoms(use_true_random=False), in_order=st.booleans())
def test_an_unread_member_is_found_if_there_is_one(first: Template, dice: random.Random, *, in_order: bool) -> None:
    """By brute force: exactly with placeholders in one order; otherwise rather one refused too many."""
    names = [one.name for one in first if isinstance(one, Capture)]
    others = list(names) if in_order else dice.sample(names, len(names))
    texts = [dice.choice(["", "a", "-", "/", "a-"]) for _ in range(len(others) + 1)]
    captures = [Capture(name, dice.random() < 0.3) for name in others]
    second = tuple(one for pair in itertools.zip_longest(texts, captures) for one in pair if one)
    assume(second)
    one, other = Pattern(first), Pattern(second)
    readings = [(taken, fill(second, taken)) for word in WORDS if (taken := one.match(word)) is not None]
    forced = [taken for taken, made in readings if other.match(made) != taken]

    found = next((unread for unread in (find_unread([one, other]),) if unread and unread.one == 0), None)

    assert found or not forced
    if found and others == names:
        taken = one.match(found.key)
        assert taken is not None
        assert fill(second, taken) == found.made
        assert other.match(found.made) != taken


@pytest.mark.parametrize(
    ("routes", "names"),
    [
        # Bronze to silver to gold ends, and so does a target beside the source.
        ([("b", "raw/{a}/{f}", "br/{a}"), ("s", "br/{a}/{f}", "si/{a}"), ("g", "si/{a...}", "go")], None),
        ([("beside", "data/{a}.csv", "data/out")], None),
        ([("tenants", "{tenant}/in/{f...}", "{tenant}/out")], None),
        ([("by-type", "x/{f}.csv", "x/{f}.csv.d")], None),
        # All its keys are markers, which are skipped.
        ([("markers", "data/{a...}/", "data")], None),
        # The first match takes whatever has more than one character there, and captures one of them.
        ([("one", "in/{x}{y}/k in/{x}/k", "{x}"), ("two", "cc/{f}", "in/zz")], None),
        ([("misc", "misc/{all...}", "kept"), ("kept", "kept/{all...}", "bin/a"), ("bin", "bin/{a}", "t/{a}", 5)], None),
        # From a target back to its own route, however many steps it takes.
        ([("itself", "data/{path...}", "data/out")], ["itself"]),
        ([("itself", "{tenant}/{path...}", "{tenant}/out")], ["itself"]),
        ([("one", "a/{f}", "b"), ("two", "b/{f}", "c/d"), ("six", "c/{d...}", "a")], ["one", "two", "six"]),
        ([("slash", "data/x/{f}", "data/x/")], ["slash"]),
        ([("taken", "data/{f...}", "out/1"), ("all", "{all...}", "data", -1)], ["all", "taken"]),
        ([("second", "in/{f} b/{f}", "c"), ("back", "c/{f}", "b")], ["back", "second"]),
        # What the lower one's job writes is the higher one's, whose job writes elsewhere.
        ([("low", "in/{path...}", "in/out", -1)], ["low"]),
        ([("low", "in/{path...}", "in/out", -1), ("high", "in/out/{path...}", "done")], None),
        # `{a}` of `{a}-{b}` is never `x-y`, so that what is written never has the dash that would bring it back.
        ([("dash", "{a}-{b}/{f}", "{a}")], None),
        ([("dash", "{a}-{b}/{f}", "{b}")], ["dash"]),
    ],
)
def test_a_loop_is_shown_where_there_is_one(routes: list[tuple[str, str, str, int]], names: list[str] | None) -> None:
    loop = find_loop([route(*one) for one in routes])

    if names is None:
        assert loop is None
    else:
        assert loop
        assert set(names) == {step.route.name for step in loop} == {step.next.name for step in loop}


def test_out_of_patience_is_rather_a_loop_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that grows too large leaves priorities and readings out of account."""
    low, high = route("low", "in/{path...}", "in/out", -1), route("high", "in/out/{path...}", "done")
    monkeypatch.setattr(conflicts._shortest, "__defaults__", (3,))

    assert find_loop([low, high])
