"""Windows: names, manifests and calls of the protocol; then the real handlers, on moto's S3."""

import json
import re
from collections.abc import Iterator
from copy import replace
from datetime import UTC, datetime

import pytest
from moto import mock_aws

from handlers import collect_window
from shared.domain import windows
from shared.domain.choose import own_folder
from shared.domain.errors import ForeignObjectError, MalformedEventError, ManifestMissingError, SettingsError
from shared.domain.gather import listing_of
from shared.domain.memory import MOST_MANIFESTS, MOST_OPEN, Memory, Opened
from shared.domain.windows import File, Generation, Sighting, Slots, Window
from tests.unit.builders import BUCKET, CONTEXT, PREFIX, stack, states, table
from tests.unit.world import Cloud

MOMENT = int(datetime(2026, 11, 24, 5, 20, 42, tzinfo=UTC).timestamp())
FILE = File("in/green/dt=2026-11-24/a.csv", 12, "e1", MOMENT)
OTHER = FILE._replace(key="in/green/dt=2026-11-24/b.csv")
WINDOW = Slots("job:target", "bucket", 60).window_of(FILE, own_folder(FILE.key))


class Gates:
    """Manifests and executions of the window machine, by generation; and what was asked, of which generation."""

    def __init__(
        self, manifests: dict[int, list[File]] | None = None, answers: dict[int, Opened | None] | None = None
    ) -> None:
        self.manifests = {number: windows.write_manifest(files) for number, files in (manifests or {}).items()}
        self.answers = answers or {}
        self.asked: list[str] = []

    def _ask(self, what: str, name: str) -> int:
        number = int(re.findall(r"\d+", name)[-1])
        self.asked.append(f"{what} {number}")
        assert len(self.asked) < 50, "it asks for ever"
        return number

    def get(self, key: str) -> bytes | None:
        return self.manifests.get(self._ask("get", key))

    def start(self, name: str, _given: str) -> Opened | None:
        return self.answers.get(self._ask("start", name), Opened(MOMENT, new=True))

    def describe(self, name: str) -> float | None:
        """Return when it was started; long ago where a start is refused, and never where that would begin it."""
        known = self.answers.get(self._ask("describe", name), FRESH) or CLOSING
        return None if known.new else known.start_date

    def join(self, seen_at: float, memory: Memory | None = None) -> tuple[int, bool]:
        """Let FILE arrive; returns its generation, and whether it has opened that."""
        found = windows.join(Sighting(WINDOW, FILE, seen_at), memory or Memory(), self.get, self.start)
        return found.generation.number, found.new

    def foresee(self, seen_at: float, memory: Memory | None = None) -> tuple[int, bool]:
        found = windows.foresee_join(Sighting(WINDOW, FILE, seen_at), memory or Memory(), self.get, self.describe)
        return found.generation.number, found.new


SOON, LATE = MOMENT + 1, MOMENT + 3600
OLD, CLOSES, CLOSING = (Opened(MOMENT - ago, new=False) for ago in (30, 59, 70))
# The slot's first window is over for sure: two windows after the slot began, and two seconds for the clocks.
LAST = MOMENT - 42 + 2 * 60 + 2
FRESH, AGAIN = Opened(LAST, new=True), Opened(LATE - 30, new=False)
GONE: dict[int, Opened | None] = {0: None, 1: None}
# The manifests that are there, what is said of the executions, when S3 showed the arrival; where it ends, whether it
# opens that, and what is asked after HEAD: one call while its window is open.
JOINED: dict[str, tuple[Gates, float, tuple[int, bool], str]] = {
    "nobody came before": (Gates(), SOON, (0, True), "start 0"),
    "the window is open": (Gates({}, {0: OLD}), SOON, (0, False), "start 0"),
    "it closes, too late for it": (Gates({}, {0: CLOSING}), SOON, (1, True), "start 0, get 0, start 1"),
    "it closes at this very moment": (Gates({}, {0: CLOSES}), SOON, (1, True), "start 0, get 0, start 1"),
    "it has closed, in time for it": (Gates({0: [FILE]}, {0: None}), SOON, (0, False), "start 0, get 0"),
    "it has closed without it": (Gates({0: [OTHER]}, {0: None}), SOON, (1, True), "start 0, get 0, start 1"),
    "the second has it": (Gates({0: [OTHER], 1: [FILE]}, GONE), SOON, (1, False), "start 0, get 0, start 1, get 1"),
    "it has failed": (Gates({}, {0: None}), SOON, (1, True), "start 0, get 0, start 1"),
    "a late delivery of what was collected": (Gates({0: [FILE]}, {0: None}), LATE, (0, False), "get 0"),
    "late, for the third": (Gates({0: [OTHER], 1: []}, {2: AGAIN}), LATE, (2, False), "get 0, get 1, get 2, start 2"),
    "the name is still known at the end of its time": (Gates({}, {0: FRESH}), LAST, (0, True), "start 0"),
    "only manifests are sure after it": (Gates({}, {0: FRESH}), LAST + 0.1, (0, True), "get 0, start 0"),
}


