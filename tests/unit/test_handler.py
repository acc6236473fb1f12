"""The handler: parse, plan, start; one log line and one EMF line a decision."""

import contextlib
import io
import json
import runpy
from collections import Counter
from datetime import UTC, datetime, tzinfo
from types import SimpleNamespace

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
from tests.unit.builders import (
    CONTEXT,
    EVENTS,
    HEAD,
    KEY,
    STARTED,
    Client,
    event,
    give,
    lines,
    refusal,
    route,
    stack,
    table,
)
from tests.unit.payloads import json_values, mutated

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
ENDINGS = ("Started", "Duplicates", "Skipped", "Failed")


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
    monkeypatch.setattr(packed, "ROUTES", pack([route("elsewhere/{file}")]))
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


def test_the_log_and_the_metrics_name_the_route(
    clients: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dimension of Started alone, a field everywhere else, also of failures."""
    sales = table(sales='match = "input/lab2/{path...}"\n')
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=sales))
    arrived = event(detail__object={"key": KEY})

    assert "started" == live.handler(arrived, CONTEXT)["outcome"]
    clients.s3.answer = refusal("404", 404, "HeadObject")
    assert "object_gone" == live.handler(arrived, CONTEXT)["reason"]
    clients.s3.answer = refusal("503", 503, "HeadObject")
    with pytest.raises(RetryableCallError):
        live.handler(arrived, CONTEXT)
    said, embedded = lines(capsys.readouterr().out)

    assert ["sales"] * 3 == [one["route"] for one in said] == [one["route"] for one in embedded]
    first, second = embedded[0]["_aws"]["CloudWatchMetrics"]
    assert [["service"], ["service", "source"]] == first["Dimensions"]
    assert {
        "Namespace": "FileArrival",
        "Dimensions": [["service", "route"]],
        "Metrics": [{"Name": "Started", "Unit": "Count"}],
    } == second
    for one in embedded[1:]:
        assert "route" not in {name for names in one["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for name in names}
        assert 1 == len(one["_aws"]["CloudWatchMetrics"])


def test_without_files_nothing_is_as_if_there_were_routes(
    clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """No field, no dimension, no key of the input."""
    live.handler(event(), CONTEXT)
    [line], [embedded] = lines(capsys.readouterr().out)

    assert "route" not in line
    assert "route" not in json.dumps(embedded)
    [call] = clients.sfn.calls
    assert {"route", "captures", "parameters"}.isdisjoint(json.loads(str(call["input"])))
    assert not this_stack().table


def test_a_paused_route_asks_nobody(clients: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other route takes its keys instead; after the pause the same upload has its free name."""
    match = 'match = "input/lab2/{path...}"\n'
    paused = table(sales="paused = true\n" + match, others="priority = -1\n" + match)
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=paused))

    answer = live.handler(event(), CONTEXT)

    assert {"outcome": "skipped", "reason": "paused", "execution_arn": None} == answer
    assert [] == clients.s3.calls + clients.sfn.calls
