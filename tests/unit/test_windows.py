"""The words of the windows protocol: slots, folders, names, manifests; and how many calls an arrival makes."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import windows
from shared.domain.choose import own_folder
from shared.domain.errors import ManifestMissingError
from shared.domain.memory import MOST_MANIFESTS, MOST_OPEN, Memory, Opened
from shared.domain.windows import File, Generation, Sighting, Slots, Window
from tests.unit.builders import REPOSITORY

MOMENT = int(datetime(2026, 11, 24, 5, 20, 42, tzinfo=UTC).timestamp())
WINDOW = Window("job:target", "bucket", "in/green/dt=2026-11-24/", MOMENT - 42, 60, None)
FILE = File("in/green/dt=2026-11-24/a.csv", 12, "e1", MOMENT)
LEGAL = re.compile(r"[A-Za-z0-9_-]{1,80}")
MACHINE = json.loads((REPOSITORY / "statemachine/window.asl.json").read_text())


class Gates:
    """Manifests and the window machine, and what was asked of them."""

    def __init__(
        self, manifests: dict[int, list[File]] | None = None, answers: dict[int, Opened | None] | None = None
    ) -> None:
        found = {Generation(WINDOW, number): files for number, files in (manifests or {}).items()}
        self.manifests = {one.manifest_key: windows.write_manifest(files) for one, files in found.items()}
        self.answers = {Generation(WINDOW, number).name: answer for number, answer in (answers or {}).items()}
        self.asked: list[str] = []

    def _ask(self, what: str, name: str) -> None:
        self.asked.append(f"{what} {name.removesuffix('.json').replace('/', '-').rsplit('-', 1)[-1]}")
        assert len(self.asked) < 50, "it asks for ever"

    def get(self, key: str) -> bytes | None:
        """Read a manifest."""
        self._ask("get", key)
        return self.manifests.get(key)

    def start(self, name: str, _given: str) -> Opened | None:
        """Start a generation: a new one, or as was said before."""
        self._ask("start", name)
        return self.answers.get(name, Opened(MOMENT, new=True))

    def describe(self, name: str) -> float | None:
        """Return when a generation was started, if it was."""
        self._ask("describe", name)
        known = self.answers.get(name)
        return known and known.start_date


def joined(gates: Gates, seen_at: float = MOMENT + 1, memory: Memory | None = None) -> tuple[int, bool, list[str]]:
    """Let FILE arrive; returns its generation, whether it opened it, and the calls after HEAD."""
    found = windows.join(Sighting(WINDOW, FILE, seen_at), memory or Memory(), gates.get, gates.start)
    return found.generation.number, found.new, gates.asked


OLD = Opened(MOMENT - 30, new=False)
CLOSING = Opened(MOMENT - 70, new=False)
LATE = MOMENT + 3600
# The slot's first window is over for sure: two windows after the slot began, and two seconds for the clocks.
NO_MORE_THAN_LATE = MOMENT - 42 + 2 * 60 + 2
OTHER = FILE._replace(key="in/green/dt=2026-11-24/b.csv")


# The manifests that are there, what was said of the executions, when S3 showed the arrival; its generation, whether it is
# new, and what was asked.
JOINED: dict[str, tuple[Gates, float, tuple[int, bool, list[str]]]] = {
    "nobody came before": (Gates(), MOMENT + 1, (0, True, ["start 0"])),
    "the window is open": (Gates(answers={0: OLD}), MOMENT + 1, (0, False, ["start 0"])),
    "it closes, too late for it": (Gates(answers={0: CLOSING}), MOMENT + 1, (1, True, ["start 0", "get 0", "start 1"])),
    "it has closed, in time for it": (Gates({0: [FILE]}, {0: None}), MOMENT + 1, (0, False, ["start 0", "get 0"])),
    "it has closed without it": (Gates({0: [OTHER]}, {0: None}), MOMENT + 1, (1, True, ["start 0", "get 0", "start 1"])),
    "it has failed": (Gates(answers={0: None}), MOMENT + 1, (1, True, ["start 0", "get 0", "start 1"])),
    "a late delivery of what was collected": (Gates({0: [FILE]}, {0: None}), LATE, (0, False, ["get 0"])),
    "a late upload, into the open third generation": (
        Gates({0: [OTHER], 1: []}, {0: None, 2: Opened(LATE - 30, new=False)}), LATE, (2, False, ["get 0", "get 1", "get 2", "start 2"]),
    ),
    "at the end of the first window's time, whose name Step Functions still has": (
        Gates(answers={0: Opened(NO_MORE_THAN_LATE, new=True)}), NO_MORE_THAN_LATE, (0, True, ["start 0"]),
    ),
    "after it, when only the manifest is sure to be there": (
        Gates(answers={0: Opened(NO_MORE_THAN_LATE, new=True)}), NO_MORE_THAN_LATE + 0.1, (0, True, ["get 0", "start 0"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("gates", "seen_at", "expected"), JOINED.values(), ids=JOINED)
def test_where_an_arrival_ends_and_what_it_asks(
    gates: Gates, seen_at: float, expected: tuple[int, bool, list[str]]
) -> None:
    """At most one call after HEAD while its window is open."""
    assert expected == joined(gates, seen_at)


FORESEEN = {
    "nobody came before": (Gates(), (0, True, ["get 0", "describe 0"])),
    "its window is open": (Gates(answers={0: OLD}), (0, False, ["get 0", "describe 0"])),
    "its window closes at this very moment": (
        Gates(answers={0: Opened(MOMENT - 59, new=False)}), (1, True, ["get 0", "describe 0", "get 1", "describe 1"]),
    ),
    "it was collected": (Gates({0: [OTHER, FILE]}), (0, False, ["get 0"])),
    "it came late, and was collected then": (Gates({0: [OTHER], 1: [FILE]}), (1, False, ["get 0", "get 1"])),
    "all windows have closed without it": (Gates({0: [OTHER], 1: []}), (2, True, ["get 0", "get 1", "get 2", "describe 2"])),
    "the window for latecomers is open": (Gates({0: [OTHER]}, {1: OLD}), (1, False, ["get 0", "get 1", "describe 1"])),
}  # fmt: skip


@pytest.mark.parametrize(("gates", "expected"), FORESEEN.values(), ids=FORESEEN)
def test_where_an_arrival_would_end(gates: Gates, expected: tuple[int, bool, list[str]]) -> None:
    """As if it arrived, but nothing is started to find out."""
    found = windows.foresee_join(Sighting(WINDOW, FILE, MOMENT + 1), Memory(), gates.get, gates.describe)

    assert expected == (found.generation.number, found.new, gates.asked)


def test_what_a_dry_run_has_read_once_it_knows() -> None:
    """Manifests, and when a window was started; only a manifest that was not there is asked for again."""
    gates, memory = Gates({0: [OTHER]}, {1: OLD}), Memory()
    for _ in range(2):
        windows.foresee_join(Sighting(WINDOW, FILE, MOMENT + 1), memory, gates.get, gates.describe)

    assert ["get 0", "get 1", "describe 1", "get 1"] == gates.asked


def test_a_window_that_is_known_to_be_open_is_not_asked_again() -> None:
    """And one that is over is not asked for its state, only for its manifest."""
    gates, memory = Gates(answers={0: OLD, 1: Opened(MOMENT + 31, new=True)}), Memory()
    assert (0, False, ["start 0"]) == joined(gates, MOMENT + 1, memory)
    assert (0, False, ["start 0"]) == joined(gates, MOMENT + 29.9, memory)
    assert (1, True, ["start 0", "get 0", "start 1"]) == joined(gates, MOMENT + 30, memory)


def test_a_manifest_is_read_once_and_its_absence_every_time() -> None:
    """What is there stays; what is not there may come."""
    gates, memory = Gates(answers={0: None, 1: CLOSING, 2: Opened(MOMENT, new=True)}), Memory()
    joined(gates, MOMENT + 1, memory)
    assert ["start 0", "get 0", "start 1", "get 1", "start 2"] == gates.asked
    gates.asked.clear()
    gates.manifests[Generation(WINDOW, 0).manifest_key] = windows.write_manifest([FILE])
    assert (0, False, ["start 0", "get 0"]) == joined(gates, MOMENT + 2, memory)
    assert (0, False, ["start 0", "get 0", "start 0"]) == joined(gates, MOMENT + 3, memory)


def test_a_memory_forgets_the_oldest() -> None:
    """An environment that lives long doesn't grow."""
    memory = Memory()
    for number in range(1000):
        memory.keep_start_date(str(number), 0)
        memory.keep_manifest(str(number), frozenset())
    assert (MOST_OPEN, MOST_MANIFESTS) == (len(memory.start_dates), len(memory.manifests))
    assert "999" in memory.start_dates


