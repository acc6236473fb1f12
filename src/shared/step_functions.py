"""The gate to Step Functions: the name is the idempotency key, and the service itself enforces it."""

import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.aws import call, code_of
from shared.outcome import Duplicate, Started

if TYPE_CHECKING:
    from types_boto3_stepfunctions import SFNClient

    from shared.plan import Execution

# Seconds that this clock may differ from the service's. Two deliveries closer than that, or one that comes while the
# other's call is still tried again, may both be counted as started; the execution is one all the same.
CLOCK_TOLERANCE = 0.1


def start_execution(sfn: "SFNClient", execution: "Execution", trace_header: str | None) -> Started | Duplicate:
    """Start the execution unless its name is taken.

    While an execution runs, a second start with the same name and input is answered with the first one's ARN and start
    date instead of an error; a start date well before the request tells the two apart.
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
                return Duplicate(execution.arn)
            raise
    if answer["startDate"].timestamp() < requested - CLOCK_TOLERANCE:
        return Duplicate(answer["executionArn"])
    return Started(answer["executionArn"])


def has_started(sfn: "SFNClient", execution: "Execution") -> bool:
    """Return whether an execution of this name exists, without starting one.

    Raises PermanentCallError or RetryableCallError.
    """
    with call("DescribeExecution", execution.arn):
        try:
            sfn.describe_execution(executionArn=execution.arn, includedData="METADATA_ONLY")
        except ClientError as error:
            if code_of(error) == "ExecutionDoesNotExist":
                return False
            raise
    return True
