"""The real clients, with the models that the artifact holds, and answers put in at the last step before the network.

Only they can show what the client makes of an answer or an error, its retries included, without a server.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader

from artifact import build
from shared.gates.aws import make_s3, make_sfn

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


@cache
def clients() -> "tuple[S3Client, SFNClient]":
    """Make the clients as the functions do, once for all tests."""
    load = Loader.load_service_model

    def cut(loader: Loader, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        model = load(loader, service_name, type_name, api_version)
        return build.with_only(dict(model), build.OPERATIONS[service_name]) if type_name == "service-2" else model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "load_service_model", cut)
        # boto3's session keeps the models it has read: this one is for these two clients only.
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        return make_s3(), make_sfn()


class Wire:
    """Both real clients; each request is answered with the next of the answers, the last for good."""

    def __init__(self, *answers: AWSResponse | Exception) -> None:
        """Take what comes over the wire."""
        self.requests: list[Any] = []
        self.answers = answers
        self.s3, self.sfn = clients()
        for events in (self.s3.meta.events, self.sfn.meta.events):
            events.unregister("before-send", unique_id="wire")
            events.register("before-send", self._answer, unique_id="wire")

    def _answer(self, request: Any, **_: object) -> Any:
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Raw:
    """A body that is read once."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.body


def answer(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> AWSResponse:
    """Make an HTTP answer."""
    make: Callable[..., AWSResponse] = AWSResponse
    return make("https://aws.invalid", status, dict(headers or {}), _Raw(body.encode()))


def judged(code: str, message: str = "", status: int = 400) -> AWSResponse:
    """Make an answer in which Step Functions refuses a call."""
    return answer(
        status, f'{{"__type":"{code}","message":"{message}"}}', {"content-type": "application/x-amz-json-1.0"}
    )
