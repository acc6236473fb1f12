"""Look again for the data of an open incident."""

from typing import TYPE_CHECKING

from shared.domain.expectations import arrived_message, is_expected, parse_due
from shared.gates.aws import make_s3
from shared.gates.expected import when_arrived
from shared.gates.settings import this_stack

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

# Nobody waits for it, and the machine looks again anyway.
s3 = make_s3(attempts=8)


def handler(event: object, _context: "LambdaContext") -> dict[str, str]:
    """Return `missing`, `arrived` with the message, or `not_expected` if the route has no deadlines any more."""
    due, stack = parse_due(event), this_stack()
    route = next((one for one in stack.table.routes if one.name == due.route and is_expected(one)), None)
    if route is None:
        return {"state": "not_expected"}
    arrived = when_arrived(s3, stack, route, due)
    if arrived is None:
        return {"state": "missing"}
    subject, message = arrived_message(due, arrived, stack)
    return {"state": "arrived", "arrived_at": arrived.isoformat(), "subject": subject, "message": message}
