"""Any payload at all, and real events with something changed."""

from typing import Any

from hypothesis import strategies as st

from tests.unit.builders import EVENTS, event

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(deeper for name, value in below for deeper in _paths(value, (*path, name)))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Take a real event and replace or delete some of its values."""
    mutant: Any = event(draw(st.sampled_from(sorted(EVENTS))))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([path for path in _paths(mutant) if path]))
        node = mutant
        for parent in parents:
            node = node[parent]
        if draw(st.booleans()):
            node[last] = draw(json_values)
        else:
            del node[last]
        if not mutant:
            break
    return mutant
