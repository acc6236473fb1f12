"""Look at the object, decide, start: for live events and backfills alike."""

from typing import TYPE_CHECKING

from shared.arrival import ObjectCreated, Skip
from shared.outcome import Outcome
from shared.plan import Execution, Route, plan, screen
from shared.s3 import read_object
from shared.step_functions import start_execution

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


def plan_for(s3: "S3Client", created: ObjectCreated, route: Route, reprocess: str | None = None) -> Execution | Skip:
    """Look at the object and decide; the order spares S3 a call wherever the key is answer enough.

    Raises ForeignObjectError, PermanentCallError or RetryableCallError.
    """
    if skip := screen(created, route):
        return skip
    stored = read_object(s3, created)
    return stored if isinstance(stored, Skip) else plan(stored, route, reprocess)


def start_for(sfn: "SFNClient", decision: Execution | Skip, trace_header: str | None) -> Outcome:
    """Carry out a decision.

    Raises PermanentCallError or RetryableCallError.
    """
    return decision if isinstance(decision, Skip) else start_execution(sfn, decision, trace_header)
