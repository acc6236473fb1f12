"""The handler: parse, plan, start; one log line and one EMF line a decision."""

import contextlib
import io
import json
import runpy
import sys
from collections import Counter
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifact.pack import pack
from handlers import start_execution as live
from shared.domain import packed
from shared.domain.arrival import Skip, SkipReason
from shared.domain.errors import ForeignObjectError, MalformedEventError, RetryableCallError, SettingsError
from shared.domain.outcome import Coalesced, Duplicate, Outcome, Started, as_response
from shared.gates import telemetry
from shared.gates.settings import VARIABLES, this_stack
from tests.unit import test_routes
from tests.unit.builders import EVENTS, KEY, Client, event, give, refusal
from tests.unit.test_parse import json_values, mutated

CONTEXT: Any = SimpleNamespace(aws_request_id="request-1")
HEAD = {"ETag": '"e1"', "LastModified": datetime(2026, 11, 24, 5, 20, tzinfo=UTC), "ContentLength": 12}
STARTED = {"executionArn": "arn:aws:states:r:a:execution:m:name", "startDate": datetime(2999, 1, 1, tzinfo=UTC)}
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
ENDINGS = ("Started", "Duplicates", "Skipped", "Failed")


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put an S3 that has every object and a Step Functions that starts everything in the handler's place for them."""
    both = SimpleNamespace(s3=Client(HEAD), sfn=Client(STARTED))
    give(live, monkeypatch, s3=both.s3, sfn=both.sfn)
    # The logger keeps the stream it was made with, pytest changes it for each test.
    monkeypatch.setattr(live.logger.handlers[0], "stream", SimpleNamespace(write=_print, flush=lambda: None))
    return both


def _print(text: str) -> None:
    sys.stdout.write(text)


