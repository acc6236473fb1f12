"""Complete the request of a backfill, or say why it can't run."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.domain.backfill import read_request
from shared.gates.aws import make_s3
from shared.gates.s3 import check_bucket
from shared.gates.settings import this_stack

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


s3 = make_s3()


def handler(event: object, _context: "LambdaContext") -> dict[str, Any]:
    """Complete the request; if it is malformed, or the bucket is out of reach, the error names the remedy."""
    stack = this_stack()
    request = read_request(event, stack, datetime.now(UTC))
    check_bucket(s3, stack.source_bucket_name, stack.account_id)
    return request.model_dump(mode="json")
