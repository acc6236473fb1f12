"""The handler: parse, plan, start; one log line and one EMF line a decision."""

import contextlib
import io
import json
import runpy
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from artifact.pack import pack
from handlers import start_execution as live
from shared.domain import packed
from shared.domain.errors import SettingsError
from shared.gates import telemetry
from shared.gates.settings import this_stack
from tests.unit import builders
from tests.unit.builders import CONTEXT, HEAD, KEY, STARTED, event, lines, refusal, route, stack, table
from tests.unit.payloads import json_values, mutated

EARLIER = STARTED | {"startDate": datetime(2026, 1, 1, tzinfo=UTC)}
ENDINGS = {"started": "Started", "duplicate": "Duplicates", "skipped": "Skipped", "failed": "Failed"}


@pytest.fixture
def function(clients: SimpleNamespace) -> "Function":
    return Function(clients.s3, clients.sfn)


@dataclass
class Function:
    """The function, with an S3 and a Step Functions that answer what they are told to; and what it has printed."""

    s3: builders.Client
    sfn: builders.Client
    printed: str = ""

    def handle(self, announced: object) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return its answer or error, its log line and its EMF line."""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                ended: Any = live.handler(announced, CONTEXT)
            except Exception as error:  # noqa: BLE001 - what Lambda would see
                ended = error
        self.printed = printed.getvalue()
        [line], [embedded] = lines(self.printed)
        return ended, line, embedded


def test_an_arrival_is_started(function: Function) -> None:
    """Answer, log line and metrics say so, with two calls to AWS; without route files nothing tells of routes."""
    answer, line, embedded = function.handle(event())
    assert {"outcome": "started", "reason": None, "execution_arn": line["execution_arn"]} == answer
    said = {"message": "started", "key": KEY, "source": "native", "request_id": "request-1", "event_id": event()["id"]}
    assert said == {name: line[name] for name in said}
    assert ([1.0], [1.0]) == (embedded["Received"], embedded["Started"])
    assert "route" not in str([line, embedded])
    assert (1, 1) == (len(function.s3.calls), len(function.sfn.calls)), "an arrival costs two calls"


def test_a_cold_start_tells_of_routes_without_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Once, whatever arrives; a wrong environment is left to the first arrival, which tells of it."""
    request.addfinalizer(this_stack.cache_clear)
    monkeypatch.setattr(packed, "ROUTES", pack([route("elsewhere/{file}")]))
    this_stack.cache_clear()
    runpy.run_path(live.__file__)
    printed = lines(capsys.readouterr().out)[1]
    assert [[1.0]] == [one["UnreachableRoutes"] for one in printed if "UnreachableRoutes" in one]

    monkeypatch.delenv("JOB_NAME")
    this_stack.cache_clear()
    runpy.run_path(live.__file__)
    assert "" == capsys.readouterr().out


def test_the_key_alone_spares_the_calls(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """A skip by the key asks AWS nothing; no other route takes the keys of one that is paused."""
    match = 'match = "input/lab2/{path...}"'
    routes = table(one=f"paused = true\npriority = 1\n{match}", others=match)
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=routes))
    answer, _, _ = function.handle(event(detail__object={"key": KEY}))
    assert {"outcome": "skipped", "reason": "paused", "execution_arn": None} == answer
    assert [] == function.s3.calls + function.sfn.calls


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from(sorted(builders.EVENTS)).map(event) | json_values | mutated(),
    st.sampled_from([HEAD, HEAD | {"ContentLength": 0}, refusal("404"), refusal("403"), refusal("400"), OSError("oh")]),
    st.sampled_from([STARTED, EARLIER, refusal("ExecutionAlreadyExists"), refusal("ThrottlingException")]),
)
def test_whatever_comes_ends_in_one_place(
    function: Function, payload: object, s3_says: object, sfn_says: object
) -> None:
    """One log line and one EMF line with one ending, beside one answer or one error, in whatever state AWS is."""
    function.s3.answer, function.sfn.answer = s3_says, sfn_says
    answer, line, embedded = function.handle(payload)
    ended = "failed" if isinstance(answer, Exception) else answer["outcome"]
    assert (ended, [1.0]) == (line["message"], embedded["Received"])
    assert {ENDINGS[ended]: [1.0]} == {word: embedded[word] for word in ENDINGS.values() if word in embedded}


