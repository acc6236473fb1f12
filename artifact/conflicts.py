"""Decide whether two routes can take one key, and whether a job's output can start its own route again.

A match is a regular language. So are the keys that a job may write: the target with its captures, a slash, and one or
more characters. Both questions are searches for a shortest string that two automata accept; the string is the proof.

**Overlap** is decided exactly.

**A loop** is a circle of steps. There is a step from one route to another if the first takes some key, its job may
write some object for this key, and the second takes that object. A step is decided exactly, with all its conditions: a
key has one reading, which captures as little as possible from the left; a route with a higher priority may take the key
or the object; markers are skipped. Two things are assumed to be possible without proof. So a circle may be refused that
could never close, but no loop is accepted:
- If a target has a placeholder twice, or in another order than the match, it may stand there for any text that it could
  capture. (With two copies of a capture, the keys that a job writes are no regular language.)
- The steps of a circle are decided one by one. The search does not ask whether the object of one step can be the key of
  the next. (In general that can't be decided.)

**Unread members.** In a set with one of each, the captures of one template must make keys of the others that give the
same captures. If two templates have their placeholders in the same order, this is decided exactly, by the same search.
If not, the second must have only one reading for any captures; this may refuse too much.
"""

import heapq
import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from shared.domain.pattern import Capture, Pattern, Template, atoms_of, fill, steps, takes
from shared.domain.routes import Route

# The function skips these keys before it looks for a route.
MARKERS = ("/", "_$folder$")
LONGEST_KEY = 1024  # bytes
# After so many states a search goes on with a simpler question, which may refuse too much.
PATIENCE = 100_000
# The number of segments of a key, from either end, that separate routes before any pair is compared.
DEPTH = 12
FEW_PAIRS = 8
# Readable characters that few patterns have. The first that no pattern of a search has stands for all other characters.
OTHERS = "xyzabcdefghijklmnopqrstuvw0123456789" + "".join(map(chr, range(0x4E00, 0x4F00)))

type Atoms = list[str | Capture]


class Step(NamedTuple):
    """From a route, by a key of it and an object that its job may write for it, to the route that takes the object."""

    route: Route
    key: str
    written: str
    next: Route


type Loop = list[Step]


class TooManyStatesError(Exception):
    """A search has met too many states."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The plain text of a template: enough to separate most pairs without a search."""

    head: str
    tail: str
    # The segments from the left and from the right: of each the head, the tail, and the whole text if it has no
    # capture. A deep capture ends both lists, because it can take any number of segments.
    left: tuple[tuple[str, str, str | None], ...]
    right: tuple[tuple[str, str, str | None], ...]
    deep: bool

    @classmethod
    def of(cls, tokens: Template) -> "Shape":
        """Look at a template."""
        deep = any(isinstance(token, Capture) and token.deep for token in tokens)
        return cls(
            head=tokens[0] if tokens and isinstance(tokens[0], str) else "",
            tail=tokens[-1] if tokens and isinstance(tokens[-1], str) else "",
            left=tuple(_ends(one) for one in _segments(tokens)),
            right=tuple(_ends(_mirrored(one)) for one in _segments(_mirrored(tokens))),
            deep=deep,
        )

    def may_meet(self, other: "Shape") -> bool:
        """Return whether some text may be of both shapes; False is certain."""
        if not (_one_begins(self.head, other.head) and _one_ends(self.tail, other.tail)):
            return False
        if not self.deep and not other.deep and len(self.left) != len(other.left):
            return False
        pairs = itertools.chain(
            zip(self.left, other.left, strict=False),
            zip(self.right, other.right, strict=False),
        )
        return all(_segment_may_meet(one, another) for one, another in pairs)


