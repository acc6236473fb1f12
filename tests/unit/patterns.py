"""Patterns and keys over a small alphabet, and what a pattern means, written down the slow way."""

from collections.abc import Iterator

from hypothesis import strategies as st

from artifact.route_files import parse_template
from shared.domain.pattern import Capture, Template, Token

ALPHABET = "ab/"


def parsed(text: str) -> Template:
    return parse_template(text, deep_allowed=True)


def keys(longest: int = 8) -> st.SearchStrategy[str]:
    return st.text(ALPHABET + "x", min_size=1, max_size=longest)


@st.composite
def patterns(draw: st.DrawFn, longest: int = 5) -> Template:
    tokens: list[Token] = []
    for number in range(draw(st.integers(1, longest))):
        if draw(st.booleans()) and not (tokens and isinstance(tokens[-1], str)):
            tokens.append(draw(st.text(ALPHABET, min_size=1, max_size=2)))
        else:
            tokens.append(Capture(f"c{number}", draw(st.booleans())))
    return tuple(tokens)


def readings(tokens: Template, key: str) -> Iterator[dict[str, str]]:
    """Yield every reading of the key, those that capture less from the left first."""
    if not tokens:
        if not key:
            yield {}
        return
    first, *others = tokens
    if isinstance(first, str):
        if key.startswith(first):
            yield from readings(tuple(others), key[len(first) :])
        return
    for length in range(1, len(key) + 1):
        if "/" in key[:length] and not first.deep:
            return
        for rest in readings(tuple(others), key[length:]):
            yield {first.name: key[:length], **rest}