def lines(printed: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split what was printed into log lines and EMF lines."""
    read = [json.loads(line) for line in printed.splitlines()]
    return [one for one in read if "_aws" not in one], [one for one in read if "_aws" in one]


def test_an_arrival_is_started(clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer, the log line and the metrics all say so, with two calls to AWS."""
    answer = live.handler(event(), CONTEXT)
    [line], [embedded] = lines(capsys.readouterr().out)

    assert {"outcome": "started", "reason": None, "execution_arn": line["execution_arn"]} == answer
    assert ("started", KEY, "native", "request-1") == tuple(
        line[name] for name in ("message", "key", "source", "request_id")
    )
    assert event()["id"] == line["event_id"]
    assert ([1.0], [1.0]) == (embedded["Received"], embedded["Started"])
    assert embedded["ArrivalLatency"][0] > 0
    assert (1, 1) == (len(clients.s3.calls), len(clients.sfn.calls))
    [started] = clients.sfn.calls
    assert {"native", "id", "time"}.isdisjoint(json.loads(str(started["input"])))


@pytest.mark.parametrize(
    ("outcome", "answer"),
    [
        (Started("arn", "sales"), ("started", None, "arn")),
        (Duplicate("arn", "sales"), ("duplicate", None, "arn")),
        (Coalesced("arn", "sales"), ("coalesced", None, "arn")),
        (Skip(SkipReason.OBJECT_GONE, "why", "sales"), ("skipped", "object_gone", None)),
    ],
)
def test_the_answer_is_the_contracts(outcome: Outcome, answer: tuple[str, str | None, str | None]) -> None:
    """Outcome, the reason of a skip, and the execution of all others."""
    assert dict(zip(("outcome", "reason", "execution_arn"), answer, strict=True)) == as_response(outcome)


@pytest.mark.usefixtures("clients")
def test_a_cold_start_tells_of_routes_without_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Once, whatever arrives; a wrong environment is left to the first arrival, which tells of it."""
    request.addfinalizer(this_stack.cache_clear)
    monkeypatch.setattr(packed, "ROUTES", pack([test_routes.route("elsewhere/{file}")]))
    this_stack.cache_clear()
    runpy.run_path(live.__file__)
    [embedded] = [one for one in lines(capsys.readouterr().out)[1] if "UnreachableRoutes" in one]
    assert [1.0] == embedded["UnreachableRoutes"]

    monkeypatch.delenv("JOB_NAME")
    this_stack.cache_clear()
    runpy.run_path(live.__file__)
    assert "" == capsys.readouterr().out


def test_the_trace_goes_on_into_the_workflow(clients: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the header of the invocation."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")

    live.handler(event(), CONTEXT)

    assert ["Root=1"] == [call["traceHeader"] for call in clients.sfn.calls]


def test_the_key_alone_spares_the_calls(clients: SimpleNamespace) -> None:
    """A folder marker asks AWS nothing."""
    assert "folder_marker" == live.handler(event("object-created-folder-marker"), CONTEXT)["reason"]
    assert [] == clients.s3.calls + clients.sfn.calls


def test_every_event_is_counted_once(clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """Over all of events/: received = started + duplicates + skipped + failed, one line each."""
    counted: Counter[str] = Counter()
    for name in EVENTS:
        try:
            answer = live.handler(event(name), CONTEXT)
        except MalformedEventError:
            assert name.startswith("malformed")
        else:
            assert {"outcome", "reason", "execution_arn"} == answer.keys()
        [_], [embedded] = lines(capsys.readouterr().out)
        counted.update({ending: embedded.get(ending, [0])[0] for ending in (*ENDINGS, "Received")})

    assert clients.sfn.calls
    assert len(EVENTS) == counted["Received"] == sum(counted[ending] for ending in ENDINGS)
    assert 1 == counted["Failed"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    json_values | mutated(),
    st.sampled_from([HEAD, HEAD | {"ContentLength": 0}, refusal("404"), refusal("403"), refusal("400"), OSError("oh")]),
    st.sampled_from(
        [STARTED, STARTED | {"startDate": EARLIER}, refusal("ExecutionAlreadyExists"), refusal("ThrottlingException")]
    ),
)
def test_whatever_comes_ends_in_one_place(
    clients: SimpleNamespace, payload: object, s3_says: object, sfn_says: object
) -> None:
    """One log line and one EMF line with one ending, beside one answer or one error, in whatever state AWS is."""
    clients.s3.answer, clients.sfn.answer = s3_says, sfn_says
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            ended = live.handler(payload, CONTEXT)["outcome"]
        except Exception:  # noqa: BLE001 - what Lambda would see
            ended = "failed"

    [line], [embedded] = lines(printed.getvalue())
    word = {"started": "Started", "duplicate": "Duplicates", "skipped": "Skipped", "failed": "Failed"}[str(ended)]
    assert (ended, [1.0]) == (line["message"], embedded["Received"])
    assert {word: [1.0]} == {ending: embedded[ending] for ending in ENDINGS if ending in embedded}


@pytest.mark.parametrize(
    ("given", "error", "cause"),
    [
        (event("malformed-no-key"), MalformedEventError, "malformed_event"),
        (event(account="999999999999"), ForeignObjectError, "foreign_object"),
        (event(), RetryableCallError, "throttled"),
    ],
)
def test_a_failure_is_counted_and_raised(
    clients: SimpleNamespace, capsys: pytest.CaptureFixture[str], given: object, error: type[Exception], cause: str
) -> None:
    """Lambda must see it, or it would try no more and the event be lost."""
    clients.sfn.answer = refusal("ThrottlingException")

    with pytest.raises(error):
        live.handler(given, CONTEXT)

    [line], [embedded] = lines(capsys.readouterr().out)
    assert ("failed", cause) == (line["message"], line["reason"])
    assert ([1.0], [1.0], cause) == (embedded["Received"], embedded["Failed"], embedded["reason"])


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("variable", VARIABLES.values())
def test_a_broken_environment_is_a_failure_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    """Logged, counted and raised for each event, so that the failure queue gets it; once repaired, the next is started."""
    this_stack.cache_clear()
    with monkeypatch.context() as broken:
        broken.delenv(variable)
        for _ in range(2):
            with pytest.raises(SettingsError, match=variable):
                live.handler(event(), CONTEXT)

    failures = capsys.readouterr().out
    assert [("failed", "settings", KEY)] * 2 == [
        (line["message"], line["reason"], line["key"]) for line in lines(failures)[0]
    ]
    assert [("settings", [1.0])] * 2 == [(one["reason"], one["Failed"]) for one in lines(failures)[1]]
    assert "started" == live.handler(event(), CONTEXT)["outcome"]


def test_a_bug_is_counted_too(clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody foresaw is `unexpected`, with its stack."""
    clients.s3.answer = ZeroDivisionError("oh")

    with pytest.raises(ZeroDivisionError):
        live.handler(event(), CONTEXT)

    [line], [_] = lines(capsys.readouterr().out)
    assert "unexpected" == line["reason"]
    assert "ZeroDivisionError" in line["exception"]


@pytest.mark.usefixtures("clients")
def test_a_key_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks of any kind and terminal controls stay inside their line, escaped."""
    key = f'{KEY}\n{{"level":"INFO"}}\r\u2028\u0085\x1b[2J'

    live.handler(event(detail__object={"key": key}), CONTEXT)
    printed = capsys.readouterr().out

    assert 2 == len(printed.splitlines())
    assert printed.replace("\n", "").isprintable()
    assert key == lines(printed)[0][0]["key"]


@pytest.mark.usefixtures("clients")
def test_a_huge_payload_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """What can't be a key isn't logged whole."""
    live.handler(
        event("cloudtrail-put-object-access-denied", detail__requestParameters={"key": "x" * 100_000}), CONTEXT
    )

    assert len(capsys.readouterr().out) < 3_000


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("time", [..., "yesterday", 5, "2026-11-24T05:20:03"])
def test_an_odd_time_loses_the_latency_and_nothing_else(capsys: pytest.CaptureFixture[str], time: object) -> None:
    """Nobody needs the event's time to start the right thing."""
    assert "started" == live.handler(event(time=time), CONTEXT)["outcome"]
    assert "ArrivalLatency" not in lines(capsys.readouterr().out)[1][0]


class _Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        """Return the time, 90.25 seconds after the event's."""
        return cls(2026, 11, 24, 5, 21, 33, 250_000, tz)


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize("name", ["object-created-put", "cloudtrail-put-object"])
def test_the_latency_is_a_number_of_milliseconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """In the log line, to sort by, and in the metric; from the event's own time, for starts alone."""
    monkeypatch.setattr(telemetry, "datetime", _Clock)
    announced = event(name, time="2026-11-24T05:20:03Z")

    live.handler(announced, CONTEXT)
    [line], [embedded] = lines(capsys.readouterr().out)
    assert (90_250, [90_250.0]) == (line["latency_ms"], embedded["ArrivalLatency"])

    give(live, monkeypatch, sfn=Client(STARTED | {"startDate": EARLIER}))
    live.handler(announced, CONTEXT)
    [line], [embedded] = lines(capsys.readouterr().out)
    assert "latency_ms" not in line
    assert "ArrivalLatency" not in embedded


@pytest.mark.usefixtures("clients")
def test_a_replay_has_no_latency(capsys: pytest.CaptureFixture[str]) -> None:
    """Its time is long past, by somebody's choice."""
    live.handler(event("object-created-replayed"), CONTEXT)
    [line], [embedded] = lines(capsys.readouterr().out)

    assert "after-the-outage-of-20-november" == line["replay_name"]
    assert "latency_ms" not in line
    assert "ArrivalLatency" not in embedded
