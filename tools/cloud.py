"""The profile, region, endpoint and stack of a command, and the messages of failed calls."""

from dataclasses import dataclass
from functools import cache
from shlex import quote
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from artifact.route_files import RouteFileError
from shared.domain.errors import ArrivalError
from shared.gates.aws import DENIED, EXPIRED, code_of

STACK = "glueworkshop"
# In seconds; a person waits for the answer.
CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})


class NotKnownError(Exception):
    """There is no answer; the message says why, and what to do."""


@dataclass(frozen=True)
class Cloud:
    """The account, region and stack that a command is about."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    # Empty if none was named and none is needed.
    stack: str = STACK

    @property
    def session(self) -> boto3.Session:
        """The session, made at the first call: without a call no profile is needed."""
        return _session(self.profile, self.region)

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        return _client(self.session, service, self.endpoint_url)

    @property
    def options(self) -> str:
        """Return ` --stack NAME` and the like, so that advised commands ask the same stack of the same account."""
        said = {
            "profile": self.profile,
            "region": self.region,
            "endpoint-url": self.endpoint_url,
            "stack": "" if self.stack == STACK else self.stack,
        }
        return "".join(f" --{name} {quote(value)}" for name, value in said.items() if value)


@cache
def _session(profile: str | None, region: str | None) -> boto3.Session:
    return boto3.Session(profile_name=profile, region_name=region)


@cache
def _client(session: boto3.Session, service: str, endpoint_url: str | None) -> Any:
    return session.client(service, endpoint_url=endpoint_url, config=CONFIG)  # type: ignore[call-overload]


# The errors with a message of one line and no traceback; every other error is a bug.
UNANSWERED = (NotKnownError, ArrivalError, RouteFileError, BotoCoreError, ClientError)


def in_words(error: Exception) -> str:
    """Return the reason why there is no answer, and the remedy."""
    match error:
        case NoCredentialsError():
            return "No credentials: log in, or give --profile or AWS_PROFILE."
        case NoRegionError():
            return "No region: give --region or AWS_REGION, or a profile that has one."
        case ClientError() if code_of(error) in DENIED:
            return f"Not allowed: {error}. docs/command.md has the permissions that each command needs."
        case ClientError() if code_of(error) in EXPIRED | {"InvalidClientTokenId"}:
            return f"The credentials are no longer valid, or never were: log in again. {error}"
        case BotoCoreError() | ClientError():
            return f"AWS did not answer: {error}"
    return str(error)
