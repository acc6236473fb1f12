"""Metrics that functions write into their log.

AWS: a log line in Embedded Metric Format becomes metrics, once for each of its dimension sets.
ministack: keeps it as a log line.
"""

from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch, lambda_svc

from local.emulator import seams
from local.emulator.aws import Json
from local.emulator.functions import decoded


@seams.replaces(lambda_svc, "_emit_lambda_logs")
def emit_lambda_logs(
    original: Callable[..., None], function: Json, request_id: str, log_text: str, *rest: Any, **named: Any
) -> None:
    """Read the metrics out of the lines that go to CloudWatch Logs."""
    original(function, request_id, log_text, *rest, **named)
    for line in log_text.splitlines():
        embedded = decoded(line)
        if embedded and "_aws" in embedded:
            _record(embedded)


def _record(embedded: Json) -> None:
    """Record what the line holds; like AWS, skip what does not fit together."""
    directives = embedded["_aws"].get("CloudWatchMetrics", []) if isinstance(embedded["_aws"], dict) else []
    for directive in directives:
        complete = [names for names in directive["Dimensions"] if all(name in embedded for name in names)]
        for metric in directive["Metrics"]:
            values = embedded.get(metric["Name"], [])
            for value in values if isinstance(values, list) else [values]:
                for names in complete:
                    dimensions = {name: str(embedded[name]) for name in names}
                    cloudwatch.record_metric(
                        directive["Namespace"], metric["Name"], value, metric.get("Unit", "None"), dimensions
                    )
