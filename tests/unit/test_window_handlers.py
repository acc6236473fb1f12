"""Arrivals with windows, and the collector: the real handlers, on moto's S3 and a Step Functions that remembers."""

import json
from collections.abc import Iterator
from copy import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.s3.models import s3_backends

from artifact.pack import pack
from artifact.route_files import read_routes
from handlers import backfill_batch, collect_window
from handlers import start_execution as live
from shared.domain import windows as protocol
from shared.domain.arrival import Skip
from shared.domain.errors import (
    Cause,
    ForeignObjectError,
    MalformedEventError,
    RetryableCallError,
    SettingsError,
)
from shared.domain.gather import Gathering, is_listed_deep
from shared.domain.outcome import Coalesced, Started
from shared.domain.routes import RouteTable
from shared.domain.start import foresee, plan_arrival, start
from shared.domain.windows import Generation, Listing, parse_generation
from shared.gates.live import make_gates
from shared.gates.s3 import get_manifest, list_page, put_manifest
from tests.unit.builders import ACCOUNT, BUCKET, CONTEXT, KEY, Client, created, event, give, item, refusal, stack
from tests.unit.world import StepFunctions

ROUTE = stack(window_seconds=60, results_bucket_name="results", account_id=ACCOUNT)
FOLDER = KEY.rsplit("/", 1)[0] + "/"


@pytest.fixture
def sfn(monkeypatch: pytest.MonkeyPatch) -> Iterator[StepFunctions]:
    """Hand all handlers an S3 with both buckets, one Step Functions, and a window of a minute."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in (BUCKET, "results"):
            s3.create_bucket(Bucket=bucket)
        sfn = StepFunctions()
        for handlers in (live, backfill_batch, collect_window):
            monkeypatch.setattr(handlers, "this_stack", lambda: ROUTE)
            give(handlers, monkeypatch, s3=s3, sfn=sfn)
        yield sfn


def put(*names: str) -> None:
    """Upload files into the folder."""
    for name in names:
        collect_window.s3.put_object(Bucket=BUCKET, Key=FOLDER + name, Body=b"a,b\n1,2\n")


def arrive(name: str, **changes: Any) -> dict[str, Any]:
    """Deliver the event of a file."""
    return live.handler(event(detail__object__key=FOLDER + name, **changes), CONTEXT)


@pytest.fixture(autouse=True)
def wide_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slot end while a test runs."""
    monkeypatch.setattr(protocol, "slot_start", lambda _last_modified, _seconds: 1_800_000_000)


def test_a_storm_is_one_run_on_exactly_its_files(sfn: StepFunctions) -> None:
    """The first arrival opens the window, the others are gathered; then one execution starts, with a manifest."""
    put("a.csv", "b.csv", "c.csv", "deep/d.csv", "_$folder$", "folder/")
    collect_window.s3.put_object(Bucket=BUCKET, Key=FOLDER + "empty.csv", Body=b"")
    outcomes = [arrive(name)["outcome"] for name in ("a.csv", "b.csv", "a.csv")]
    assert ["started", "coalesced", "coalesced"] == outcomes
    assert 1 == sfn.asked

    [window] = sfn.of(ROUTE.window_machine_arn)
    answer = collect_window.handler(window, CONTEXT)
    assert answer == collect_window.handler(window, CONTEXT)

    [run] = sfn.of(ROUTE.state_machine_arn)
    assert run == json.loads(sfn.started[answer["execution_name"]]["input"])
    assert answer["execution_arn"].endswith(f":{answer['execution_name']}")
    stored = collect_window.s3.get_object(Bucket="results", Key=run["manifest"][len("s3://results/") :])
    assert "application/json" == stored["ContentType"]
    manifest = json.loads(stored["Body"].read())
    assert [FOLDER + name for name in ("a.csv", "b.csv", "c.csv")] == [file["key"] for file in manifest["files"]]
    assert {"seconds": 60, "generation": 0} == {name: run["window"][name] for name in ("seconds", "generation")}
    assert {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": ROUTE.job_name,
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": FOLDER,
        "TRG_PREFIX": ROUTE.target_prefix,
        "window": run["window"],
        "manifest": answer["manifest"],
        "files": 3,
        "bytes": 24,
    } == run


def test_the_trace_goes_on_into_window_and_run(sfn: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an arrival, a backfill and the collector alike."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")
    put("a.csv")
    arrive("a.csv")
    backfill_batch.handler({"Items": [item("a.csv", reprocess="again")]}, CONTEXT)
    for window in sfn.of(ROUTE.window_machine_arn):
        collect_window.handler(window, CONTEXT)

    assert ["Root=1"] * 4 == [one["trace"] for one in sfn.started.values()]


