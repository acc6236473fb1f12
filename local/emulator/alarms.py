"""Alarms, and the depth of queues, which they most often watch.

AWS: an alarm watches one metric under exactly its dimensions, period by period; missing data counts as the alarm says.
Alarms are looked at all the time. SQS reports how many messages wait in each queue, and the age of the oldest.

ministack: mixes all dimensions of a metric into one, ignores missing data, looks only when somebody sends a metric, has
no metrics of queues, and refuses a template whose alarm has metric math.

Metric math is stored and described, not calculated: such an alarm stays at `INSUFFICIENT_DATA`. Periods end now instead
of at a full minute.
"""

import contextlib
import operator
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import set_request_account_id, set_request_region
from ministack.services import cloudwatch, sqs
from ministack.services.cloudformation import provisioners

from local.emulator import seams, settings
from local.emulator.aws import Json

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanOrEqualToThreshold": operator.le,
    "LessThanThreshold": operator.lt,
}
OF_ONE_METRIC = {"MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions", "Unit"}
# A value that does not change is recorded this often, in seconds.
UNCHANGED = 30


@seams.replaces(cloudwatch, "_evaluate_alarm")
def evaluate_alarm(_original: object, alarm: Json) -> None:
    """Set the state that the alarm's last periods ask for."""
    if not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in COMPARISONS:
        return
    breaching = _breaching(alarm)
    needed = int(alarm.get("DatapointsToAlarm") or len(breaching))
    missing = alarm.get("TreatMissingData") or "missing"
    if missing in {"breaching", "notBreaching"}:
        breaching = [missing == "breaching" if one is None else one for one in breaching]
    if breaching.count(True) >= needed:
        _turn(alarm, "ALARM", breaching)
    elif any(one is not None for one in breaching):
        _turn(alarm, "OK", breaching)
    elif missing == "missing":
        _turn(alarm, "INSUFFICIENT_DATA", breaching)


def _breaching(alarm: Json) -> list[bool | None]:
    """Say for each period, the latest first, whether it breaches the threshold; None without data."""
    dimensions = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
    points: list[Json] = list(cloudwatch._metrics.get((alarm["Namespace"], alarm["MetricName"], dimensions)) or [])
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    now, period = time.time(), int(alarm.get("Period") or 60)
    periods: list[list[Json]] = [[] for _ in range(int(alarm.get("EvaluationPeriods") or 1))]
    for point in points:
        ago = max(0, int((now - point["Timestamp"]) // period))
        if ago < len(periods):
            periods[ago].append(point)
    values = [
        cloudwatch._stat_value(cloudwatch._calc_stats(some), statistic, some) if some else None for some in periods
    ]
    return [None if value is None else breaches(value, float(alarm["Threshold"])) for value in values]


def _turn(alarm: Json, state: str, breaching: list[bool | None]) -> None:
    before = alarm["StateValue"]
    if before == state:
        return
    crossed = (
        f"{breaching.count(True)} of the last {len(breaching)} datapoints breach the threshold {alarm['Threshold']}"
    )
    alarm.update(StateValue=state, StateReason=f"Threshold Crossed: {crossed}", StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, alarm["StateReason"])
    cloudwatch._dispatch_alarm_actions(alarm, before, state, alarm["StateReason"])
    cloudwatch._evaluate_parent_alarms(alarm)


@seams.replaces(provisioners, "_cw_metric_alarm_record")
def alarm_record(original: Callable[[str, Json], Json], name: str, props: Json) -> Json:
    """Let metric math through."""
    if not props.get("Metrics"):
        return original(name, props)
    record = original(name, {**props, "Metrics": None, "MetricName": "-", "Namespace": "-"})
    kept = {member: value for member, value in record.items() if member not in OF_ONE_METRIC}
    return kept | {"Metrics": props["Metrics"]}


def watch() -> None:
    """Look at queues and alarms from now on."""
    threading.Thread(target=_watch, name="watch-alarms", daemon=True).start()


def _watch() -> None:
    set_request_account_id(settings.ACCOUNT)
    set_request_region(settings.REGION)
    while True:
        time.sleep(settings.number("ALARM_INTERVAL_SECONDS"))
        # A store may change while it is walked: there is another time.
        with contextlib.suppress(RuntimeError):
            for queue in sqs._queues.values():
                _measure(queue)
            cloudwatch._evaluate_all_alarms()


def _measure(queue: dict[str, Any]) -> None:
    now = time.time()
    sent = [message["sent_at"] for message in list(queue["messages"]) if message["visible_at"] <= now]
    measures = {
        "ApproximateNumberOfMessagesVisible": (len(sent), "Count"),
        "ApproximateAgeOfOldestMessage": (int(now - min(sent)) if sent else 0, "Seconds"),
    }
    for name, (value, unit) in measures.items():
        dimensions = {"QueueName": queue["name"]}
        points = cloudwatch._metrics.get(("AWS/SQS", name, cloudwatch._dims_key(dimensions)))
        if not points or points[-1]["Value"] != value or points[-1]["Timestamp"] < now - UNCHANGED:
            cloudwatch.record_metric("AWS/SQS", name, value, unit, dimensions)
