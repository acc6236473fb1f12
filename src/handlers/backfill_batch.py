"""Decide on each object of a listed batch, in the same way as for a live event."""

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
# A backfill has time, and live arrivals go first: wait longer after throttling.
s3, sfn = make_s3(attempts=8), make_sfn(attempts=8)
gates = make_gates(s3, sfn)


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Start missed uploads, or only find them in a dry run; the answer has the keys by outcome."""
    return asdict(run_batch(read_batch(event), this_stack(), handle))


def handle(created: ObjectCreated, request: Request) -> Outcome:
    """Handle one object by the code that handles live events."""
    planned = plan_arrival(gates, created, this_stack(), request.reprocess)
    if request.dry_run:
        return foresee(gates, planned)
    outcome = start(gates, planned)
    report_backfill(logger, metrics, created, outcome, request.reprocess)
    return outcome