def near_pairs(ones: Sequence[Shape], others: Sequence[Shape]) -> Iterator[tuple[int, int]]:
    """Yield the numbers of all pairs that may meet, without a look at each pair: a thousand routes have a million."""
    places = [(side, depth) for depth in range(DEPTH) for side in ("left", "right")]

    def by_text(numbers: list[int], shapes: Sequence[Shape], side: str, depth: int) -> dict[str | None, list[int]]:
        groups: dict[str | None, list[int]] = {}
        for number in numbers:
            segments = getattr(shapes[number], side)
            groups.setdefault(segments[depth][2] if depth < len(segments) else None, []).append(number)
        return groups

    def split(left: list[int], right: list[int], place: int) -> Iterator[tuple[int, int]]:
        if place == len(places) or len(left) * len(right) <= FEW_PAIRS:
            yield from (pair for pair in itertools.product(left, right) if ones[pair[0]].may_meet(others[pair[1]]))
            return
        theirs = by_text(right, others, *places[place])
        for text, group in by_text(left, ones, *places[place]).items():
            # A segment of plain text meets the same text, or a segment with a placeholder.
            partners = right if text is None else [*theirs.get(text, []), *theirs.get(None, [])]
            if partners:
                yield from split(group, partners, place + 1)

    return split(list(range(len(ones))), list(range(len(others))), 0)


def find_overlap(routes: Sequence[Route]) -> tuple[Route, Route, str] | None:
    """Return two routes of one priority that take the same key, and a shortest such key."""
    owned = [(route, pattern) for route in routes for pattern in route.match]
    shapes = [Shape.of(pattern.tokens) for _, pattern in owned]
    for number, another in sorted(near_pairs(shapes, shapes)):
        (one, pattern), (other, beside) = owned[number], owned[another]
        if number < another and one != other and one.priority == other.priority:
            key = common_key(pattern, beside)
            if key is not None and len(key.encode()) <= LONGEST_KEY:
                return one, other, key
    return None


def common_key(one: Pattern, other: Pattern) -> str | None:
    """Return a shortest text that both patterns match, by bytes."""
    atoms, others = list(atoms_of(one.tokens)), list(atoms_of(other.tokens))

    def moves(state: tuple[int, int]) -> Iterator[tuple[str, str, tuple[int, int]]]:
        left, right = state
        for character in _characters([(atoms, left), (others, right)]):
            for pair in itertools.product(steps(atoms, left, character), steps(others, right, character)):
                yield character, "", pair

    found = _shortest((0, 0), moves, lambda state: state == (len(atoms), len(others)))
    return found and found[0]


def find_loop(routes: Sequence[Route]) -> Loop | None:
    """Return the steps of a circle from a route's target back to itself."""
    # Most loops are this short, so they are found before a million pairs are compared.
    for route in routes:
        if itself := find_step(route, route, routes):
            return [itself]
    owned = [(number, pattern) for number, route in enumerate(routes) for pattern in route.match]
    shapes = [Shape.of(pattern.tokens) for _, pattern in owned]
    written = [Shape.of(objects_of(routes[number], pattern)) for number, pattern in owned]
    pairs = {(owned[one][0], owned[other][0]) for one, other in near_pairs(written, shapes)}
    near: list[list[int]] = [[] for _ in routes]
    for one, other in sorted(pairs):
        near[one].append(other)
    circle_of = circles(near)

    @cache
    def step(one: int, other: int) -> Step | None:
        return find_step(routes[one], routes[other], routes)

    def after(one: int) -> Iterator[int]:
        return (other for other in near[one] if circle_of[other] == circle_of[one] and step(one, other))

    for begin in range(len(routes)):
        if path := _back_to(begin, after):
            return [found for pair in itertools.pairwise(path) if (found := step(*pair))]
    return None


def objects_of(route: Route, match: Pattern) -> Template:
    """Return the pattern of the job's objects, as if each placeholder of the target could be any text."""
    deep = {token.name: token.deep for token in match.tokens if isinstance(token, Capture)}
    target = [one if isinstance(one, str) else Capture(one.name, deep[one.name]) for one in _bare(route.target)]
    last = target[-1]
    end = [*target[:-1], last + "/"] if isinstance(last, str) else [*target, "/"]
    return (*end, Capture("object", deep=True))


