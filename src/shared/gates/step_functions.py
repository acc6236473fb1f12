"""The gate to Step Functions: the name is the idempotency key, and the service itself enforces it."""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.domain.memory import Opened
from shared.gates.aws import call, code_of

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

    from shared.domain.plan import Execution

# The seconds by which this clock may differ from the service's. Two deliveries closer than that, or one that comes
# during a retry of the other's call, may both be counted as started; there is still only one execution.
CLOCK_TOLERANCE = 0.1


def start_execution(sfn: "SFNClient", trace_header: str | None, execution: "Execution") -> Opened | None:
    """Start the execution, or find it running; None if its name is taken by another input or an ended execution.

    While an execution runs, a second start with the same name and input returns the first one's ARN and start date, not
    an error. A start date well before the request shows that it is a second start.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    Raises PermanentCallError or RetryableCallError.
    """
    trace = {"traceHeader": trace_header} if trace_header else {}
    requested = time.time()
    with call("StartExecution", execution.arn):
        try:
            answer = sfn.start_execution(
                stateMachineArn=execution.state_machine_arn,
                name=execution.name,
                input=execution.input,
                **trace,
            )
        except ClientError as error:
            if code_of(error) == "ExecutionAlreadyExists":
                return None
            raise
    start_date = answer["startDate"].timestamp()
    return Opened(start_date, start_date >= requested - CLOCK_TOLERANCE)


def read_start_date(sfn: "SFNClient", execution: "Execution") -> float | None:
    """Return the start date of the execution of this name, in seconds since 1970; None if there is none.

    Raises PermanentCallError or RetryableCallError.
    """
    with call("DescribeExecution", execution.arn):
        try:
            described = sfn.describe_execution(executionArn=execution.arn, includedData="METADATA_ONLY")
        except ClientError as error:
            if code_of(error) == "ExecutionDoesNotExist":
                return None
            raise
    return described["startDate"].timestamp()
