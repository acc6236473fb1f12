"""The real clients, with the models that the artifact holds, and answers put in at the last step before the network."""

from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.loaders import Loader

from artifact import build
from shared.domain.errors import CallError, Cause, ObjectDeniedError, PermanentCallError, RetryableCallError
from shared.gates.aws import make_s3, make_sfn

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient


@cache
def clients() -> "tuple[S3Client, SFNClient]":
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


def answer(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> AWSResponse:
    make: Callable[..., AWSResponse] = AWSResponse
    raw = SimpleNamespace(stream=lambda **_: iter([body.encode()]))
    return make("https://aws.invalid", status, dict(headers or {}), raw)


def judged(code: str, message: str = "", status: int = 400) -> AWSResponse:
    return answer(
        status, f'{{"__type":"{code}","message":"{message}"}}', {"content-type": "application/x-amz-json-1.0"}
    )


# Code: the status that it comes with, and the cause. Whatever is here may pass.
MAY_PASS: dict[str, tuple[int, Cause]] = {
    # Until somebody corrects a policy.
    **dict.fromkeys(("AccessDenied", "Forbidden"), (403, Cause.ACCESS_DENIED)),
    **dict.fromkeys(("AccessDeniedException", "KmsAccessDeniedException"), (400, Cause.ACCESS_DENIED)),
    # Until the runtime has renewed its credentials.
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), (400, Cause.ACCESS_DENIED)),
    **dict.fromkeys(("RequestExpired", "UnrecognizedClientException"), (400, Cause.ACCESS_DENIED)),
    # Until there are fewer calls, or fewer executions.
    **dict.fromkeys(("Throttling", "ThrottlingException", "KmsThrottlingException"), (400, Cause.THROTTLED)),
    "ConditionalRequestConflict": (409, Cause.THROTTLED),
    "ExecutionLimitExceeded": (400, Cause.THROTTLED),
    "SlowDown": (503, Cause.THROTTLED),
    "TooManyRequestsException": (429, Cause.THROTTLED),
    # Until the service has recovered.
    **dict.fromkeys(("InternalError", "InternalFailure"), (500, Cause.SERVICE_ERROR)),
    "ServiceUnavailable": (503, Cause.SERVICE_ERROR),
}
# What the call itself is judged wrong for.
FOR_GOOD = {
    **dict.fromkeys(
        ("InvalidArn", "InvalidExecutionInput", "InvalidName", "InvalidRequest", "ValidationException"), 400
    ),
    **dict.fromkeys(("KmsInvalidStateException", "StateMachineDeleting", "StateMachineDoesNotExist"), 400),
    "InvalidObjectState": 403,
    "NoSuchBucket": 404,
}
# A HEAD has no body: its status is the code. 404 and 405 are an object that is gone, see test_gates.py.
STATUSES: dict[int, tuple[type[CallError], Cause]] = {
    **dict.fromkeys((400, 401, 409, 412, 416), (PermanentCallError, Cause.REFUSED)),
    # This object alone.
    403: (ObjectDeniedError, Cause.ACCESS_DENIED),
    **dict.fromkeys((429, 503), (RetryableCallError, Cause.THROTTLED)),
    **dict.fromkeys((500, 501, 502, 504), (RetryableCallError, Cause.SERVICE_ERROR)),
}
CODES = {
    **{code: (status, RetryableCallError, cause) for code, (status, cause) in MAY_PASS.items()},
    **{code: (status, PermanentCallError, Cause.REFUSED) for code, status in FOR_GOOD.items()},
}
