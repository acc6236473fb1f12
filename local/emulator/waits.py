"""Waits until a moment.

AWS: a Wait until a timestamp ends at that moment, and Step Functions cuts the timestamp to whole seconds.

ministack: scales the remaining time as it does durations (SFN_WAIT_SCALE), so the Wait ends before its moment.
Arrivals rely on the moment until which the window machine waits:
https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ministack.services import stepfunctions

from local.emulator import seams


@seams.replaces(stepfunctions, "_sleep_until")
def sleep_until(_original: Callable[[str], None], timestamp: str) -> None:
    """Sleep until the whole second of a timestamp, without the scale of durations."""
    moment = datetime.fromisoformat(timestamp).replace(microsecond=0)
    time.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
