"""Plain code, run call by call: between any two calls of one process anything else may happen.

A process is run from its beginning with the answers it had so far, until it makes a call that has none yet. That call is then
made, its answer is noted, and the process is run again. So the code under test needs no `yield` and no `await`, and stopping
one between two calls is to run it no more.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Protocol


class Next(BaseException):
    """No error: the process has made a call that has no answer yet."""

    def __init__(self, effect: Callable[[], Any], *, instant: bool) -> None:
        self.effect = effect
        self.instant = instant


@dataclass
class Answers:
    """What the calls of a process were answered; calling it is making the next call."""

    given: list[tuple[Any, Exception | None]] = field(default_factory=list)
    next: int = 0

    def __call__[T](self, effect: Callable[[], T], *, instant: bool = False) -> T:
        """Return the answer of the next call, or raise what it raised."""
        if self.next == len(self.given):
            raise Next(effect, instant=instant)
        answer, error = self.given[self.next]
        self.next += 1
        if error:
            raise error
        return answer  # type: ignore[no-any-return]


class Call(Protocol):
    """What a gate uses to reach the world: an `instant` one, as a look at the clock, never fails and takes no time."""

    def __call__[T](self, effect: Callable[[], T], *, instant: bool = False) -> T:
        """Make a call."""
        ...


def in_steps[T](
    body: Callable[[Call], T], make: Callable[[Callable[[], Any]], Generator[float, None, Any]]
) -> Generator[float, None, T]:
    """Run a function call by call; yields the seconds until the world should go on with it, and returns what it returns.

    `make` makes one call, as a generator of the seconds it takes: what it raises, the function meets. A BaseException that is
    no Exception ends the process.
    """
    answers = Answers()
    while True:
        answers.next = 0
        try:
            return body(answers)
        except Next as waiting:
            effect, instant = waiting.effect, waiting.instant
        if instant:
            answers.given.append((effect(), None))
            continue
        try:
            answers.given.append(((yield from make(effect)), None))
        except Exception as error:  # noqa: BLE001 - the process is to meet whatever it is
            answers.given.append((None, error))