@pytest.mark.parametrize(("gates", "seen_at", "end", "asked"), JOINED.values(), ids=JOINED)
def test_where_an_arrival_ends_and_what_it_asks(gates: Gates, seen_at: float, end: object, asked: str) -> None:
    """A dry run foresees it, and starts nothing to find out."""
    assert (end, asked) == (gates.join(seen_at), ", ".join(gates.asked))
    assert end == gates.foresee(seen_at), gates.asked


def test_what_is_known_is_not_asked_again() -> None:
    """Neither an open window, nor the state of a closed one, nor a manifest; one that was not there may have come."""
    open_, memory = Gates({}, {0: OLD, 1: Opened(MOMENT + 31, new=True)}), Memory()
    assert [(0, False), (0, False), (1, True)] == [open_.join(MOMENT + later, memory) for later in (1, 29.9, 30)]
    assert "start 0, get 0, start 1" == ", ".join(open_.asked)

    closed, memory = Gates({}, {0: None, 1: CLOSING}), Memory()
    assert (2, True) == closed.join(SOON, memory), closed.asked
    closed.manifests[0] = windows.write_manifest([FILE])
    closed.asked.clear()
    assert [(0, False)] * 2 == [closed.join(SOON, memory) for _ in range(2)]
    assert "start 0, get 0, start 0" == ", ".join(closed.asked)

    dry, memory = Gates({0: [OTHER]}, {1: OLD}), Memory()
    assert [(1, False)] * 2 == [dry.foresee(SOON, memory) for _ in range(2)]
    assert "get 0, get 1, describe 1, get 1" == ", ".join(dry.asked)


def test_a_memory_forgets_the_oldest() -> None:
    memory = Memory()
    for number in range(1000):
        memory.keep_start_date(str(number), 0)
        memory.keep_manifest(str(number), frozenset())
    assert [str(number) for number in range(1000 - MOST_OPEN, 1000)] == list(memory.start_dates)
    assert MOST_MANIFESTS == len(memory.manifests), "manifests that are kept"


def test_a_manifest_that_vanishes_is_an_error() -> None:
    with pytest.raises(ManifestMissingError, match="never be deleted"):
        windows.store_manifest(Generation(WINDOW, 0), [FILE], lambda _: None, lambda _key, _body: None)


def test_the_manifest_as_users_read_it() -> None:
    """One entry a file, by key, without a blank: a storm has many."""
    assert (
        f'{{"files":[{{"key":"{FILE.key}","size":12,"etag":"e1","last_modified":"2026-11-24T05:20:42Z"}},'
        f'{{"key":"{OTHER.key}","size":12,"etag":"e1","last_modified":"2026-11-24T05:20:42Z"}}]}}'
    ) == windows.write_manifest([OTHER, FILE]).decode()
    assert [FILE, OTHER] == windows.parse_manifest(windows.write_manifest([OTHER, FILE]))