def test_a_manifest_that_vanishes_is_an_error() -> None:
    """It is put and not there: somebody deletes them."""
    with pytest.raises(ManifestMissingError, match="never be deleted"):
        windows.store_manifest(Generation(WINDOW, 0), [FILE], lambda _: None, lambda _key, _body: None)


def test_the_manifest_as_users_read_it() -> None:
    """One entry a file, by key, without a blank: a storm has many."""
    assert (
        f'{{"files":[{{"key":"{FILE.key}","size":12,"etag":"e1","last_modified":"2026-11-24T05:20:42Z"}},'
        f'{{"key":"{OTHER.key}","size":12,"etag":"e1","last_modified":"2026-11-24T05:20:42Z"}}]}}'
    ) == windows.write_manifest([OTHER, FILE]).decode()
    assert [FILE, OTHER] == windows.parse_manifest(windows.write_manifest([OTHER, FILE]))


keys = st.text(min_size=1, max_size=40).filter(lambda key: key.isprintable())


@given(keys, keys, st.integers(0, 2**33), st.integers(1, 3600), st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,64}"))
def test_any_window_has_a_legal_name_and_an_input_that_reads_back(
    route: str, folder: str, moment: int, seconds: int, label: str | None
) -> None:
    """Whatever the key is; and its slot holds the upload."""
    file = File(f"{folder}/x", 1, "e", moment)
    window = Slots(route, "b", seconds).window_of(file, own_folder(file.key), label)
    assert window.takes(file)
    assert window.start <= moment < window.start + seconds
    for number in (0, 999_999_999):
        generation = Generation(window, number)
        assert LEGAL.fullmatch(generation.name)
        assert generation == windows.parse_generation(json.loads(generation.input))


