"""The clients for S3 and Step Functions, and one reading of how their calls fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, ParamValidationError
from botocore.exceptions import ConnectionError as NotConnectedError
from botocore.utils import parse_timestamp

from shared.errors import CallError, CallRefusedError, CallUnansweredError, Cause

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient

# Seconds. Worst case of a live arrival's call: three attempts of 1 + 3, and two pauses of at most 1 and 2. A test holds
# the sum of all calls of an invocation against the function's timeout.
CONNECT_TIMEOUT = 1
READ_TIMEOUT = 3
ATTEMPTS = 3
# botocore composes its own anew for each request, which costs more than parsing the event.
USER_AGENT = "file-arrival-trigger"

DENIED = frozenset({"403", "AccessDenied", "AccessDeniedException", "Forbidden", "KmsAccessDeniedException"})
THROTTLED = frozenset(
    {"503", "ExecutionLimitExceeded", "KmsThrottlingException", "SlowDown", "Throttling", "ThrottlingException"}
)
# The runtime renews its credentials by itself; the next attempt has fresh ones.
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "UnrecognizedClientException"})
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500


def connect(attempts: int = ATTEMPTS) -> "tuple[S3Client, SFNClient]":
    """Make the two clients, once an execution environment; credentials and region are the runtime's own."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent=USER_AGENT,
    )
    session = botocore.session.get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_timestamp)
    make = session.create_client
    return cast("S3Client", make("s3", config=config)), cast("SFNClient", make("stepfunctions", config=config))


def read_timestamp(value: float | str) -> datetime:
    """Read the two forms these services answer in; botocore tries five others first, for 6 % more instructions an event."""
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return parsedate_to_datetime(value) if value.endswith("GMT") else parse_timestamp(value)


@contextmanager
def call(operation: str, subject: str) -> Iterator[None]:
    """Turn whatever botocore raises inside into one of our errors, with what failed, on what, and what to do.

    Raises CallRefusedError or CallUnansweredError.
    """
    try:
        yield
    except ClientError as error:
        raise _from_response(operation, subject, error) from error
    except (HTTPClientError, NotConnectedError) as error:
        message = f"{operation} on {subject}: no answer ({error}). Lambda tries again."
        raise CallUnansweredError(message, Cause.TIMEOUT) from error
    except NoCredentialsError as error:
        message = f"{operation} on {subject}: no credentials. Give the function a role, or set AWS_ACCESS_KEY_ID."
        raise CallUnansweredError(message, Cause.ACCESS_DENIED) from error
    except ParamValidationError as error:
        raise CallRefusedError(f"{operation} on {subject}: {error}.", Cause.REFUSED) from error
    except BotoCoreError as error:
        message = f"{operation} on {subject}: {error}. Lambda tries again."
        raise CallUnansweredError(message, Cause.SERVICE_ERROR) from error


def code_of(error: ClientError) -> str:
    """Give the error code; a HEAD has no body, so there it is the HTTP status."""
    return error.response.get("Error", {}).get("Code", "")


def _from_response(operation: str, subject: str, error: ClientError) -> CallError:
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{operation} on {subject}: {code} {error.response.get('Error', {}).get('Message', '')}".rstrip()
    if code in DENIED:
        return CallUnansweredError(f"{said}. Check the function's role and the bucket's policy.", Cause.ACCESS_DENIED)
    if code in EXPIRED:
        return CallUnansweredError(f"{said}. The credentials ran out; Lambda tries again.", Cause.ACCESS_DENIED)
    if code in THROTTLED or status == TOO_MANY_REQUESTS:
        return CallUnansweredError(f"{said}. Too many calls at once; Lambda tries again.", Cause.THROTTLED)
    if status >= SERVER_ERROR:
        return CallUnansweredError(f"{said}. The service is ill; Lambda tries again.", Cause.SERVICE_ERROR)
    return CallRefusedError(f"{said}. Trying again will not help; see docs/runbook.md.", Cause.REFUSED)
