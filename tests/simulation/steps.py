"""Plain code, run call by call: between any two calls of one process anything else may happen.

A process is run again and again from its beginning, with the answers it had so far, until it makes a call without one.
That call is made and its answer is noted. So the code needs no `yield`, and to stop it is to run it no more.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

type Steps = Generator[float, None, Any]
"""Whatever takes time: it yields the seconds until the world should go on with it."""


class Next(BaseException):
    """No error: the process has made a call that has no answer yet."""

    def __init__(self, operation: str, effect: Callable[[], Any]) -> None:
        self.operation, self.effect = operation, effect


@dataclass
class Answers:
    """What the calls of a process were answered."""

    given: list[tuple[Any, Exception | None]] = field(default_factory=list)
    next: int = 0

    def call(self, operation: str, effect: Callable[[], Any]) -> Any:
        if self.next == len(self.given):
            raise Next(operation, effect)
        answer, error = self.given[self.next]
        self.next += 1
        if error:
            raise error.with_traceback(None)
        return answer

    def look(self, effect: Callable[[], float]) -> float:
        """Look at something that is at hand, as a clock: it takes no time and never fails."""
        if self.next == len(self.given):
            self.given.append((effect(), None))
        return float(self.call("", effect))


def in_steps(body: Callable[[Answers], Any], make: Callable[[str, Callable[[], Any]], Steps]) -> Steps:
    """Run a function call by call, and return what it returns.

    `make` makes one call: what it raises, the function meets. A BaseException that is no Exception ends the process.
    """
    answers = Answers()
    while True:
        answers.next = 0
        try:
            return body(answers)
        except Next as waiting:
            operation, effect = waiting.operation, waiting.effect
        try:
            answers.given.append(((yield from make(operation, effect)), None))
        except Exception as error:  # noqa: BLE001 - the process is to meet whatever it is
            answers.given.append((None, error))
