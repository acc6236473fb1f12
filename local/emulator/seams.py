"""The private names of ministack that this package replaces.

They are private, so any release may move them: the version is pinned exactly, and the server does not start if one of
them is missing. A replacement gets the original as its first argument, so it can call it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from types import ModuleType
from typing import Any

MINISTACK_VERSION = "1.5.33"


class SeamError(RuntimeError):
    """This is not the ministack that the package was written for."""


@dataclass(frozen=True, slots=True)
class Seam:
    """A name in a ministack module, or of a class in it, and its replacement.

    With a key the name is that of a table, which gets an entry. The replacement of a constant is a value.
    """

    owner: ModuleType | type
    name: str
    replacement: Any
    key: str | None = None

    def __str__(self) -> str:
        """Return the dotted name."""
        owner = (
            f"{self.owner.__module__}.{self.owner.__name__}" if isinstance(self.owner, type) else self.owner.__name__
        )
        return f"{owner}.{self.name}" + (f"[{self.key!r}]" if self.key else "")


_seams: list[Seam] = []


def replaces[**P, R](owner: ModuleType | type, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Note that the decorated function replaces a name of ministack's, once `apply` is called."""

    def note(replacement: Callable[P, R]) -> Callable[P, R]:
        _seams.append(Seam(owner, name, replacement))
        return replacement

    return note


def adds[T](owner: ModuleType, name: str, key: str, entry: T) -> T:
    """Note an entry for one of ministack's tables."""
    _seams.append(Seam(owner, name, entry, key))
    return entry


def sets(owner: ModuleType, name: str, value: object) -> None:
    """Note another value for one of ministack's constants."""
    _seams.append(Seam(owner, name, value))


def check() -> list[Seam]:
    """Return the seams, or raise an error that names the differences from the expected ministack."""
    installed = version("ministack")
    if installed != MINISTACK_VERSION:
        raise SeamError(f"ministack {installed} is installed, but this package extends exactly {MINISTACK_VERSION}")
    missing = [str(seam) for seam in _seams if not hasattr(seam.owner, seam.name)]
    if missing:
        raise SeamError(f"ministack {installed} has no {', '.join(missing)}")
    return _seams


def apply() -> None:
    """Put every replacement in its place; they stack, the last one noted is the outermost."""
    for seam in check():
        original = getattr(seam.owner, seam.name)
        if seam.key is not None:
            original[seam.key] = seam.replacement
            continue
        replacement = _bound(seam.replacement, original) if callable(original) else seam.replacement
        setattr(seam.owner, seam.name, replacement)


def _bound(replacement: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def bound(*args: Any, **kwargs: Any) -> Any:
        return replacement(original, *args, **kwargs)

    return bound
