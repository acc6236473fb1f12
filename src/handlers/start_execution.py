"""Start the workflow of a created object, exactly once, or say why not."""

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.domain.arrival import Skip
from shared.domain.errors import SettingsError
from shared.domain.outcome import as_response
from shared.domain.parse import parse_announcement, read_announcement
from shared.domain.start import plan_arrival, start
from shared.gates.aws import make_s3, make_sfn
from shared.gates.real import make_gates
from shared.gates.settings import this_stack
from shared.gates.telemetry import make_logger, make_metrics, report_failure, report_outcome, report_unreachable

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
s3, sfn = make_s3(), make_sfn()
gates = make_gates(s3, sfn)
with suppress(SettingsError):  # the handler reports a wrong environment
    report_unreachable(logger, metrics, this_stack())


def handler(event: object, context: "LambdaContext") -> dict[str, str | None]:
    """Parse, plan, start; after three failed tries Lambda sends the event to the failure queue."""
    announcement = read_announcement(event)
    try:
        created = parse_announcement(announcement)
        planned = created if isinstance(created, Skip) else plan_arrival(gates, created, this_stack())
        outcome = start(gates, planned)
    except Exception as error:
        report_failure(logger, metrics, announcement, context, error)
        raise
    report_outcome(logger, metrics, announcement, context, outcome)
    return as_response(outcome)
