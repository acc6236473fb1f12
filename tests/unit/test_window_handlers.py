"""Arrivals with windows, and the collector: the real handlers, on moto's S3 and a Step Functions that remembers."""

import json
from collections.abc import Iterator
from copy import replace

import pytest
from moto import mock_aws

from handlers import collect_window
from handlers import start_execution as live
from shared.domain import windows as protocol
from shared.domain.errors import ForeignObjectError, MalformedEventError, RetryableCallError, SettingsError
from shared.domain.gather import is_listed_deep
from shared.domain.start import foresee, plan_arrival, start
from shared.domain.windows import Generation, Window, parse_generation
from shared.gates.real import make_gates
from tests.unit.builders import BUCKET, CONTEXT, PREFIX, Client, created, refusal, stack, table
from tests.unit.world import Cloud

MINUTE = stack(window_seconds=60)
# A dated folder, one whose source is deep, and one with a say in both.
ROUTES = {
    "sales": (
        f'match = "{PREFIX}dt={{dt}}/{{file}}.csv"\ntarget = "curated/{{dt}}"\nwindow_seconds = 60\n'
        'capacity = [{ up_to = "10 B", dpus = 3 }, { dpus = 9 }]\n[parameters]\nDAY = "{dt}"\n'
    ),
    "deep": (
        f'match = "{PREFIX}t/{{tenant}}/{{path...}}.csv"\ntarget = "deep/{{tenant}}"\n'
        f'source = "{PREFIX}t/{{tenant}}/"\naccept_empty = true\nwindow_seconds = 60\n'
    ),
    "odd": (
        f'match = ["{PREFIX}t/{{tenant}}/{{day}}/odd.csv", "{PREFIX}dt={{day}}/odd.csv"]\n'
        'target = "odd/{day}"\npriority = 1\n'
    ),
}
ROUTED = stack(table=table(**ROUTES))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Return a stack with windows of a minute, of which none ends while a test runs."""
    monkeypatch.setattr(protocol, "slot_start", lambda _last_modified, _seconds: 1_800_000_000)
    with mock_aws():
        yield Cloud(monkeypatch, MINUTE, PREFIX)


def test_a_storm_is_one_run_on_exactly_its_files(cloud: Cloud) -> None:
    """The first arrival opens the window, the others are gathered; then one execution starts, with a manifest."""
    cloud.put("a.csv", "b.csv", "c.csv", "deep/d.csv", "_$folder$", "folder/")
    cloud.put("empty.csv", body=b"")
    assert ["started", "coalesced", "coalesced"] == cloud.arrive("a.csv", "b.csv", "a.csv")
    assert 1 == cloud.sfn.asked
    [window] = cloud.windows.values()

    answer = collect_window.handler(window, CONTEXT)
    assert answer == collect_window.handler(window, CONTEXT)

    assert [answer["execution_name"]] == list(cloud.runs)
    assert answer["execution_arn"].endswith(f":{answer['execution_name']}")
    [run] = cloud.runs.values()
    assert [PREFIX + name for name in ("a.csv", "b.csv", "c.csv")] == [
        file["key"] for file in cloud.manifest(run["manifest"])
    ]
    assert {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": MINUTE.job_name,
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": PREFIX,
        "TRG_PREFIX": MINUTE.target_prefix,
        "window": {"start": "2027-01-15T08:00:00Z", "seconds": 60, "generation": 0},
        "manifest": answer["manifest"],
        "files": 3,
        "bytes": 24,
    } == run


def test_the_trace_goes_on_into_window_and_run(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an arrival, a backfill and the collector alike."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")
    cloud.put("a.csv")
    cloud.arrive("a.csv")
    cloud.backfill(["a.csv"], reprocess="again")
    for number in (0, 1):
        cloud.collect(number)

    assert ["Root=1"] * 4 == [one["trace"] for one in cloud.sfn.started.values()]


def test_a_window_of_another_bucket_is_refused(cloud: Cloud) -> None:
    """The collector lists nobody else's."""
    window = Generation(Window("r", "results", PREFIX, 1_800_000_000, 60, None), 0)
    cloud.s3.put_object(Bucket="results", Key=PREFIX + "a.csv", Body=b"x")

    with pytest.raises(ForeignObjectError):
        collect_window.handler(json.loads(window.input), CONTEXT)


@pytest.mark.parametrize("given", [None, {}, [], {"start": "soon"}, "window"])
def test_what_is_no_window_is_refused(given: object) -> None:
    """With what to do."""
    with pytest.raises(MalformedEventError, match="input of one of its executions"):
        parse_generation(given)