# Folder and label; the readable part of the names, the digest of the window, and that of the run on a, b and generation 3.
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
    given = {"folder": folder, "start": "2026-11-24T05:20:00Z", "seconds": 60, "reprocess": label, "generation": 3}
    assert json.dumps({"route": "job:target", "bucket": "bucket", **given}) == generation.input

    assert (f"{name}-3", f"windows/{name}/3.json") == (generation.name, generation.manifest_key)
    started, written = windows.name_and_input(
        generation, windows.write_manifest([FILE, OTHER]), "results", {"JOB_NAME": "j"}
    )
    assert f"{readable}-20261124T052000Z-{run}" == started
    assert (
        '{"JOB_NAME": "j", "window": {"start": "2026-11-24T05:20:00Z", "seconds": 60, "generation": 3}, '
        f'"manifest": "s3://results/windows/{name}/3.json", "files": 2, "bytes": 24}}'
    ) == written


def test_the_folder_of_a_key() -> None:
    """Up to and with its last slash."""
    folders = {"a/b/c.csv": "a/b/", "c.csv": "", "a//c.csv": "a//", "a/ b/c": "a/ b/"}

    assert folders == {key: own_folder(key) for key in folders}


def test_the_machine_waits_for_the_grace_that_the_protocol_counts_on() -> None:
    """From the start date that arrivals are told, and one second more, because a timestamp is cut to whole seconds."""
    wait = MACHINE["States"]["Wait until it is over"]
    start = "$toMillis($states.context.Execution.StartTime)"
    expected = f"{{% $fromMillis({start} + 1000 * ($states.input.seconds + {windows.GRACE} + 1)) %}}"
    assert expected == wait["Timestamp"]
