"""How tests wait for what comes by itself."""

import inspect
import time
from collections.abc import Callable


def until(
    holds: Callable[[], object], patience: float, pause: float = 0.1, progress: Callable[[], object] | None = None
) -> None:
    """Wait until something holds, or fail after that many seconds without progress; look again after `pause`."""
    deadline, before = time.monotonic() + patience, None
    while not (seen := holds()):
        if time.monotonic() > deadline:
            now = progress() if progress else None
            assert now != before, f"nothing moved for {patience:.0f} s; {_told(holds)}; seen last: {now or seen!r}"
            deadline, before = time.monotonic() + patience, now
        time.sleep(pause)


def _told(holds: Callable[[], object]) -> str:
    """Return what was waited for: its code, and what the names in it stood for in the end."""
    names = inspect.getclosurevars(holds).nonlocals
    values = (f"{name} = {value!r:.400}" for name, value in names.items() if not callable(value))
    return "; ".join([f"waited for:\n{inspect.getsource(holds).strip()}\nwith", *values])