@pytest.mark.parametrize(
    ("source_prefix", "listed"), [(PREFIX + "2026", PREFIX + "2026"), (PREFIX, PREFIX), (PREFIX[:-3], PREFIX)]
)
def test_no_more_is_listed_than_may_be(cloud: Cloud, source_prefix: str, listed: str) -> None:
    """The role may list what begins with SourcePrefix, which may end without a slash; a longer folder lists less."""
    cloud.deploy(replace(MINUTE, source_prefix=source_prefix))
    asked: list[str] = []
    events, name = cloud.s3.meta.events, "provide-client-params.s3.ListObjectsV2"
    events.register(name, lambda params, **_: asked.append(params["Prefix"]), unique_id="listed")
    cloud.put("2026-a.csv")
    cloud.arrive("2026-a.csv")

    answer = cloud.collect()

    events.unregister(name, unique_id="listed")
    assert ([listed], 1) == (asked, answer["files"])


def test_a_routes_window_starts_what_the_route_says(cloud: Cloud) -> None:
    """Capacity by all bytes together, the captures that the folder shares, the parameters; nobody else's files."""
    cloud.deploy(ROUTED)
    cloud.put("dt=1/a.csv", "dt=1/b.csv", "dt=1/c.txt", "dt=1/odd.csv", "dt=2/d.csv")
    assert ["started", "coalesced", "no_route"] == cloud.arrive("dt=1/a.csv", "dt=1/b.csv", "dt=1/c.txt")
    [window] = cloud.windows.values()
    assert ("sales", PREFIX + "dt=1/") == (window["route"], window["folder"])

    cloud.collect()

    [run] = cloud.runs.values()
    expected = {
        "glue_max_capacity_dpus": 9,
        "JOB_NAME": "sales-job",
        "SRC_PREFIX": PREFIX + "dt=1/",
        "TRG_PREFIX": "curated/1",
        "route": "sales",
        "captures": {"dt": "1"},
        "parameters": {"DAY": "1"},
        "files": 2,
        "bytes": 16,
    }
    assert expected == {name: run[name] for name in expected}


def test_whatever_becomes_of_a_routes_arrival_names_the_route(cloud: Cloud) -> None:
    """For the log line and the metrics: once decided, skipped, foreseen or failed."""
    cloud.deploy(ROUTED)
    cloud.put("dt=1/a.csv")
    here, gone = (created(key=PREFIX + name) for name in ("dt=1/a.csv", "dt=1/gone.csv"))
    planned = plan_arrival(live.gates, here, ROUTED)

    outcomes = [start(live.gates, planned), start(live.gates, planned), foresee(live.gates, planned)]
    outcomes.append(start(live.gates, plan_arrival(live.gates, gone, ROUTED)))
    assert [("Started", "sales"), ("Coalesced", "sales"), ("Coalesced", "sales"), ("Skip", "sales")] == [
        (type(one).__name__, one.route) for one in outcomes
    ]

    broken = Client(refusal("503", 503))
    with pytest.raises(RetryableCallError) as unread:
        plan_arrival(make_gates(broken, broken), here, ROUTED)  # type: ignore[arg-type]
    with pytest.raises(RetryableCallError) as unstarted:
        start(make_gates(cloud.s3, broken), planned)  # type: ignore[arg-type]
    assert ["sales", "sales"] == [unread.value.route, unstarted.value.route]


def test_a_routes_source_is_the_folder_that_is_gathered(cloud: Cloud) -> None:
    """All that lies below it, empty objects too where the route takes them, and nothing that fails on its own arrival."""
    cloud.deploy(ROUTED)
    hidden = ["t/acme/_x/odd.csv", "t/acme/.a.csv"]
    cloud.put("t/acme/a.csv", "t/acme/x/y/b.csv", "t/other/c.csv", "t/acme/x/odd.csv", *hidden)
    cloud.put("t/acme/empty.csv", body=b"")
    assert ["hidden_file"] * 2 == cloud.arrive(*hidden)
    assert ["started", "coalesced"] == cloud.arrive("t/acme/a.csv", "t/acme/x/y/b.csv")

    assert 3 == cloud.collect()["files"]

    [run] = cloud.runs.values()
    assert (PREFIX + "t/acme/", {"tenant": "acme"}) == (run["SRC_PREFIX"], run["captures"])


def test_only_a_source_is_listed_deep() -> None:
    """Whatever other routes have: a listing of all that lies below a folder may be long."""
    windows = {name: Window(name, BUCKET, PREFIX, 1_800_000_000, 60, None) for name in (*ROUTES, "gone")}

    assert ["deep"] == [name for name, window in windows.items() if is_listed_deep(window, ROUTED)]


def test_a_window_whose_route_is_gone_says_so(cloud: Cloud) -> None:
    """Its manifest stands; once the route is back, a redrive starts the run."""
    cloud.deploy(ROUTED)
    cloud.put("dt=1/a.csv")
    cloud.arrive("dt=1/a.csv")
    [window] = cloud.windows.values()
    cloud.collect()
    cloud.sfn.started.clear()
    cloud.deploy(replace(MINUTE, source_prefix="elsewhere/"))
    with pytest.raises(SettingsError, match="deploy the route again, then redrive"):
        collect_window.handler(window, CONTEXT)

    cloud.deploy(ROUTED)

    assert (1, 1) == (collect_window.handler(window, CONTEXT)["files"], len(cloud.runs))
