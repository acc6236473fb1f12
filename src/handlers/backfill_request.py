"""A backfill was asked for: say exactly what it will do, or why it can't."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.backfill import read_request
from shared.settings import read_route

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

route = read_route()


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Fill in what the request leaves open; a malformed one fails the execution with what to mend."""
    return read_request(event, route, datetime.now(UTC)).model_dump(mode="json")