def find_step(route: Route, after: Route, routes: Sequence[Route]) -> Step | None:
    """Return how a key of one route leads to an object that another one takes."""
    shapes = [(then, Shape.of(then.tokens)) for then in after.match]
    for number, match in enumerate(route.match):
        written = Shape.of(objects_of(route, match))
        for then, shape in shapes:
            if not written.may_meet(shape):
                continue
            # If an earlier match of its route fits a key, this match does not take it. Any match may take the object.
            above = [*route.match[:number], *_above(route, match, routes)]
            search = _StepSearch(match, route.target, then, above, _above(after, then, routes))
            try:
                found = _shortest(search.start, search.moves, search.accepts)
            except TooManyStatesError:
                simple = _StepSearch(match, route.target, then, [], [], careful=False)
                found = _shortest(simple.start, simple.moves, simple.accepts, patience=None)
            if found:
                return Step(route, *found, after)
    return None


class _Op(NamedTuple):
    """A part of a route's key, of its job's object, or of both (a capture that the target uses)."""

    atom: str | Capture
    key: bool
    written: bool


class _StepState(NamedTuple):
    """The state of a search for a step."""

    op: int
    # Whether the capture at `op` has a character already.
    inside: bool
    # The place of the key's reading, and the places of all readings that captured less.
    reading: int
    lesser: frozenset[int]
    # The states of the patterns that would take the key, or the object, away: (pattern, state).
    key_taken: frozenset[tuple[int, int]]
    after: int
    written_taken: frozenset[tuple[int, int]]


@dataclass
class _StepSearch:
    """The two automata of a step: they read key and object together, and both read a capture that the target uses."""

    match: Pattern
    target: Template
    next: Pattern
    above: list[Pattern]
    next_above: list[Pattern]
    # False: every reading of a key counts, and markers count too.
    careful: bool = True
    ops: list[_Op] = field(init=False)
    atoms: Atoms = field(init=False)
    next_atoms: Atoms = field(init=False)
    key_takers: list[Atoms] = field(init=False)
    written_takers: list[Atoms] = field(init=False)
    other: str = field(init=False)

    def __post_init__(self) -> None:
        """Lay key and object side by side."""
        self.atoms = list(atoms_of(self.match.tokens))
        self.next_atoms = list(atoms_of(self.next.tokens))
        markers = [(Capture("any", deep=True), marker) for marker in MARKERS] if self.careful else []
        self.key_takers = [list(atoms_of(tokens)) for tokens in (*markers, *(one.tokens for one in self.above))]
        self.written_takers = [
            list(atoms_of(tokens)) for tokens in (*markers, *(one.tokens for one in self.next_above))
        ]
        end = [_Op("/", key=False, written=True), _Op(Capture("object", deep=True), key=False, written=True)]
        self.ops = [*_side_by_side(self.match.tokens, _bare(self.target)), *end]
        known = {
            one for atoms in (self.atoms, self.next_atoms, *self.key_takers, *self.written_takers) for one in atoms
        }
        known |= {op.atom for op in self.ops}
        self.other = next(one for one in OTHERS if one not in known)

    @property
    def start(self) -> _StepState:
        """Nothing is read."""
        taken = [frozenset((number, 0) for number in range(len(one))) for one in (self.key_takers, self.written_takers)]
        return _StepState(0, False, 0, frozenset(), taken[0], 0, taken[1])  # noqa: FBT003 - a named tuple

    def accepts(self, state: _StepState) -> bool:
        """Return whether key and object are complete, and their routes really take them."""
        return (
            state.op == len(self.ops)
            and state.after == len(self.next_atoms)
            and len(self.atoms) not in state.lesser
            and not _any_accepts(self.key_takers, state.key_taken)
            and not _any_accepts(self.written_takers, state.written_taken)
        )

    def moves(self, state: _StepState) -> Iterator[tuple[str, str, _StepState]]:
        """Yield each next character, in the key and in the object."""
        if state.op == len(self.ops):
            return
        op = self.ops[state.op]
        for character in self._characters(state, op):
            reading, lesser, key_taken = state.reading, state.lesser, state.key_taken
            if op.key:
                reading, lesser = _read_on(self.atoms, reading, lesser, character, inside=state.inside)
                if reading in lesser and self.careful:
                    continue  # a lesser reading matches all that this one matches
                key_taken = _advance(self.key_takers, key_taken, character)
            afters: Iterable[int] = (state.after,)
            written_taken = state.written_taken
            if op.written:
                afters = steps(self.next_atoms, state.after, character)
                written_taken = _advance(self.written_takers, written_taken, character)
            if not self.careful:
                lesser = frozenset()
            for after in afters:
                said = character if op.key else "", character if op.written else ""
                rest = (reading, lesser, key_taken, after, written_taken)
                yield *said, _StepState(state.op + 1, False, *rest)  # noqa: FBT003
                if isinstance(op.atom, Capture):
                    yield *said, _StepState(state.op, True, *rest)  # noqa: FBT003

    def _characters(self, state: _StepState, op: _Op) -> Iterable[str]:
        if isinstance(op.atom, str):
            return op.atom
        places = [(self.atoms, one) for one in state.lesser]
        if op.key:
            places += [
                (self.atoms, state.reading),
                *((self.key_takers[number], one) for number, one in state.key_taken),
            ]
        if op.written:
            places += [(self.next_atoms, state.after)]
            places += [(self.written_takers[number], one) for number, one in state.written_taken]
        return [one for one in _characters(places, self.other) if takes(op.atom, one)]


