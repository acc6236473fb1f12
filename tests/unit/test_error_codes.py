"""Every error code and status that the services answer with, through the real clients: can another try help, and why not.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
https://docs.aws.amazon.com/step-functions/latest/apireference/CommonErrors.html
"""

from collections.abc import Callable

import pytest
from botocore.awsrequest import AWSResponse

from shared.domain.plan import Execution
from shared.gates.aws import DENIED, EXPIRED, THROTTLED
from shared.gates.s3 import get_manifest, read_object
from shared.gates.step_functions import read_start_date, start_execution
from tests.unit.builders import MACHINE, created
from tests.unit.wire import CODES, FOR_GOOD, MAY_PASS, STATUSES, Wire, answer, judged

EXECUTION = Execution(MACHINE, "green_tripdata-0123", "{}")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def xml(code: str, _message: str = "", status: int = 400) -> AWSResponse:
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