# Folder and label; the readable part of the names, the digest of the window, and that of the run of generation 3.
GOLDEN = [
    (WINDOW.folder, None, "dt-2026-11-24", "1a81eae640b60d088c78126ef3dcb518", "80099ee19e9e356d5c88a8fde99f9963"),
    (WINDOW.folder, "again", "dt-2026-11-24", "687943676cd46c499918eebaf45e52d8", "531518a9dc2d8b8e15d608eebce777b2"),
    ("", None, "window", "18efde534d9737aa326f24b7cb745a21", "31381345b13329f680dcec9da738ac66"),
    ("🚕/", None, "window", "ac4277fb179467db77a1c2ec896c292f", "2776a6eb87993be06d8d702415a232d6"),
    ("in/été 2026 🚕/", None, "ete-2026", "f5c37f39098531d9c0fc55b2551e3229", "6d0a9c7a9b28de6f667b9d94a6343183"),
    ("in/_-a-_/", None, "_-a-_", "2e2ceb06328c8d64f4f5149623fc83a3", "03f8b4ed11c03f7a6fd9559216bfe34b"),
    ("in/" + "x" * 30 + "/", None, "x" * 20, "8822e5bab6204e747f91748aa9ee81d6", "c7d69135e7c0035d284726b46b28b17a"),
]


@pytest.mark.parametrize(("folder", "label", "readable", "digest", "run"), GOLDEN)
def test_the_names_of_a_window_never_change(
    folder: str, label: str | None, readable: str, digest: str, run: str
) -> None:
    """What is stored under them, or was started, must be found by the next version of this code."""
    generation = Generation(WINDOW._replace(folder=folder, reprocess=label), 3)
    name = f"{readable}-20261124T052000Z-{digest}"
    assert len(f"{name}-999999999") <= 80
    given = {"folder": folder, "start": "2026-11-24T05:20:00Z", "seconds": 60, "reprocess": label, "generation": 3}
    assert json.dumps({"route": "job:target", "bucket": "bucket", **given}) == generation.input
    assert generation == windows.parse_generation(json.loads(generation.input))

    assert (f"{name}-3", f"windows/{name}/3.json") == (generation.name, generation.manifest_key)
    manifest = windows.write_manifest([FILE, OTHER])
    started, written = windows.name_and_input(generation, manifest, "results", {"JOB_NAME": "j"})
    assert f"{readable}-20261124T052000Z-{run}" == started
    assert (
        '{"JOB_NAME": "j", "window": {"start": "2026-11-24T05:20:00Z", "seconds": 60, "generation": 3}, '
        f'"manifest": "s3://results/windows/{name}/3.json", "files": 2, "bytes": 24}}'
    ) == written


@pytest.mark.parametrize("seconds", [1, 7, 60, 3600])
def test_a_slot_is_whole_windows_since_1970(seconds: int) -> None:
    window, start = Slots("r", "b", seconds).window_of(FILE, "f/"), MOMENT // seconds * seconds
    moments = [start - 1, start, start + seconds - 1, start + seconds]
    taken = [window.takes(FILE._replace(last_modified=moment)) for moment in moments]
    assert (start, [False, True, True, False]) == (window.start, taken)


def test_the_folder_of_a_key() -> None:
    folders = {"a/b/c.csv": "a/b/", "c.csv": "", "a//c.csv": "a//", "a/ b/c": "a/ b/"}
    assert folders == {key: own_folder(key) for key in folders}


def test_the_machine_waits_for_the_grace_that_the_protocol_counts_on() -> None:
    """From the start date that arrivals are told, and one second more, because a timestamp is cut to whole seconds."""
    start = "$toMillis($states.context.Execution.StartTime)"
    expected = f"{{% $fromMillis({start} + 1000 * ($states.input.seconds + {windows.GRACE} + 1)) %}}"
    assert expected == states("window")["Wait until it is over"]["Timestamp"]


# A prefix may end in the middle of a name.
MINUTE = stack(window_seconds=60, source_prefix=PREFIX[:-3])
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
    monkeypatch.setattr(windows, "slot_start", lambda _last_modified, _seconds: 1_800_000_000)
    with mock_aws():
        yield Cloud(monkeypatch, MINUTE, PREFIX)


def test_a_storm_is_one_run_on_exactly_its_files(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first arrival opens the window, the others are gathered; then one execution starts, in the trace of all."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")
    cloud.put("a.csv", "b.csv", "c.csv", "deep/d.csv", "_$folder$", "folder/")
    cloud.put("empty.csv", body=b"")
    assert ["started", "coalesced", "coalesced"] == cloud.arrive("a.csv", "b.csv", "a.csv")
    assert 1 == cloud.sfn.asked, "an open window is asked for again"
    [window] = cloud.windows.values()

    answer = collect_window.handler(window, CONTEXT)
    assert answer == collect_window.handler(window, CONTEXT)

    assert [answer["execution_name"]] == list(cloud.runs)
    assert answer["execution_arn"].endswith(f":{answer['execution_name']}")
    [run] = cloud.runs.values()
    listed = [file["key"].removeprefix(PREFIX) for file in cloud.manifest(run["manifest"])]
    assert ["a.csv", "b.csv", "c.csv"] == listed
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
    assert ["Root=1"] * 2 == [one["trace"] for one in cloud.sfn.started.values()]