def _side_by_side(tokens: Template, target: Template) -> Iterator[_Op]:
    """Yield the parts of a key and of the text made from it; a capture that both use is one part of both.

    A placeholder that comes twice, or in another order, is a part of the second alone: any text that it could capture.
    """
    place = {token.name: number for number, token in enumerate(tokens) if isinstance(token, Capture)}
    read = 0
    for token in target:
        if isinstance(token, str):
            yield from (_Op(character, key=False, written=True) for character in token)
            continue
        number = place[token.name]
        if number < read:
            yield _Op(tokens[number], key=False, written=True)
            continue
        yield from (_Op(atom, key=True, written=False) for atom in atoms_of(tokens[read:number]))
        yield _Op(tokens[number], key=True, written=True)
        read = number + 1
    yield from (_Op(atom, key=True, written=False) for atom in atoms_of(tokens[read:]))


class Unread(NamedTuple):
    """Two templates by number, a key of the first, and the key that it makes of the second, with other captures."""

    one: int
    other: int
    key: str
    made: str


def find_unread(matches: Sequence[Pattern]) -> Unread | None:
    """Return a key whose captures make a key of another template with other captures; all capture the same names.

    Raises TooManyStatesError.
    """
    for (number, one), (place, other) in itertools.permutations(enumerate(matches), 2):
        search = _UnreadSearch(one, other)
        if found := _shortest(search.start, search.moves, search.accepts):
            key, made = found
            # If the search can't read the key, it reads the captures one by one.
            values = dict(zip(search.names, key.split(MARK)[1:], strict=False))
            return Unread(number, place, key if search.in_order else fill(one.tokens, values), made)
    return None


# Between the values of the captures; no key in a message has it.
MARK = "\0"
# In place of the lesser readings of the made key, after it is certain that the key has other captures.
LOST: frozenset[int] = frozenset({-1})


class _UnreadState(NamedTuple):
    """The state of a search for an unread member: its part, and the readings of the key and of the made key."""

    op: int
    inside: bool
    reading: int
    lesser: frozenset[int]
    made: int
    made_lesser: frozenset[int]


