"""The handler: parse, plan, start; one log line and one EMF line a decision."""

import contextlib
import io
import json
import runpy
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
from tests.unit.builders import (
    CONTEXT,
    EVENTS,
    HEAD,
    KEY,
    PREFIX,
    STARTED,
    clock_at,
    event,
    lines,
    refusal,
    route,
    stack,
    table,
)
from tests.unit.payloads import json_values, mutated

EARLIER = STARTED | {"startDate": datetime(2026, 1, 1, tzinfo=UTC)}
ENDINGS = {"started": "Started", "duplicate": "Duplicates", "skipped": "Skipped", "failed": "Failed"}


class Function:
    """The function, with an S3 and a Step Functions that answer what they are told to."""

    def __init__(self, clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
        """Take both, and what it prints."""
        self.s3, self.sfn, self._capsys = clients.s3, clients.sfn, capsys

    def handle(self, announced: object) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return its answer or error, its log line and its EMF line."""
        try:
            ended: Any = live.handler(announced, CONTEXT)
        except Exception as error:  # noqa: BLE001 - what Lambda would see
            ended = error
        [line], [embedded] = lines(self._capsys.readouterr().out)
        return ended, line, embedded


@pytest.fixture
def function(clients: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> Function:
    """Return the function in a cloud where every object is there and every start succeeds."""
    return Function(clients, capsys)


def test_an_arrival_is_started(function: Function) -> None:
    """Answer, log line and metrics say so, with two calls to AWS; without route files nothing tells of routes."""
    answer, line, embedded = function.handle(event())

    assert {"outcome": "started", "reason": None, "execution_arn": line["execution_arn"]} == answer
    said = {"message": "started", "key": KEY, "source": "native", "request_id": "request-1", "event_id": event()["id"]}
    assert said == {name: line[name] for name in said}
    assert ([1.0], [1.0]) == (embedded["Received"], embedded["Started"])
    assert (1, 1) == (len(function.s3.calls), len(function.sfn.calls))
    assert "route" not in json.dumps([line, embedded])
    [started] = function.sfn.calls
    assert ["glue_max_capacity_dpus", "JOB_NAME", "BUCKET_NAME", "SRC_PREFIX", "TRG_PREFIX", "object"] == list(
        json.loads(str(started["input"]))
    )


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


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("folder/", "", "folder_marker"),
        ("_temporary/0/a.csv", "", "hidden_file"),
        ("a.csv", 'match = "elsewhere/{path...}"', "no_route"),
        # No other route takes the keys of one that is paused.
        ("a.csv", 'paused = true\nmatch = "input/lab2/{path...}"', "paused"),
    ],
)
def test_the_key_alone_spares_the_calls(
    clients: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, fields: str, reason: str
) -> None:
    """A skip by the key asks AWS nothing."""
    others = 'priority = -1\nmatch = "input/lab2/{path...}"'
    routes = {"one": fields} | ({"others": others} if "paused" in fields else {})
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=table(**routes)) if fields else stack())

    answer = live.handler(event(detail__object={"key": PREFIX + name}), CONTEXT)

    assert {"outcome": "skipped", "reason": reason, "execution_arn": None} == answer
    assert [] == clients.s3.calls + clients.sfn.calls


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.sampled_from(sorted(EVENTS)).map(event) | json_values | mutated(),
    st.sampled_from([HEAD, HEAD | {"ContentLength": 0}, refusal("404"), refusal("403"), refusal("400"), OSError("oh")]),
    st.sampled_from([STARTED, EARLIER, refusal("ExecutionAlreadyExists"), refusal("ThrottlingException")]),
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
    assert (ended, [1.0]) == (line["message"], embedded["Received"])
    assert {ENDINGS[str(ended)]: [1.0]} == {word: embedded[word] for word in ENDINGS.values() if word in embedded}


def test_a_broken_environment_is_a_failure_like_any_other(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logged, counted and raised for each event, so that the failure queue gets it; once repaired, the next is started."""
    this_stack.cache_clear()
    with monkeypatch.context() as broken:
        broken.delenv("SOURCE_PREFIX")
        for _ in range(2):
            raised, line, embedded = function.handle(event())
            assert (SettingsError, "settings", KEY) == (type(raised), line["reason"], line["key"])
            assert ("settings", [1.0]) == (embedded["reason"], embedded["Failed"])

    assert "started" == live.handler(event(), CONTEXT)["outcome"]


@pytest.mark.usefixtures("clients")
def test_a_key_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks of any kind and terminal controls stay inside their line, escaped; what can't be a key is cut."""
    key = f'{KEY}\n{{"level":"INFO"}}\r\u2028\u0085\x1b[2J'
    live.handler(event(detail__object={"key": key}), CONTEXT)
    printed = capsys.readouterr().out

    assert 2 == len(printed.splitlines())
    assert printed.replace("\n", "").isprintable()
    assert key == lines(printed)[0][0]["key"]

    huge = {"key": "x" * 100_000}
    live.handler(event("cloudtrail-put-object-access-denied", detail__requestParameters=huge), CONTEXT)
    assert len(capsys.readouterr().out) < 3_000


AT = {"time": "2026-11-24T05:20:03Z"}


@pytest.mark.parametrize(
    ("announced", "sfn_says", "latency"),
    [
        (event(**AT), STARTED, 90_250),
        (event("cloudtrail-put-object", **AT), STARTED, 90_250),
        # For starts alone, and not for a replay, whose time is long past by somebody's choice.
        (event(**AT), EARLIER, None),
        (event("object-created-replayed", **AT), STARTED, None),
        # Nobody needs the event's time to start the right thing.
        *((event(time=odd), STARTED, None) for odd in (..., "yesterday", 5, "2026-11-24T05:20:03")),
    ],
)
def test_the_latency_is_a_number_of_milliseconds(
    function: Function, monkeypatch: pytest.MonkeyPatch, announced: object, sfn_says: object, latency: int | None
) -> None:
    """In the log line, to sort by, and in the metric; from the event's own time."""
    monkeypatch.setattr(telemetry, "datetime", clock_at(datetime(2026, 11, 24, 5, 21, 33, 250_000, UTC)))
    function.sfn.answer = sfn_says

    answer, line, embedded = function.handle(announced)

    assert ("duplicate" if sfn_says is EARLIER else "started") == answer["outcome"]
    assert (latency, latency and [latency]) == (line.get("latency_ms"), embedded.get("ArrivalLatency"))


def test_the_log_and_the_metrics_name_the_route(function: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dimension of Started alone, a field everywhere else, also of failures."""
    sales = table(sales='match = "input/lab2/{path...}"\n')
    monkeypatch.setattr(live, "this_stack", lambda: stack(table=sales))
    told = []
    for s3_says in (HEAD, refusal("404", 404, "HeadObject"), refusal("503", 503, "HeadObject")):
        function.s3.answer = s3_says
        told.append(function.handle(event(detail__object={"key": KEY}))[1:])

    assert [("started", "sales"), ("skipped", "sales"), ("failed", "sales")] == [
        (line["message"], line["route"]) for line, _ in told
    ]
    assert ["sales"] * 3 == [embedded["route"] for _, embedded in told]
    directives = [
        [(one["Dimensions"], [metric["Name"] for metric in one["Metrics"]]) for one in embedded["_aws"]["CloudWatchMetrics"]]
        for _, embedded in told
    ]  # fmt: skip
    by = [["service"], ["service", "source"]]
    by_reason = [*by, ["service", "reason"]]
    assert [
        [(by, ["Received", "Started", "ArrivalLatency"]), ([["service", "route"]], ["Started"])],
        [(by_reason, ["Received", "Skipped"])],
        [(by_reason, ["Received", "Failed"])],
    ] == directives
