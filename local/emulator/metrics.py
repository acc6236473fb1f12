"""Metrics that functions write into their log in Embedded Metric Format.

AWS: CloudWatch makes metrics of such lines, one for each set of dimensions.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

ministack: leaves them in the log.
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch, lambda_svc

from local.emulator import seams
from local.emulator.aws import Json


@seams.replaces(lambda_svc, "_emit_lambda_logs")
def emit_lambda_logs(
    original: Callable[..., None], function: Json, request_id: str, log: str, *more: Any, **options: Any
) -> None:
    """Write the log, and make metrics of the lines that hold some."""
    original(function, request_id, log, *more, **options)
    for line in log.splitlines():
        if line.startswith("{") and '"_aws"' in line:
            _store(json.loads(line))


def _store(line: Json) -> None:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: line[name] for name in names}
            for metric in directive["Metrics"]:
                values = line[metric["Name"]]
                for value in values if isinstance(values, list) else [values]:
                    cloudwatch._store_datum(
                        directive["Namespace"],
                        metric["Name"],
                        dimensions,
                        line["_aws"]["Timestamp"] / 1000,
                        metric.get("Unit", "None"),
                        value,
                        None,
                        None,
                        None,
                    )
