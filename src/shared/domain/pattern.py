"""The template language of routes: patterns of keys, and texts made from their captures.

A template is a tuple of tokens: a `str` stands for itself, a `Capture` takes one or more characters (code points) of
the key. When the application is built, artifact/route_files.py parses templates from their text; this module only uses
them.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple


class Capture(NamedTuple):
    """A placeholder; only a deep one can take slashes."""

    name: str
    deep: bool = False


type Token = str | Capture
type Template = tuple[Token, ...]

# Up to so many occurrences are searched one by one.
FEW_OCCURRENCES = 4
_NO_SLASH = bytes(b"01"[code != ord("/")] for code in range(256))


class Pattern:
    """A template that matches keys; it has no two texts beside each other.

    This is a plain class, because a dataclass takes a cold start a millisecond, even without routes.
    """

    __slots__ = ("body", "head", "needle", "tail", "tokens")

    def __init__(self, tokens: Template) -> None:
        """Separate the texts at both ends, which need no search."""
        self.tokens = tokens
        self.head = tokens[0] if tokens and isinstance(tokens[0], str) else ""
        self.tail = tokens[-1] if len(tokens) > 1 and isinstance(tokens[-1], str) else ""
        # Between head and tail; it begins and ends with a capture, or is empty.
        self.body = tokens[bool(self.head) : len(tokens) - bool(self.tail)]
        # The longest text inside the body: a key without it can't match.
        self.needle = max((one for one in self.body if isinstance(one, str)), key=len, default="")

    def __eq__(self, other: object) -> bool:
        """Return whether both have the same tokens."""
        return isinstance(other, Pattern) and self.tokens == other.tokens

    def __hash__(self) -> int:
        """Return a hash of the tokens."""
        return hash(self.tokens)

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"Pattern({self.tokens!r})"

    def match(self, key: str) -> dict[str, str] | None:
        """Match the whole key, capturing as little as possible from the left; None if it does not match.

        The number of steps is proportional to the key's length times the number of tokens: there is no backtracking.
        """
        if not (key.startswith(self.head) and key.endswith(self.tail)):
            return None
        if not self.body:
            return {} if key == self.head else None
        text = key[len(self.head) : len(key) - len(self.tail)]
        if len(key) <= len(self.head) + len(self.tail) or self.needle not in text:
            return None
        endings = _endings(self.body, text)
        return _captures(self.body, text, endings) if endings else None

    def can_begin_with(self, prefix: str) -> bool:
        """Return whether some key that begins with this prefix matches."""
        if self.head.startswith(prefix):
            return True
        if not prefix.startswith(self.head):
            return False
        states = {0}
        atoms = list(atoms_of(self.tokens))
        for character in prefix:
            states = {after for state in states for after in steps(atoms, state, character)}
        return bool(states)


def is_captured(tokens: Template, captures: Mapping[str, str], place: int) -> bool:
    """Return whether a placeholder, and not the template's own text, took the character at this place of the key."""
    end = 0
    for token in tokens:
        end += len(token) if isinstance(token, str) else len(captures[token.name])
        if place < end:
            return not isinstance(token, str)
    return False


def fill(template: Template, captures: Mapping[str, str]) -> str:
    """Return the template's text with the captures in place of its placeholders."""
    return "".join(token if isinstance(token, str) else captures[token.name] for token in template)


def atoms_of(tokens: Template) -> Iterator[str | Capture]:
    """Yield the pattern character by character: state n of its automaton is before atom n, the last state accepts."""
    for token in tokens:
        if isinstance(token, str):
            yield from token
        else:
            yield token


def steps(atoms: list[str | Capture], state: int, character: str) -> Iterator[int]:
    """Yield the states after one character; the second and later characters of a capture keep its state."""
    if state < len(atoms) and takes(atoms[state], character):
        yield state + 1
    if state and not isinstance(atoms[state - 1], str) and takes(atoms[state - 1], character):
        yield state


def takes(atom: str | Capture, character: str) -> bool:
    """Return whether an atom takes a character."""
    return atom == character if isinstance(atom, str) else atom.deep or character != "/"


def _endings(body: Template, text: str) -> list[int] | None:
    """Return, for each number of tokens, the endings of the text that so many last tokens match.

    A set of endings is an integer: bit n stands for the last n characters. None if the whole body doesn't match.
    """
    size = len(text)
    everything = (1 << size + 1) - 1
    # Bit n: the first of the last n characters is no slash. Each code point is one byte here.
    plain = int(text.encode("ascii", "replace").translate(_NO_SLASH), 2) << 1
    endings = [1]
    for token in reversed(body):
        after = endings[-1]
        if isinstance(token, str):
            found = _occurrences(token, text) & after << len(token)
        elif token.deep:
            # All endings that are longer than the shortest.
            found = everything & -((after & -after) << 1)
        else:
            # One more character, then all further ones without a slash: the carry of an addition runs through each
            # stretch.
            begin = after << 1 & plain
            found = (plain + begin ^ plain | begin) & plain
        if not found:
            return None
        endings.append(found)
    return endings if endings[-1] >> size & 1 else None


def _captures(body: Template, text: str, endings: list[int]) -> dict[str, str]:
    """Read the text from the left, ending each capture at the first place from which the other tokens match."""
    captures = {}
    size = len(text)
    place = 0
    for token, others in zip(body, reversed(endings[:-1]), strict=True):
        if isinstance(token, str):
            place += len(token)
        else:
            end = size + 1 - (others & (1 << size - place) - 1).bit_length()
            captures[token.name] = text[place:end]
            place = end
    return captures


def _occurrences(literal: str, text: str) -> int:
    """Return where a text begins, as endings."""
    size = len(text)
    if text.count(literal) > FEW_OCCURRENCES:
        places = {character: _places(character, text) for character in set(literal)}
        found = -1
        for number, character in enumerate(literal):
            found &= places[character] << number
        return found
    found = 0
    place = text.find(literal)
    while place >= 0:
        found |= 1 << size - place
        place = text.find(literal, place + 1)
    return found


def _places(character: str, text: str) -> int:
    """Return where a character is, as endings."""
    if text.isascii() and character.isascii():
        digits = text.encode().translate(_only(ord(character)))
    else:
        digits = b"".join(b"01"[one == character].to_bytes() for one in text)
    return int(digits, 2) << 1


@cache
def _only(code: int) -> bytes:
    return bytes(b"01"[code == other] for other in range(256))
