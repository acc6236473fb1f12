"""The facts about a key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain.arrival import Skip, StoredObject
from shared.domain.errors import ArrivalError
from shared.domain.outcome import Waiting
from shared.domain.plan import Execution
from shared.domain.windows import Generation
from tools.deployed import Deployed
from tools.failure_queue import Look, Message


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload, the product's own plan for it, and the execution of that name, if there is one."""

    stored: StoredObject
    # An error: the one with which the event of such a key fails.
    planned: Execution | Skip | Waiting | ArrivalError
    execution: dict[str, Any] | None
    # With windows, the generation that gathered it: the plan is the run on its manifest, or the window if none is
    # stored.
    window: Generation[Any] | None = None
    manifest: str | None = None
    # With sets, each member with the time since which it is there (None: missing).
    members: tuple[tuple[str, datetime | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A log line about the key; `what` is a word such as `failed`, with the event's source."""

    when: str
    what: str
    version_id: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts about a key; the newest upload is first, the newest log line last."""

    deployed: Deployed
    key: str
    missing: str
    uploads: list[Upload]
    log: list[Line]
    failures: list[Message]
    queue: Look
