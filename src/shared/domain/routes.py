"""Routes: the dataset of a key, and its values for the execution.

When the application is built, artifact/route_files.py reads and validates src/routes/*.toml, and artifact/pack.py packs
them. This module does not validate packed routes again.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from shared.domain.pattern import Capture, Pattern, Template, fill


class Rung(NamedTuple):
    """A step of a capacity ladder: objects of at most `up_to` bytes (None: of any size) get `dpus` DPUs."""

    up_to: int | None
    dpus: int


class SetCondition(NamedTuple):
    """The condition of a set: at least so many files under the source, or (None) one of each match.

    A complete set starts when it has not changed for `settle_seconds`.
    """

    at_least: int | None
    settle_seconds: int


class Expectation(NamedTuple):
    """The deadlines of a route; shared.domain.expectations computes with them, which no arrival needs.

    `captures` has formats of the data's date by capture, `by` is the cron of the deadlines in `zone`. The data's date
    is the deadline's less `lag_hours`. `since` is a date, YYYY-MM-DD: no deadline before it counts.
    """

    captures: tuple[tuple[str, str], ...]
    by: str
    zone: str = "UTC"
    lag_hours: int = 0
    at_least: int = 1
    since: str | None = None


class Route(NamedTuple):
    """One dataset: its keys and their execution. It has the fields of its file, and the file's name.

    Without route files the template's parameters make the only route; its name is empty.
    """

    name: str
    # The first that fits a key counts.
    match: tuple[Pattern, ...]
    job_name: str
    target: Template
    # None: the key itself.
    source: Template | None = None
    # An ARN, or a name in the stack's account and region; None: the stack's.
    state_machine_arn: str | None = None
    # Ascending, the last one without a bound; empty: the stack's capacity.
    capacity: tuple[Rung, ...] = ()
    accept_empty: bool = False
    priority: int = 0
    window_seconds: int = 0
    paused: bool = False
    parameters: tuple[tuple[str, Template], ...] = ()
    set: SetCondition | None = None
    expect: Expectation | None = None

    @property
    def folder_captures(self) -> list[str]:
        """The captures that all keys of one folder share, so a window of that folder may use them.

        The folder is the source, which must be a beginning of each match, or else the key up to its last slash. If two
        matches write the folder differently, they share nothing.
        """
        tokens = self.source
        if tokens is None:
            tokens = directory_of(self.match[0].tokens)
            if len({_directory_text(one.tokens) for one in self.match}) > 1:
                return []
        return [token.name for token in tokens if isinstance(token, Capture)]

    def dpus(self, size: int, default: int) -> int:
        """Return the capacity for an object of so many bytes."""
        return next((rung.dpus for rung in self.capacity if rung.up_to is None or size <= rung.up_to), default)

    def machine_arn(self, default: str) -> str:
        """Return the ARN of the machine to start; `default` is the stack's machine."""
        if self.state_machine_arn is None or self.state_machine_arn.startswith("arn:"):
            return self.state_machine_arn or default
        partition, service, region, account = default.split(":")[1:5]
        return f"arn:{partition}:{service}:{region}:{account}:stateMachine:{self.state_machine_arn}"


class Choice(NamedTuple):
    """The route of a key, the captures in the order of the pattern, and the number of the match that fits."""

    route: Route
    captures: dict[str, str]
    number: int = 0

    @property
    def name(self) -> str | None:
        """The name of the route file, if there is one."""
        return self.route.name or None

    @property
    def target(self) -> str:
        """The target, below which the job writes."""
        return fill(self.route.target, self.captures)

    @property
    def is_safe(self) -> bool:
        """Whether jobs write to exactly this target; a slash at its end is safe if the route file wrote it."""
        own = self.route.target[-1]
        return not is_unsafe(self.target.removesuffix("/") if isinstance(own, str) else self.target)

    def source(self, key: str) -> str:
        """Return the source, which the job reads."""
        return key if self.route.source is None else fill(self.route.source, self.captures)

    @property
    def parameters(self) -> dict[str, str]:
        """The further arguments of the job."""
        return {name: fill(template, self.captures) for name, template in self.route.parameters}


