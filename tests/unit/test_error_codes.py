"""Every error code and status that the services answer with, through the real clients: can another try help, and why not.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html
"""

from collections.abc import Callable

import pytest
from botocore.awsrequest import AWSResponse

from shared.domain.errors import CallError, Cause, ObjectDeniedError, PermanentCallError, RetryableCallError
from shared.domain.plan import Execution
from shared.gates.aws import DENIED, EXPIRED, THROTTLED
from shared.gates.s3 import get_manifest, read_object
from shared.gates.step_functions import read_start_date, start_execution
from tests.unit.builders import MACHINE, created
from tests.unit.wire import Wire, answer, judged

# Code: the status that it comes with, and the cause. Whatever is here may pass.
MAY_PASS: dict[str, tuple[int, Cause]] = {
    # Until somebody corrects a policy.
    "AccessDenied": (403, Cause.ACCESS_DENIED),
    "AccessDeniedException": (400, Cause.ACCESS_DENIED),
    "Forbidden": (403, Cause.ACCESS_DENIED),
    "KmsAccessDeniedException": (400, Cause.ACCESS_DENIED),
    # Until the runtime has renewed its credentials.
    "ExpiredToken": (400, Cause.ACCESS_DENIED),
    "ExpiredTokenException": (400, Cause.ACCESS_DENIED),
    "RequestExpired": (400, Cause.ACCESS_DENIED),
    "UnrecognizedClientException": (400, Cause.ACCESS_DENIED),
    # Until there are fewer calls, or fewer executions.
    "ConditionalRequestConflict": (409, Cause.THROTTLED),
    "ExecutionLimitExceeded": (400, Cause.THROTTLED),
    "KmsThrottlingException": (400, Cause.THROTTLED),
    "SlowDown": (503, Cause.THROTTLED),
    "Throttling": (400, Cause.THROTTLED),
    "ThrottlingException": (400, Cause.THROTTLED),
    "TooManyRequestsException": (429, Cause.THROTTLED),
    # Until the service has recovered.
    "InternalError": (500, Cause.SERVICE_ERROR),
    "InternalFailure": (500, Cause.SERVICE_ERROR),
    "ServiceUnavailable": (503, Cause.SERVICE_ERROR),
}
# What the call itself is judged wrong for.
FOR_GOOD = {
    "InvalidArn": 400,
    "InvalidExecutionInput": 400,
    "InvalidName": 400,
    "InvalidObjectState": 403,
    "InvalidRequest": 400,
    "KmsInvalidStateException": 400,
    "NoSuchBucket": 404,
    "StateMachineDeleting": 400,
    "StateMachineDoesNotExist": 400,
    "ValidationException": 400,
}
# A HEAD has no body: its status is the code. 404 and 405 are an object that is gone, see test_s3.py.
STATUSES: dict[int, tuple[type[CallError], Cause]] = {
    400: (PermanentCallError, Cause.REFUSED),
    401: (PermanentCallError, Cause.REFUSED),
    # This object alone.
    403: (ObjectDeniedError, Cause.ACCESS_DENIED),
    409: (PermanentCallError, Cause.REFUSED),
    412: (PermanentCallError, Cause.REFUSED),
    416: (PermanentCallError, Cause.REFUSED),
    429: (RetryableCallError, Cause.THROTTLED),
    500: (RetryableCallError, Cause.SERVICE_ERROR),
    501: (RetryableCallError, Cause.SERVICE_ERROR),
    502: (RetryableCallError, Cause.SERVICE_ERROR),
    503: (RetryableCallError, Cause.THROTTLED),
    504: (RetryableCallError, Cause.SERVICE_ERROR),
}
CODES = {
    **{code: (status, RetryableCallError, cause) for code, (status, cause) in MAY_PASS.items()},
    **{code: (status, PermanentCallError, Cause.REFUSED) for code, status in FOR_GOOD.items()},
}
EXECUTION = Execution(MACHINE, "green_tripdata-0123", "{}")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients try again at once."""
    monkeypatch.setattr("time.sleep", lambda _: None)


def xml(code: str, _message: str = "", status: int = 400) -> AWSResponse:
    """Make an answer in which S3 refuses a call."""
    return answer(status, f"<Error><Code>{code}</Code><Message>so it is</Message></Error>")


def test_every_code_that_the_gates_know_is_in_the_table() -> None:
    """A code more or less is a decision; a status is the code of a HEAD."""
    known = DENIED | EXPIRED | THROTTLED

    assert {code for code in known if not code.isdigit()} <= MAY_PASS.keys()
    assert {int(code) for code in known if code.isdigit()} <= STATUSES.keys()
    assert not MAY_PASS.keys() & FOR_GOOD.keys()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    ("refuse", "act"),
    [
        (judged, lambda wire: start_execution(wire.sfn, None, EXECUTION)),
        (judged, lambda wire: read_start_date(wire.sfn, EXECUTION)),
        (xml, lambda wire: get_manifest(wire.s3, "results", "windows/w.json")),
    ],
    ids=["StartExecution", "DescribeExecution", "GetObject"],
)
def test_a_code_is_known_for_what_it_means(
    refuse: Callable[..., AWSResponse], act: Callable[[Wire], object], code: str
) -> None:
    """The same of every call that has a body; the message names it."""
    status, kind, cause = CODES[code]

    with pytest.raises(kind, match=rf" {code}\b") as caught:
        act(Wire(refuse(code, "so it is", status)))

    assert (kind, cause) == (type(caught.value), getattr(caught.value, "cause", None))


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_alone_is_known_for_what_it_means(status: int) -> None:
    """Of a HEAD."""
    kind, cause = STATUSES[status]

    with pytest.raises(kind) as caught:
        read_object(Wire(answer(status)).s3, created())

    assert (kind, cause) == (type(caught.value), getattr(caught.value, "cause", None))
