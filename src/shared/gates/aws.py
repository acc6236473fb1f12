"""The clients for S3 and Step Functions, and the meaning of their errors: whether a retry can help, and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3  # noqa: TID251 - this is the place that makes clients
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, ParamValidationError
from botocore.exceptions import ConnectionError as NotConnectedError

from shared.domain.errors import CallError, Cause, PermanentCallError, RetryableCallError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

# In seconds. The worst case of a live arrival's call is three attempts of 1 + 3, and two pauses of 6 and 7 for S3.
# tests/unit/test_time_limits.py compares the sum of all calls of an invocation with the function's timeout.
CONNECT_TIMEOUT = 1
READ_TIMEOUT = 3
ATTEMPTS = 3
# botocore makes a new one for each request, which costs more than parsing the event.
USER_AGENT = "file-arrival-trigger"

DENIED = frozenset({"403", "AccessDenied", "AccessDeniedException", "Forbidden", "KmsAccessDeniedException"})
THROTTLED = frozenset(
    {
        "503",
        "ConditionalRequestConflict",
        "ExecutionLimitExceeded",
        "KmsThrottlingException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)
# The runtime renews its credentials itself; the next attempt has fresh ones.
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "UnrecognizedClientException"})
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


def make_s3(attempts: int = ATTEMPTS) -> "S3Client":
    """Make the client for S3, once in an execution environment; credentials and region are the runtime's own."""
    return boto3.client("s3", config=_config(attempts))


def make_sfn(attempts: int = ATTEMPTS) -> "SFNClient":
    """Make the client for Step Functions, in the same way."""
    return boto3.client("stepfunctions", config=_config(attempts))


def _config(attempts: int) -> Config:
    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent=USER_AGENT,
    )


@contextmanager
def call(operation: str, subject: str, denied: type[RetryableCallError] = RetryableCallError) -> Iterator[None]:
    """Turn any error of botocore inside into one of our errors, with the call, the object, and the remedy.

    `denied` is the error to raise if the call is not allowed.
    Raises PermanentCallError or RetryableCallError.
    """
    try:
        yield
    except ClientError as error:
        raise _from_response(operation, subject, error, denied) from error
    except (HTTPClientError, NotConnectedError) as error:
        message = f"{operation} on {subject}: no answer ({error}); a later try can succeed."
        raise RetryableCallError(message, Cause.TIMEOUT) from error
    except NoCredentialsError as error:
        message = f"{operation} on {subject}: no credentials. Give the function a role, or set AWS_ACCESS_KEY_ID."
        raise RetryableCallError(message, Cause.ACCESS_DENIED) from error
    except ParamValidationError as error:
        raise PermanentCallError(f"{operation} on {subject}: {error}.", Cause.REFUSED) from error
    except BotoCoreError as error:
        message = f"{operation} on {subject}: {error}; a later try can succeed."
        raise RetryableCallError(message, Cause.SERVICE_ERROR) from error


def code_of(error: ClientError) -> str:
    """Return the error code; a HEAD has no body, so there it is the HTTP status."""
    return error.response.get("Error", {}).get("Code", "")


def _from_response(operation: str, subject: str, error: ClientError, denied: type[RetryableCallError]) -> CallError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{operation} on {subject}: {code} {error.response.get('Error', {}).get('Message', '')}".rstrip()
    if code in DENIED:
        return denied(f"{said}. Check the function's role and the bucket's policy.", Cause.ACCESS_DENIED)
    if code in EXPIRED:
        return RetryableCallError(f"{said}. The credentials ran out; a later try can succeed.", Cause.ACCESS_DENIED)
    if code in THROTTLED or status == TOO_MANY_REQUESTS:
        return RetryableCallError(f"{said}. Too many calls at once; a later try can succeed.", Cause.THROTTLED)
    if status >= SERVER_ERROR:
        return RetryableCallError(f"{said}. The service has a fault; a later try can succeed.", Cause.SERVICE_ERROR)
    return PermanentCallError(f"{said}. Trying again will not help; see docs/runbook.md.", Cause.REFUSED)
