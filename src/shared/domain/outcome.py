"""How an arrival ends when it doesn't fail."""

from dataclasses import dataclass

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
    """This arrival is gathered into a window that another one opened; the execution is the window's."""

    execution_arn: str
    route: str | None = None


type Outcome = Started | Duplicate | Coalesced | Skip


def as_response(outcome: Outcome) -> dict[str, str | None]:
    """Write an outcome as the function's answer."""
    match outcome:
        case Started(arn):
            return {"outcome": "started", "reason": None, "execution_arn": arn}
        case Duplicate(arn):
            return {"outcome": "duplicate", "reason": None, "execution_arn": arn}
        case Coalesced(arn):
            return {"outcome": "coalesced", "reason": None, "execution_arn": arn}
        case Skip(reason):
            return {"outcome": "skipped", "reason": reason.value, "execution_arn": None}