def test_who_comes_too_late_opens_the_next_generation(sfn: StepFunctions) -> None:
    """And the first one's files are not run again."""
    put("a.csv")
    arrive("a.csv")
    sfn.age(61)
    live.gates.memory.start_dates.clear()
    [first] = sfn.of(ROUTE.window_machine_arn)
    collect_window.handler(first, CONTEXT)
    put("b.csv")
    assert "coalesced" == arrive("a.csv")["outcome"]
    assert "started" == arrive("b.csv")["outcome"]
    second = next(one for one in sfn.of(ROUTE.window_machine_arn) if one["generation"] == 1)
    collect_window.handler(second, CONTEXT)
    assert [1, 1] == [run["files"] for run in sfn.of(ROUTE.state_machine_arn)]


def test_an_empty_window_starts_nothing(sfn: StepFunctions) -> None:
    """Its files were deleted meanwhile; its manifest is stored all the same."""
    put("a.csv")
    arrive("a.csv")
    collect_window.s3.delete_object(Bucket=BUCKET, Key=FOLDER + "a.csv")
    [window] = sfn.of(ROUTE.window_machine_arn)
    assert 0 == collect_window.handler(window, CONTEXT)["files"]
    assert [] == sfn.of(ROUTE.state_machine_arn)
    assert "object_gone" == arrive("a.csv")["reason"]


def test_the_event_of_an_overwritten_version_speaks_for_the_newer_one(sfn: StepFunctions) -> None:
    """HEAD asks for no version, since a listing shows what is current."""
    collect_window.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    old = collect_window.s3.put_object(Bucket=BUCKET, Key=FOLDER + "a.csv", Body=b"old")["VersionId"]
    put("a.csv")
    planned = plan_arrival(live.gates, created(key=FOLDER + "a.csv", version_id=old), ROUTE)
    assert isinstance(planned, Gathering)
    assert 8 == planned.sighting.file.size


def test_a_backfill_says_how_many_windows_it_would_open(sfn: StepFunctions) -> None:
    """A dry one opens none; a real one opens as many as it said."""
    put("a.csv", "b.csv")
    names = [name[len("input/lab2/eventdriven/") :] for name in (FOLDER + "a.csv", FOLDER + "b.csv")]
    dry = backfill_batch.handler({"Items": [item(name, dry_run=True) for name in names]}, CONTEXT)
    assert (2, 1, 0) == (len(dry["started"]), len(dry["windows"]), dry["coalesced"])
    assert {} == sfn.started
    real = backfill_batch.handler({"Items": [item(name) for name in names]}, CONTEXT)
    assert (1, dry["windows"], 1) == (len(real["started"]), real["windows"], real["coalesced"])
    [window] = sfn.of(ROUTE.window_machine_arn)
    collect_window.handler(window, CONTEXT)
    again = backfill_batch.handler({"Items": [item(name, dry_run=True) for name in names]}, CONTEXT)
    assert ([], [], 2) == (again["started"], again["windows"], again["coalesced"])


def test_a_label_is_a_window_of_its_own(sfn: StepFunctions) -> None:
    """Once for each label."""
    put("a.csv")
    for label in (None, "again", "again"):
        backfill_batch.handler({"Items": [item("a.csv", reprocess=label)]}, CONTEXT)
    assert [None, "again"] == [one["reprocess"] for one in sfn.of(ROUTE.window_machine_arn)]


def test_a_window_of_another_bucket_is_refused(sfn: StepFunctions) -> None:
    """The collector lists nobody else's."""
    window = Generation(protocol.Window("r", "other", FOLDER, 1_800_000_000, 60, None), 0)
    collect_window.s3.create_bucket(Bucket="other")
    collect_window.s3.put_object(Bucket="other", Key=FOLDER + "a.csv", Body=b"x")
    with pytest.raises(ForeignObjectError):
        collect_window.handler(json.loads(window.input), CONTEXT)


@pytest.mark.parametrize("given", [None, {}, [], {"start": "soon"}, "window"])
def test_what_is_no_window_is_refused(given: object) -> None:
    """With what to do."""
    with pytest.raises(MalformedEventError, match="input of one of its executions"):
        parse_generation(given)


def test_a_manifest_that_is_there_stays(sfn: StepFunctions) -> None:
    """S3 itself refuses to store a second one."""
    put_manifest(live.s3, "results", "windows/x/0.json", b"first")
    put_manifest(live.s3, "results", "windows/x/0.json", b"second")
    assert b"first" == get_manifest(live.s3, "results", "windows/x/0.json")
    assert get_manifest(live.s3, "results", "windows/x/1.json") is None


