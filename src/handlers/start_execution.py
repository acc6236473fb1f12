"""An object was created: start its workflow, exactly once, or say why not."""

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.arrival import Skip
from shared.aws import make_s3, make_sfn
from shared.decide import WindowGates, plan_for, start_for
from shared.errors import SettingsError
from shared.outcome import as_response
from shared.parse import parse_announcement, read_announcement
from shared.settings import stack_route, trace_header
from shared.telemetry import make_logger, make_metrics, report_failure, report_outcome, report_unreachable
from shared.windows import Memory

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
s3, sfn = make_s3(), make_sfn()
windows = WindowGates(s3, Memory())
with suppress(SettingsError):  # a wrong environment is the handler's to tell
    report_unreachable(logger, metrics, stack_route())


def handler(event: object, context: "LambdaContext") -> dict[str, str | None]:
    """Parse, plan, start; whatever is raised reaches the failure queue once Lambda has tried three times."""
    announcement = read_announcement(event)
    try:
        created = parse_announcement(announcement)
        decision = created if isinstance(created, Skip) else plan_for(s3, created, stack_route())
        outcome = start_for(sfn, decision, trace_header(), windows)
    except Exception as error:
        report_failure(logger, metrics, announcement, context, error)
        raise
    report_outcome(logger, metrics, announcement, context, outcome)
    return as_response(outcome)
