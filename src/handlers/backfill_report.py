"""Add up the results of a backfill after its last batch."""

from typing import TYPE_CHECKING, Any

from shared.domain.backfill import report
from shared.gates.aws import make_s3
from shared.gates.s3 import read_map_results

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

s3 = make_s3(attempts=8)


def handler(event: dict[str, Any], _context: "LambdaContext") -> dict[str, Any]:
    """Read the Map Run's results and report the sums; the results of each object stay in S3."""
    return report(event["request"], read_map_results(s3, event["batches"]))