def test_a_broken_environment_is_a_failure_like_any_other(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged, counted and raised for each event, so that the failure queue gets it; the next after a repair starts."""
    this_stack.cache_clear()
    with monkeypatch.context() as broken:
        broken.delenv("SOURCE_PREFIX")
        for _ in range(2):
            raised, line, embedded = function.handle(event())
            assert (SettingsError, "settings", KEY) == (type(raised), line["reason"], line["key"])
            assert ("settings", [1.0]) == (embedded["reason"], embedded["Failed"])
    assert "started" == function.handle(event())[0]["outcome"]


def test_a_key_cannot_forge_a_line(function: Function) -> None:
    """Line breaks of any kind and terminal controls stay inside their line, escaped; no blank is paid for."""
    key = f'{KEY}\n{{"level":"INFO"}}\r\u2028\u0085\x1b[2J'
    _, line, _ = function.handle(event(detail__object={"key": key}))
    assert key == line["key"]
    assert 2 == len(function.printed.splitlines()), function.printed
    assert function.printed.replace("\n", "").isprintable(), function.printed
    compact = [json.dumps(json.loads(one), separators=(",", ":")) for one in function.printed.splitlines()]
    assert compact == function.printed.splitlines()


AT = {"time": "2026-11-24T05:20:03Z"}


@pytest.mark.parametrize(
    ("announced", "sfn_says", "latency"),
    [
        (event(**AT), STARTED, 90_250),
        (event("cloudtrail-put-object", **AT), STARTED, 90_250),
        # For starts alone, and not for a replay, whose time is long past by somebody's choice.
        (event(**AT), EARLIER, None),
        (event(**AT), refusal("ExecutionAlreadyExists"), None),
        (event("object-created-replayed", **AT), STARTED, None),
        # Nobody needs the event's time to start the right thing.
        *((event(time=odd), STARTED, None) for odd in (..., "yesterday", 5, "2026-11-24T05:20:03")),
    ],
)
def test_the_latency_is_a_number_of_milliseconds(
    function: Function, monkeypatch: pytest.MonkeyPatch, announced: object, sfn_says: object, latency: int | None
) -> None:
    """In the log line, to sort by, and in the metric; from the event's own time."""
    now = datetime(2026, 11, 24, 5, 21, 33, 250_000, UTC)
    monkeypatch.setattr(telemetry, "datetime", builders.clock_at(now))
    function.sfn.answer = sfn_says
    _, line, embedded = function.handle(announced)
    assert ("started" if sfn_says is STARTED else "duplicate") == line["message"]
    assert (latency, latency and [latency]) == (line.get("latency_ms"), embedded.get("ArrivalLatency"))


@pytest.mark.parametrize(
    ("s3_says", "sfn_says", "ended"),
    [
        (refusal("404"), STARTED, "skipped"),
        (refusal("503", 503), STARTED, "failed"),
        (HEAD, refusal("503", 503), "failed"),
    ],
)
def test_a_skip_and_a_failure_name_the_route(
    function: Function, monkeypatch: pytest.MonkeyPatch, s3_says: object, sfn_says: object, ended: str
) -> None:
    sales = table(sales='match = "input/lab2/{path...}"\n')
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=sales))
    function.s3.answer, function.sfn.answer = s3_says, sfn_says
    _, line, embedded = function.handle(event())
    assert (ended, "sales", "sales") == (line["message"], line.get("route"), embedded.get("route"))
