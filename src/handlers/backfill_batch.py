"""A batch of listed objects: make the decision of a live event on each."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shared.arrival import ObjectCreated, Skip
from shared.aws import make_s3, make_sfn
from shared.backfill import Request, read_batch, run_batch
from shared.decide import plan_for, start_for
from shared.outcome import Duplicate, Outcome, Started
from shared.settings import stack_route, trace_header
from shared.step_functions import has_started
from shared.telemetry import make_logger, make_metrics, report_backfill

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
# Nobody waits for a backfill, and live arrivals go first: be patient with throttling.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Start what was missed, or in a dry run find what would be; the answer names the keys by outcome."""
    return asdict(run_batch(read_batch(event), stack_route(), decide))


def decide(created: ObjectCreated, request: Request) -> Outcome:
    """Decide on one object by the code that decides on live events."""
    decision = plan_for(s3, created, stack_route(), request.reprocess)
    if request.dry_run and not isinstance(decision, Skip):
        return Duplicate(decision.arn) if has_started(sfn, decision) else Started(decision.arn)
    outcome = start_for(sfn, decision, trace_header())
    report_backfill(logger, metrics, created, outcome, request.reprocess)
    return outcome
