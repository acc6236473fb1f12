"""A batch of listed objects: make the decision of a live event on each."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shared.arrival import ObjectCreated
from shared.aws import make_s3, make_sfn
from shared.backfill import Request, read_batch, run_batch
from shared.decide import WindowGates, foresee_for, plan_for, start_for
from shared.outcome import Outcome
from shared.settings import stack_route, trace_header
from shared.telemetry import make_logger, make_metrics, report_backfill
from shared.windows import Memory

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
# Nobody waits for a backfill, and live arrivals go first: be patient with throttling.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)
windows = WindowGates(s3, Memory())


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Start what was missed, or in a dry run find what would be; the answer names the keys by outcome."""
    return asdict(run_batch(read_batch(event), stack_route(), decide))


def decide(created: ObjectCreated, request: Request) -> Outcome:
    """Decide on one object by the code that decides on live events."""
    decision = plan_for(s3, created, stack_route(), request.reprocess)
    if request.dry_run:
        return foresee_for(sfn, decision, windows)
    outcome = start_for(sfn, decision, trace_header(), windows)
    report_backfill(logger, metrics, created, outcome, request.reprocess)
    return outcome
