"""A backfill was asked for: settle exactly what it will do, or why it can't."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.aws import make_s3
from shared.backfill import read_request
from shared.s3 import check_bucket
from shared.settings import stack_route

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


s3 = make_s3()


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Fill in what the request leaves open; a malformed one, or a bucket out of reach, fails with what to do."""
    route = stack_route()
    request = read_request(event, route, datetime.now(UTC))
    check_bucket(s3, route.source_bucket_name, route.account_id)
    return request.model_dump(mode="json")
