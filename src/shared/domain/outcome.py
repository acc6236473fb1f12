"""The outcomes of an arrival that doesn't fail."""

from typing import NamedTuple

from shared.domain.arrival import Skip


class _InExecution(NamedTuple):
    """The arrival is in this execution; `route` is the name of the route file that took its key."""

    execution_arn: str
    route: str | None = None

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same outcome: two of the three classes are never equal."""
        return type(self) is type(other) and tuple.__eq__(self, other)

    def __hash__(self) -> int:
        """Return a hash of the compared values."""
        return hash((type(self), *self))


class Started(_InExecution):
    """This arrival started the execution."""

    __slots__ = ()


class Duplicate(_InExecution):
    """The execution had been started before, by another announcement of the same upload."""

    __slots__ = ()


class Coalesced(_InExecution):
    """This arrival is gathered with others, by an execution of the window machine that another arrival started."""

    __slots__ = ()


class Waiting(NamedTuple):
    """The arrival's set is incomplete; its files are keys if the set needs one of each, otherwise whole numbers."""

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