def test_two_puts_at_once_are_tried_again() -> None:
    """S3 answers 409 while another conditional put of the key is under way."""
    client = Client(refusal("ConditionalRequestConflict", 409, "PutObject"))
    with pytest.raises(RetryableCallError) as caught:
        put_manifest(client, "results", "k", b"")  # type: ignore[arg-type]
    assert Cause.THROTTLED == caught.value.cause


def test_a_folder_is_listed_page_by_page(sfn: StepFunctions) -> None:
    """A thousand names a page, without what lies deeper."""
    bucket = s3_backends[ACCOUNT]["aws"]
    for number in range(1001):
        bucket.put_object(BUCKET, f"{FOLDER}{number:04}.csv", b"x")
    put("deep/x.csv")
    listing = Listing(BUCKET, ACCOUNT, FOLDER, deep=False)
    first, token = list_page(live.s3, listing, None)
    rest, end = list_page(live.s3, listing, token)
    assert (1001, None) == (len(first) + len(rest), end)
    assert token


@pytest.mark.parametrize(
    ("source_prefix", "listed"), [(FOLDER + "2026", FOLDER + "2026"), (FOLDER, FOLDER), (FOLDER[:-3], FOLDER)]
)
def test_no_more_is_listed_than_may_be(
    sfn: StepFunctions, monkeypatch: pytest.MonkeyPatch, source_prefix: str, listed: str
) -> None:
    """The role may list what begins with SourcePrefix, which may end without a slash; a longer folder lists less."""
    for handlers in (live, collect_window):
        monkeypatch.setattr(handlers, "this_stack", lambda: replace(ROUTE, source_prefix=source_prefix))
    asked: list[str] = []
    events = collect_window.s3.meta.events
    events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: asked.append(params["Prefix"]))
    put("2026-a.csv")
    arrive("2026-a.csv")

    [window] = sfn.of(ROUTE.window_machine_arn)
    answer = collect_window.handler(window, CONTEXT)

    assert ([listed], 1) == (asked, answer["files"])


