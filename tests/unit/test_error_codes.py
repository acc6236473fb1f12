"""Every code and status that the services answer with, through the real clients: can another try help, and why not.

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


# How a call is refused, and the call.
CALLS: dict[str, tuple[Callable[..., AWSResponse], Callable[[Wire], object]]] = {
    "StartExecution": (judged, lambda wire: start_execution(wire.sfn, None, EXECUTION)),
    "DescribeExecution": (judged, lambda wire: read_start_date(wire.sfn, EXECUTION)),
    "GetObject": (xml, lambda wire: get_manifest(wire.s3, "results", "windows/w.json")),
    # It has no body: its status is the code.
    "HeadObject": (lambda _code, _message, status: answer(status), lambda wire: read_object(wire.s3, created())),
}
KNOWN = CODES | {str(status): (status, kind, cause) for status, (kind, cause) in STATUSES.items()}


def test_every_code_that_the_gates_know_is_in_the_table() -> None:
    """A code more or less is a decision."""
    assert DENIED | EXPIRED | THROTTLED <= MAY_PASS.keys() | set(map(str, STATUSES))
    assert not MAY_PASS.keys() & FOR_GOOD.keys()


@pytest.mark.parametrize(
    ("name", "code"), [(name, code) for name in CALLS for code in KNOWN if code.isdigit() == (name == "HeadObject")]
)
def test_a_code_is_known_for_what_it_means(name: str, code: str) -> None:
    """The same of every call that has a body; the message names it."""
    (refuse, act), (status, kind, cause) = CALLS[name], KNOWN[code]

    with pytest.raises(kind, match=rf"\b{code}\b") as caught:
        act(Wire(refuse(code, "so it is", status)))

    assert (kind, cause) == (type(caught.value), getattr(caught.value, "cause", None))
