"""Find the datasets that are overdue now, at each call of the schedule, and open one incident for each."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.domain.expectations import Due, Known, Overdue, check, incident
from shared.domain.routes import Route
from shared.gates.aws import make_s3, make_sfn
from shared.gates.expected import when_arrived
from shared.gates.settings import this_stack, trace_header
from shared.gates.step_functions import start_execution
from shared.gates.telemetry import make_logger, make_metrics, report_overdue

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = make_logger()
metrics = make_metrics()
s3, sfn = make_s3(), make_sfn()
known = Known()


def handler(_event: object, _context: "LambdaContext") -> dict[str, list[str]]:
    """Look at every route with deadlines; if one can't be looked at, fail after all others are done."""
    found = list(check(this_stack().table.routes, datetime.now(UTC), known, has_arrived, tell))
    overdue = [one for one in found if isinstance(one, Overdue)]
    failures = [one for one in found if isinstance(one, Exception)]
    report_overdue(logger, metrics, this_stack(), overdue, failures)
    if failures:
        raise failures[0]
    return {"overdue": [one.due.name for one in overdue]}


def has_arrived(route: Route, due: Due) -> bool:
    """Return whether the expected data has arrived."""
    return when_arrived(s3, this_stack(), route, due, enough=True) is not None


def tell(overdue: Overdue) -> None:
    """Open the incident of a route and deadline; if its name is taken, it is open already."""
    start_execution(sfn, trace_header(), incident(overdue, this_stack()))
