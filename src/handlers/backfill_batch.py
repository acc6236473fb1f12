"""A batch of listed objects: make the decision of a live event on each."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shared.domain.arrival import ObjectCreated
from shared.domain.backfill import Request, read_batch, run_batch
from shared.domain.outcome import Outcome
from shared.domain.start import foresee, plan_arrival, start
from shared.gates.aws import make_s3, make_sfn
from shared.gates.real import make_gates
from shared.gates.settings import this_stack
from shared.gates.telemetry import make_logger, make_metrics, report_backfill

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
# Nobody waits for a backfill, and live arrivals go first: be patient with throttling.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)
gates = make_gates(s3, sfn)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Start what was missed, or in a dry run find what would be; the answer names the keys by outcome."""
    return asdict(run_batch(read_batch(event), this_stack(), handle))


def handle(created: ObjectCreated, request: Request) -> Outcome:
    """Handle one object by the code that handles live events."""
    planned = plan_arrival(gates, created, this_stack(), request.reprocess)
    if request.dry_run:
        return foresee(gates, planned)
    outcome = start(gates, planned)
    report_backfill(logger, metrics, created, outcome, request.reprocess)
    return outcome