class _UnreadSearch:
    """A key of one template, and beside it the key that its captures make of another."""

    def __init__(self, one: Pattern, other: Pattern) -> None:
        """Put both together; if the placeholders come in another order, only the second, for any captures."""
        self.atoms, self.others = list(atoms_of(one.tokens)), list(atoms_of(other.tokens))
        deep = {token.name: token.deep for token in one.tokens if isinstance(token, Capture)}
        self.names = [token.name for token in other.tokens if isinstance(token, Capture)]
        self.in_order = self.names == list(deep)
        # The captures may be those of the first template.
        made = [one if isinstance(one, str) else Capture(one.name, deep[one.name]) for one in other.tokens]
        self.ops = (
            list(_side_by_side(one.tokens, tuple(made)))
            if self.in_order
            else [_Op(atom, key=False, written=True) for atom in atoms_of(tuple(made))]
        )
        known = {*self.atoms, *self.others}
        self.unlike = next(character for character in OTHERS if character not in known)

    @property
    def start(self) -> _UnreadState:
        """Nothing is read."""
        return _UnreadState(0, False, 0, frozenset(), 0, frozenset())  # noqa: FBT003 - a named tuple

    def accepts(self, state: _UnreadState) -> bool:
        """Return whether the key really has this reading, and the made key another one."""
        return (
            state.op == len(self.ops)
            and len(self.atoms) not in state.lesser
            and (state.made_lesser is LOST or len(self.others) in state.made_lesser)
        )

    def moves(self, state: _UnreadState) -> Iterator[tuple[str, str, _UnreadState]]:
        """Yield each next character, in the key and in the made key."""
        if state.op == len(self.ops):
            return
        op = self.ops[state.op]
        for character in self._characters(state, op):
            key, made = (state.reading, state.lesser), (state.made, state.made_lesser)
            if op.key:
                key = _read_on(self.atoms, *key, character, inside=state.inside)
                if key[0] in key[1]:
                    continue  # a lesser reading matches all that this one matches
            if op.written and made[1] is not LOST:
                place = made[0] if not state.inside else made[0] - 1
                fits = takes(self.others[place], character)
                made = _read_on(self.others, *made, character, inside=state.inside)
                if not fits or made[0] in made[1]:
                    made = made[0], LOST
            elif op.written:
                made = made[0] + (not state.inside), LOST
            said = character if op.key else "", character if op.written else ""
            if not self.in_order:
                said = ("" if state.inside else MARK) + character if isinstance(op.atom, Capture) else "", character
            yield *said, _UnreadState(state.op + 1, False, *key, *made)  # noqa: FBT003
            if isinstance(op.atom, Capture):
                yield *said, _UnreadState(state.op, True, *key, *made)  # noqa: FBT003

    def _characters(self, state: _UnreadState, op: _Op) -> Iterable[str]:
        if isinstance(op.atom, str):
            return op.atom
        places = [(self.atoms, one) for one in (state.reading, *state.lesser)] if op.key else []
        places += [(self.others, one) for one in (state.made, *state.made_lesser) if one >= 0]
        return [one for one in _characters(places, self.unlike) if takes(op.atom, one)]


def _read_on(
    atoms: Atoms, reading: int, lesser: frozenset[int], character: str, *, inside: bool
) -> tuple[int, frozenset[int]]:
    """Read one more character; `reading` is behind the capture while it is inside of one."""
    # If another reading ends its capture here and this one goes on, the other one captures less.
    ends = inside and reading < len(atoms) and takes(atoms[reading], character)
    after = frozenset(({reading + 1} if ends else set()).union(*(steps(atoms, one, character) for one in lesser)))
    return reading + (not inside), after


def _bare(target: Template) -> Template:
    """Return the target without the slashes at its end: the job may write below TARGET// and TARGET/."""
    *others, last = target
    return (*others, last.rstrip("/")) if isinstance(last, str) else target


def _above(route: Route, match: Pattern, routes: Sequence[Route]) -> list[Pattern]:
    """Return the patterns of other routes that may take a key of this match away from its route."""
    shape = Shape.of(match.tokens)
    higher = (pattern for one in routes if one.priority > route.priority for pattern in one.match)
    return [one for one in higher if shape.may_meet(Shape.of(one.tokens))]


def _advance(takers: list[Atoms], taken: frozenset[tuple[int, int]], character: str) -> frozenset[tuple[int, int]]:
    return frozenset((number, after) for number, one in taken for after in steps(takers[number], one, character))


def _any_accepts(takers: list[Atoms], taken: frozenset[tuple[int, int]]) -> bool:
    return any(one == len(takers[number]) for number, one in taken)


