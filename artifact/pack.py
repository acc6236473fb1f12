"""Pack validated routes into plain tuples: one constant in bytecode, with the index that finds a key's route.

shared.domain.routes.RouteTable reads it. This module computes everything that does not need a key.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from artifact.conflicts import LONGEST_KEY, MARKERS, Shape
from shared.domain.pattern import Pattern
from shared.domain.routes import Route, pack_value

# A segment that all keys of a route have at one place, counted from the left, or from the right (-1: the last).
type Place = tuple[int, str]


def pack(routes: Sequence[Route]) -> tuple[Any, ...]:
    """Return the heads in order, for each the longest other head that begins it, its matches, these, and the routes."""
    if not routes:
        return ()
    routes = sorted(routes, key=lambda route: (-route.priority, route.name))
    heads = sorted({pattern.head for route in routes for pattern in route.match})
    parents: list[int] = []
    for number, head in enumerate(heads):
        parent = number - 1
        while parent >= 0 and not head.startswith(heads[parent]):
            parent = parents[parent]
        parents.append(parent)
    entries = tuple(
        (pattern.tail, pattern.needle, pattern.head, _can_be_taken(pattern), number, place)
        for number, route in enumerate(routes)
        for place, pattern in enumerate(route.match)
    )
    patterns = [pattern for route in routes for pattern in route.match]
    return tuple(heads), tuple(parents), _buckets(patterns, heads), entries, tuple(map(pack_value, routes))


def _buckets(patterns: Sequence[Pattern], heads: Sequence[str]) -> tuple[Any, ...]:
    """Put each match where its head and its rarest segment are."""
    places = [_places(pattern) for pattern in patterns]
    often = Counter(place for several in places for place in several)
    buckets: list[dict[int | None, dict[str, list[int]]]] = [{} for _ in heads]
    for number, (pattern, own) in enumerate(zip(patterns, places, strict=True)):
        place, text = min(own, key=lambda one: often[one]) if own else (None, "")
        buckets[heads.index(pattern.head)].setdefault(place, {}).setdefault(text, []).append(number)
    return tuple(
        tuple((place, tuple((text, tuple(numbers)) for text, numbers in texts.items())) for place, texts in one.items())
        for one in buckets
    )


def _places(pattern: Pattern) -> list[Place]:
    """Return the segments that are plain text, without those that the head includes."""
    shape = Shape.of(pattern.tokens)
    left = [(number, whole) for number, (_, _, whole) in enumerate(shape.left) if whole is not None]
    right = [(-1 - number, whole) for number, (_, _, whole) in enumerate(shape.right) if whole is not None]
    return [*left[pattern.head.count("/") :], *(right if shape.deep else ())]


def _can_be_taken(pattern: Pattern) -> bool:
    """Return whether any arrival can match: folder markers, and texts longer than a key, never can."""
    shortest = sum(len(one.encode()) if isinstance(one, str) else 1 for one in pattern.tokens)
    last = pattern.tokens[-1]
    return shortest <= LONGEST_KEY and not (isinstance(last, str) and last.endswith(MARKERS))
