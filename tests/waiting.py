"""How tests wait for what comes by itself."""

import time
from collections.abc import Callable


def until(holds: Callable[[], object], patience: float) -> None:
    """Wait until something holds, or fail after that many seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
