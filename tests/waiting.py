"""How tests wait for what comes by itself."""

import time
from collections.abc import Callable


def until(
    holds: Callable[[], object], patience: float, pause: float = 0.1, progress: Callable[[], object] | None = None
) -> None:
    """Wait until something holds, or fail after that many seconds without progress; look again after `pause`."""
    deadline, seen = time.monotonic() + patience, None
    while not holds():
        if time.monotonic() > deadline:
            now = progress() if progress else None
            assert now != seen, f"it did not happen, and nothing moved for {patience:.0f} s: {now}"
            deadline, seen = time.monotonic() + patience, now
        time.sleep(pause)