@pytest.fixture
def routed(sfn: StepFunctions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StepFunctions:
    """Give all handlers route files: a dated folder, one whose source is deep, and one with a say in that folder."""
    (tmp_path / "sales.toml").write_text(
        'match = "input/lab2/eventdriven/dt={dt}/{file}.csv"\njob_name = "sales"\ntarget = "curated/{dt}"\n'
        'window_seconds = 60\ncapacity = [{ up_to = "10 B", dpus = 3 }, { dpus = 9 }]\n[parameters]\nDAY = "{dt}"\n'
    )
    (tmp_path / "deep.toml").write_text(
        'match = "input/lab2/eventdriven/t/{tenant}/{path...}.csv"\njob_name = "deep"\ntarget = "deep/{tenant}"\n'
        'source = "input/lab2/eventdriven/t/{tenant}/"\naccept_empty = true\nwindow_seconds = 60\n'
    )
    (tmp_path / "odd.toml").write_text(
        'match = "input/lab2/eventdriven/t/{tenant}/{day}/odd.csv"\njob_name = "odd"\ntarget = "odd/{day}"\npriority = 1\n'
    )
    table = sfn.table = RouteTable(pack(read_routes(tmp_path)))
    for handlers in (live, backfill_batch, collect_window):
        monkeypatch.setattr(handlers, "this_stack", lambda: replace(ROUTE, window_seconds=0, table=table))
    return sfn


def test_a_pause_ends_no_window(routed: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was gathered before the pause starts; what comes in it does not."""
    put("dt=1/a.csv")
    arrive("dt=1/a.csv")
    [window] = routed.of(ROUTE.window_machine_arn)
    packed = pack([route._replace(paused=True) for route in routed.table.routes])
    for handlers in (live, collect_window):
        monkeypatch.setattr(handlers, "this_stack", lambda: replace(ROUTE, window_seconds=0, table=RouteTable(packed)))
    assert "paused" == arrive("dt=1/a.csv")["reason"]

    assert 1 == collect_window.handler(window, CONTEXT)["files"]

    assert 1 == len(routed.of(ROUTE.state_machine_arn))


def test_a_routes_window_starts_what_the_route_says(routed: StepFunctions) -> None:
    """Capacity by all bytes together, the captures that the folder shares, the parameters; nobody else's files."""
    put("dt=1/a.csv", "dt=1/b.csv", "dt=1/c.txt", "dt=2/d.csv")
    assert ["started", "coalesced"] == [arrive(name)["outcome"] for name in ("dt=1/a.csv", "dt=1/b.csv")]
    assert "no_route" == arrive("dt=1/c.txt")["reason"]
    [window] = routed.of(ROUTE.window_machine_arn)
    assert ("sales", FOLDER + "dt=1/") == (window["route"], window["folder"])

    collect_window.handler(window, CONTEXT)

    [run] = routed.of(ROUTE.state_machine_arn)
    expected = {
        "glue_max_capacity_dpus": 9,
        "JOB_NAME": "sales",
        "SRC_PREFIX": FOLDER + "dt=1/",
        "TRG_PREFIX": "curated/1",
        "route": "sales",
        "captures": {"dt": "1"},
        "parameters": {"DAY": "1"},
        "files": 2,
        "bytes": 16,
    }
    assert expected == {name: run[name] for name in expected}


def test_whatever_becomes_of_a_routes_arrival_names_the_route(routed: StepFunctions) -> None:
    """For the log line and the metrics: once decided, skipped, foreseen or failed."""
    put("dt=1/a.csv")
    arrival, settings = created(key=FOLDER + "dt=1/a.csv"), vars(live)["this_stack"]()
    planned = plan_arrival(live.gates, arrival, settings)

    outcomes = [start(live.gates, planned) for _ in range(2)]
    outcomes.append(foresee(live.gates, planned))
    outcomes.append(
        start(live.gates, plan_arrival(live.gates, replace(arrival, key=FOLDER + "dt=1/gone.csv"), settings))
    )
    assert [(Started, "sales"), (Coalesced, "sales"), (Coalesced, "sales"), (Skip, "sales")] == [
        (type(one), one.route) for one in outcomes
    ]

    broken: Any = Client(refusal("503", 503))
    with pytest.raises(RetryableCallError) as unread:
        plan_arrival(make_gates(broken, broken), arrival, settings)
    with pytest.raises(RetryableCallError) as unstarted:
        start(make_gates(live.s3, broken), planned)
    assert ["sales", "sales"] == [unread.value.route, unstarted.value.route]


def test_a_routes_source_is_the_folder_that_is_gathered(routed: StepFunctions) -> None:
    """All that lies below it, empty objects too where the route takes them, and nothing that fails on its own arrival."""
    put("t/acme/a.csv", "t/acme/x/y/b.csv", "t/other/c.csv", "t/acme/x/odd.csv", "t/acme/_x/odd.csv", "t/acme/.a.csv")
    assert ["hidden_file"] * 2 == [arrive(name)["reason"] for name in ("t/acme/_x/odd.csv", "t/acme/.a.csv")]
    collect_window.s3.put_object(Bucket=BUCKET, Key=FOLDER + "t/acme/empty.csv", Body=b"")
    assert ["started", "coalesced"] == [arrive(name)["outcome"] for name in ("t/acme/a.csv", "t/acme/x/y/b.csv")]
    [window] = routed.of(ROUTE.window_machine_arn)

    assert 3 == collect_window.handler(window, CONTEXT)["files"]
    [run] = routed.of(ROUTE.state_machine_arn)
    assert (FOLDER + "t/acme/", {"tenant": "acme"}) == (run["SRC_PREFIX"], run["captures"])


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize(("name", "deep"), [("deep", True), ("sales", False), ("odd", False), ("gone", False)])
def test_only_a_source_is_listed_deep(name: str, *, deep: bool) -> None:
    """Whatever other routes have: a listing of all that lies below a folder may be long."""
    window = protocol.Window(name, BUCKET, FOLDER, 1_800_000_000, 60, None)

    assert deep == is_listed_deep(window, vars(collect_window)["this_stack"]())


def test_a_backfill_counts_the_windows_of_routes(routed: StepFunctions) -> None:
    """By the machine that they are executions of."""
    put("dt=1/a.csv", "dt=1/b.csv", "dt=2/c.csv")
    names = [f"dt={name}.csv" for name in ("1/a", "1/b", "2/c")]
    assert 2 == len(backfill_batch.handler({"Items": [item(name, dry_run=True) for name in names]}, CONTEXT)["windows"])


def test_a_window_whose_route_is_gone_says_so(routed: StepFunctions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest stands; once the route is back, a redrive starts the run."""
    put("dt=1/a.csv")
    arrive("dt=1/a.csv")
    [window] = routed.of(ROUTE.window_machine_arn)
    collect_window.handler(window, CONTEXT)
    routed.started.clear()
    with_routes = vars(collect_window)["this_stack"]
    monkeypatch.setattr(collect_window, "this_stack", lambda: replace(ROUTE, source_prefix="elsewhere/"))
    with pytest.raises(SettingsError, match="deploy the route again, then redrive"):
        collect_window.handler(window, CONTEXT)
    monkeypatch.setattr(collect_window, "this_stack", with_routes)
    assert 1 == collect_window.handler(window, CONTEXT)["files"]
    assert 1 == len(routed.of(ROUTE.state_machine_arn))
