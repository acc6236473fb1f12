"""How tests wait for what comes by itself."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], patience: float, pause: float = 0.1) -> None:
    """Wait until something holds, or fail after that many seconds; look again after `pause`."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