def _characters(places: Iterable[tuple[Atoms, int]], other: str | None = None) -> list[str]:
    """Return one character of each kind that the automata distinguish in these states."""
    literal = {one for atoms, state in places if state < len(atoms) and isinstance(one := atoms[state], str)}
    rest = other or next(one for one in OTHERS if one not in literal)
    return [rest, *sorted(literal - {rest, "/"}), "/"]


def _shortest[S: Hashable](
    start: S,
    moves: Callable[[S], Iterator[tuple[str, str, S]]],
    accepts: Callable[[S], bool],
    patience: int | None = PATIENCE,
) -> tuple[str, str] | None:
    """Return the text on the way to the nearest accepted state, counted in bytes (Dijkstra).

    Raises TooManyStatesError.
    """
    came: dict[S, tuple[S, str, str] | None] = {start: None}
    cost = {start: 0}
    ticket = itertools.count()
    queue = [(0, next(ticket), start)]
    done: set[S] = set()
    while queue:
        so_far, _, state = heapq.heappop(queue)
        if state in done:
            continue
        done.add(state)
        if accepts(state):
            return _way_to(came, state)
        if patience is not None and len(done) > patience:
            raise TooManyStatesError
        for first, second, after in moves(state):
            price = so_far + len(first.encode()) + len(second.encode())
            if price < cost.get(after, price + 1):
                cost[after] = price
                came[after] = (state, first, second)
                heapq.heappush(queue, (price, next(ticket), after))
    return None


def _way_to[S: Hashable](came: dict[S, tuple[S, str, str] | None], state: S) -> tuple[str, str]:
    """Return the texts on the way to a state: of the key, and of the object or the made key."""
    first, second = [], []
    while (step := came[state]) is not None:
        state, one, another = step
        first.append(one)
        second.append(another)
    return "".join(reversed(first)), "".join(reversed(second))


def circles(near: list[list[int]]) -> list[int]:
    """Return, for each route, the number of its circles: its strongly connected component (Tarjan, no recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    component = [-1] * len(near)
    stack: list[int] = []
    for root in range(len(near)):
        work = [(root, iter(near[root]))] if root not in index else []
        while work:
            node, children = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
            for child in children:
                if child not in index:
                    work.append((child, iter(near[child])))
                    break
                if component[child] < 0:
                    low[node] = min(low[node], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    while component[node] < 0:
                        component[stack.pop()] = node
    return component


def _back_to(begin: int, after: Callable[[int], Iterator[int]]) -> list[int] | None:
    """Return a shortest path from a route back to itself."""
    came: dict[int, int] = {}
    queue = [begin]
    for one in queue:
        for other in after(one):
            if other in came:
                continue
            came[other] = one
            if other == begin:
                path = [begin, one]
                while path[-1] != begin:
                    path.append(came[path[-1]])
                return path[::-1]
            queue.append(other)
    return None


def _mirrored(tokens: Template) -> Template:
    return tuple(token[::-1] if isinstance(token, str) else token for token in reversed(tokens))


def _segments(tokens: Template) -> list[Template]:
    """Split at slashes, up to the segment with the first deep capture, without it."""
    segments: list[Template] = [()]
    for token in tokens:
        if isinstance(token, str):
            first, *others = token.split("/")
            segments[-1] += (first,)
            segments += [(one,) for one in others]
        elif token.deep:
            return segments[:-1]
        else:
            segments[-1] += (token,)
    return segments


def _ends(segment: Template) -> tuple[str, str, str | None]:
    texts = [one for one in segment if one]
    if all(isinstance(one, str) for one in texts):
        whole = "".join(map(str, texts))
        return whole, whole, whole
    first, last = texts[0], texts[-1]
    return first if isinstance(first, str) else "", last if isinstance(last, str) else "", None


def _segment_may_meet(one: tuple[str, str, str | None], other: tuple[str, str, str | None]) -> bool:
    if one[2] is not None and other[2] is not None:
        return one[2] == other[2]
    return _one_begins(one[0], other[0]) and _one_ends(one[1], other[1])


def _one_begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _one_ends(one: str, other: str) -> bool:
    return one.endswith(other) or other.endswith(one)