def test_no_more_is_listed_than_may_be() -> None:
    """The role may list what begins with SourcePrefix; a longer folder lists less, and only a source is listed deep."""
    opened = {name: Window(name, BUCKET, PREFIX, 1_800_000_000, 60, None) for name in (*ROUTES, "gone")}
    prefixes = {PREFIX + "2026": PREFIX + "2026", PREFIX: PREFIX, PREFIX[:-3]: PREFIX}
    stacks = {one: replace(ROUTED, source_prefix=one) for one in prefixes}
    assert prefixes == {one: listing_of(opened["sales"], stacks[one]).prefix for one in prefixes}
    assert ["deep"] == [name for name, window in opened.items() if listing_of(window, ROUTED).deep]


def test_a_routes_window_starts_what_the_route_says(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Capacity by all bytes, what the folder captures, the parameters; all below a source, and nobody else's files."""
    cloud.deploy(ROUTED)
    cloud.put("dt=1/a.csv", "dt=1/b.csv", "dt=1/c.txt", "dt=1/odd.csv", "dt=2/d.csv", "t/other/c.csv")
    cloud.put("t/acme/a.csv", "t/acme/x/y/b.csv", "t/acme/x/odd.csv", "t/acme/_x/odd.csv", "t/acme/.a.csv")
    cloud.put("t/acme/empty.csv", body=b"")
    arrived = {
        "dt=1/a.csv": ("started", "sales"),
        "dt=1/b.csv": ("coalesced", "sales"),
        "dt=1/c.txt": ("no_route", None),
        "t/acme/_x/odd.csv": ("hidden_file", "odd"),
        "t/acme/.a.csv": ("hidden_file", "deep"),
        "t/acme/a.csv": ("started", "deep"),
        "t/acme/x/y/b.csv": ("coalesced", "deep"),
    }
    ends = zip(cloud.arrive(*arrived), [vars(line).get("route") for line in caplog.records], strict=True)
    assert arrived == dict(zip(arrived, ends, strict=True))

    for number in (0, 1):
        cloud.collect(number)

    sales = {
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
    deep = {"route": "deep", "SRC_PREFIX": PREFIX + "t/acme/", "captures": {"tenant": "acme"}, "files": 3}
    for expected, run in zip((sales, deep), cloud.runs.values(), strict=True):
        assert expected == {name: run[name] for name in expected}


def test_a_window_whose_bucket_or_route_is_gone_says_so(cloud: Cloud) -> None:
    """Nobody else's bucket is listed. The manifest stands; once the route is back, a redrive starts the run."""
    cloud.deploy(ROUTED)
    cloud.put("dt=1/a.csv")
    cloud.arrive("dt=1/a.csv")
    [window] = cloud.windows.values()
    cloud.deploy(replace(ROUTED, source_bucket_name="elsewhere"))
    with pytest.raises(ForeignObjectError):
        collect_window.handler(window, CONTEXT)
    assert 0 == cloud.s3.list_objects_v2(Bucket="results")["KeyCount"], "it has stored a manifest"
    cloud.deploy(ROUTED)
    cloud.collect()
    cloud.sfn.started.clear()
    cloud.deploy(replace(MINUTE, source_prefix="elsewhere/"))
    with pytest.raises(SettingsError, match="deploy the route again, then redrive"):
        collect_window.handler(window, CONTEXT)

    cloud.deploy(ROUTED)

    assert (1, 1) == (collect_window.handler(window, CONTEXT)["files"], len(cloud.runs)), cloud.runs


@pytest.mark.parametrize("given", [None, {}, [], {"start": "soon"}, "window", {"content": "0123"}])
def test_what_is_no_window_and_no_set_is_refused(given: object) -> None:
    with pytest.raises(
        MalformedEventError, match=r"^Not the input of a .*: start the window machine with the input of"
    ):
        collect_window.handler(given, CONTEXT)