class RouteTable:
    """All routes. A search goes by the beginning of the key first, then by one whole segment of it.

    The table is made from the output of artifact/pack.py. It unpacks a route at the first key that may be its own, so a
    cold start unpacks none.
    """

    def __init__(self, packed: tuple[Any, ...]) -> None:
        """Take the packed index and routes; an empty tuple is no routes."""
        # An entry for each match of a route.
        self._heads, self._parents, buckets, self._entries, self._packed = packed or ((), (), (), (), ())
        # By head: a segment's number (None: any), its text, and the routes that have it there.
        self._buckets = [[(place, dict(texts)) for place, texts in bucket] for bucket in buckets]
        self._unpacked: dict[int, Route] = {}

    def __bool__(self) -> bool:
        """Return whether there is any route."""
        return bool(self._entries)

    @property
    def routes(self) -> list[Route]:
        """All routes, those with the highest priority first."""
        return [self._route(number) for number in range(len(self._packed))]

    def find(self, key: str) -> Choice | None:
        """Return the route that takes the key: the matching one with the highest priority.

        Two routes of one priority never match the same key: the build refuses them. The first match of a route counts.
        """
        for number in sorted(self._candidates(key)):
            tail, needle, _, _, owner, place = self._entries[number]
            if needle in key and key.endswith(tail):
                route = self._route(owner)
                captures = route.match[place].match(key)
                if captures is not None:
                    return Choice(route, captures, place)
        return None

    def unreachable(self, prefix: str) -> list[str]:
        """Return the names of the routes that no arrival under the prefix can take."""
        reached = {
            owner
            for _, _, head, possible, owner, place in self._entries
            if possible
            and (
                head.startswith(prefix)
                or (prefix.startswith(head) and self._route(owner).match[place].can_begin_with(prefix))
            )
        }
        return [packed[0] for number, packed in enumerate(self._packed) if number not in reached]

    def _route(self, number: int) -> Route:
        route = self._unpacked.get(number)
        if route is None:
            route = self._unpacked[number] = unpack(self._packed[number])
        return route

    def _candidates(self, key: str) -> Iterator[int]:
        segments = key.split("/")
        # The longest head of the key is the nearest head before it, or an ancestor of that one. The other heads are its
        # ancestors.
        number = bisect_right(self._heads, key) - 1
        while number >= 0 and not key.startswith(self._heads[number]):
            number = self._parents[number]
        while number >= 0:
            for place, texts in self._buckets[number]:
                if place is None:
                    yield from texts[""]
                elif -len(segments) <= place < len(segments):
                    yield from texts.get(segments[place], ())
            number = self._parents[number]


NO_ROUTES = RouteTable(())


def directory_of(match: Template) -> Template:
    """Return the tokens that a folder decides: up to the last slash, or to a deep capture that may hold it."""
    slashes = [number for number, token in enumerate(match) if isinstance(token, str) and "/" in token]
    last = slashes[-1] if slashes else 0
    deep = [number for number, token in enumerate(match) if isinstance(token, Capture) and token.deep]
    if any(number > last for number in deep):
        last = max((number for number in slashes if number < deep[0]), default=0)
    return match[:last]


def _directory_text(match: Template) -> tuple[Template, str]:
    """Return the tokens that a folder alone decides, with the text up to the slash at its end."""
    directory = directory_of(match)
    text = match[len(directory)]
    return directory, text[: text.rfind("/") + 1] if isinstance(text, str) else ""


def is_unsafe(target: str) -> bool:
    """Return whether a job would resolve the target to another place: Hadoop does so with empty, `.` and `..` segments.

    Such a segment comes from a capture: the build refuses it in the target's own text.
    """
    return not {"", ".", ".."}.isdisjoint(target.split("/"))


def pack_value(value: Any) -> Any:
    """Turn the value of a field into plain tuples, texts and numbers, which a module of bytecode can hold."""
    if isinstance(value, Pattern):
        return pack_value(value.tokens)
    return tuple(map(pack_value, value)) if isinstance(value, tuple) else value


def _template(packed: tuple[Any, ...]) -> Template:
    return tuple(token if isinstance(token, str) else Capture(*token) for token in packed)


# The functions that unpack the fields without plain values. Every other field is used as it was packed.
UNPACK: dict[str, Callable[[Any], Any]] = {
    "match": lambda packed: tuple(Pattern(_template(template)) for template in packed),
    "target": _template,
    "source": lambda packed: None if packed is None else _template(packed),
    "capacity": lambda packed: tuple(Rung(*rung) for rung in packed),
    "parameters": lambda packed: tuple((name, _template(template)) for name, template in packed),
    "set": lambda packed: None if packed is None else SetCondition(*packed),
    "expect": lambda packed: None if packed is None else Expectation(*packed),
}


def unpack(packed: tuple[Any, ...]) -> Route:
    """Make a route of its packed fields, which are in the order of `Route`."""
    fields = zip(Route._fields, packed, strict=True)
    return Route(*(UNPACK[name](value) if name in UNPACK else value for name, value in fields))
