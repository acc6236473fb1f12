"""How an arrival ends when it doesn't fail."""

from dataclasses import dataclass
from typing import NamedTuple

from shared.domain.arrival import Skip


@dataclass(frozen=True, slots=True)
class Started:
    """This arrival started the execution; `route` is the name of the route file that took its key."""

    execution_arn: str
    route: str | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The execution had been started before, by another announcement of the same upload."""

    execution_arn: str
    route: str | None = None


@dataclass(frozen=True, slots=True)
class Coalesced:
    """This arrival is gathered with others, by an execution of the window machine that another one started."""

    execution_arn: str
    route: str | None = None


class Waiting(NamedTuple):
    """The set that this arrival belongs to is incomplete: keys where one of each is wanted, otherwise whole numbers."""

    present: list[str] | int
    missing: list[str] | int
    route: str

    @property
    def reason(self) -> str:
        """The word for it, as of a skip."""
        return "incomplete_set"


type Outcome = Started | Duplicate | Coalesced | Waiting | Skip


def as_response(outcome: Outcome) -> dict[str, str | None]:
    """Write an outcome as the function's answer."""
    match outcome:
        case Started(arn):
            return {"outcome": "started", "reason": None, "execution_arn": arn}
        case Duplicate(arn):
            return {"outcome": "duplicate", "reason": None, "execution_arn": arn}
        case Coalesced(arn):
            return {"outcome": "coalesced", "reason": None, "execution_arn": arn}
        case Waiting():
            return {"outcome": "waiting", "reason": outcome.reason, "execution_arn": None}
        case Skip(reason):
            return {"outcome": "skipped", "reason": reason.value, "execution_arn": None}
