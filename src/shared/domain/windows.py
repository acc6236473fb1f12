"""Windows: a storm of files is one run. The whole protocol, without a client and without a clock of its own.

Uploads of one folder whose `LastModified` is in one slot share a window. The first arrival starts an execution of the
window machine. It waits until the window is over, lists the folder, stores a manifest of the slot's files and starts
the target once, on that manifest. An upload that is too late for a window opens the next *generation* of the slot.

Why each upload is in exactly one manifest:

- A generation is opened only after every former one was started. So it lists after all their deadlines, and sees all
  uploads that joined a former generation.
- A collect first reads the manifest of each former generation, and stores an empty one if there is none. From then on
  all of them are final, because a manifest is stored once and never changed. The collect leaves their files out.
- The manifest that is stored first decides; a second collect reads the stored one and acts on it.
- An arrival counts as joined only if S3 had it before the window's deadline, or if the stored manifest names it.
  Otherwise it goes on to the next generation. It never waits, and needs no answer from a window that has failed.

`tests/simulation/windows.py` runs this code against S3, Step Functions and clocks at their worst.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.domain.errors import MalformedEventError, ManifestMissingError
from shared.domain.memory import Memory, Opened, Upload
from shared.domain.names import digest, readable, timestamp

if TYPE_CHECKING:
    from shared.domain.sets import Content

# Seconds between a window's deadline and its listing, because the clocks of Lambda and Step Functions differ.
# statemachine/window.asl.json waits for them; a test compares the two.
GRACE = 2
LONGEST_WINDOW = 3600
MANIFESTS = "windows"

# The length of a name without the generation; nine of its 80 characters are left for the generation's digits.
FOLDER_LENGTH = 20


class File(NamedTuple):
    """One object in a listing or a manifest; size in bytes, `last_modified` in seconds since 1970."""

    key: str
    size: int
    etag: str
    last_modified: int

    @property
    def upload(self) -> Upload:
        """The upload that this file is."""
        return self.key, self.etag, self.last_modified


class Listing(NamedTuple):
    """The objects to list: their keys begin with the prefix; those in deeper folders only if `deep`."""

    bucket: str
    account: str
    prefix: str
    deep: bool


class Window(NamedTuple):
    """The arrivals of one folder in one slot; `start` and `seconds` are whole, `reprocess` is a user's label."""

    route: str
    bucket: str
    folder: str
    start: int
    seconds: int
    reprocess: str | None

    @property
    def identity(self) -> str:
        """The folder's last part and the slot, for people, and a digest of the window's identity."""
        return readable_name(self)

    @property
    def facts(self) -> dict[str, object]:
        """The window's identity; it has nothing that a deployment could change."""
        return {
            "route": self.route,
            "bucket": self.bucket,
            "folder": self.folder,
            "start": timestamp(self.start),
            "seconds": self.seconds,
            "reprocess": self.reprocess,
        }

    def manifest_key(self, generation: int) -> str:
        """Return the key of a generation's manifest, in the results bucket."""
        return f"{MANIFESTS}/{self.identity}/{generation}.json"

    def is_late(self, seen_at: float) -> bool:
        """Return whether the slot's first window would be over if its first upload had been announced at once."""
        return seen_at > self.start + 2 * self.seconds + GRACE

    def manifest_names(self, manifest: frozenset[Upload], file: File) -> bool:
        """Return whether a manifest of this window names the file."""
        return file.upload in manifest

    def takes(self, file: File) -> bool:
        """Return whether the file's time is in this window's slot."""
        return slot_start(file.last_modified, self.seconds) == self.start


class Slots(NamedTuple):
    """The windows of one route: slots of `seconds`."""

    route: str
    bucket: str
    seconds: int

    def window_of(self, file: File, folder: str, reprocess: str | None = None) -> Window:
        """Return the window of an upload: the same for every announcement."""
        start = slot_start(file.last_modified, self.seconds)
        return Window(self.route, self.bucket, folder, start, self.seconds, reprocess)


type Group = Window | Content
"""The group that an execution of the window machine gathers: the files of a window, or one content of a set."""


class Generation[G: Group = Window](NamedTuple):
    """One opening of a group: the execution of the window machine that collects it, and the manifest it stores."""

    group: G
    number: int

    @property
    def name(self) -> str:
        """The name of the execution that collects this generation."""
        return f"{self.group.identity}-{self.number}"

    @property
    def input(self) -> str:
        """The input of that execution: the group's identity."""
        return json.dumps({**self.group.facts, "generation": self.number})

    @property
    def manifest_key(self) -> str:
        """The key of this generation's manifest, in the results bucket."""
        return self.group.manifest_key(self.number)

    @property
    def former(self) -> "Iterator[Generation[G]]":
        """All generations that were opened before this one."""
        return (Generation(self.group, number) for number in range(self.number))


class Sighting[G: Group = Window](NamedTuple):
    """An upload that is current under its key, from HEAD; `seen_at` is this machine's time after the answer.

    By that time the upload was visible, even if the answer was slow. Of a set all members were seen, and `file` is one
    of them.
    """

    group: G
    file: File
    seen_at: float


class Joined[G: Group = Window](NamedTuple):
    """The generation of an arrival, opened by it (`new`) or found; `named` if a stored manifest names the arrival."""

    generation: Generation[G]
    new: bool
    named: bool = False


# The gates. `start_execution` takes a name and an input, and returns None for ExecutionAlreadyExists. `put_if_absent`
# never changes an existing manifest; `get_manifest` returns None for a missing one. A ListPage takes a listing and the
# token of a page, a NextPage the token alone: it knows its folder.
type GetManifest = Callable[[str], bytes | None]
type PutIfAbsent = Callable[[str, bytes], None]
type StartExecution = Callable[[str, str], Opened | None]
type NextPage = Callable[[str | None], tuple[list[File], str | None]]
type ListPage = Callable[[Listing, str | None], tuple[list[File], str | None]]


# ---- Functions of the object ----


def slot_start(last_modified: int, seconds: int) -> int:
    """Return the start of an upload's slot, in seconds since 1970."""
    return last_modified - last_modified % seconds


@lru_cache(maxsize=256)
def readable_name(window: Window, *more: object) -> str:
    """Return a legal name of at most 70 characters: the folder's last part, the slot, a digest of all."""
    folder = readable(window.folder.rstrip("/").rsplit("/", 1)[-1], FOLDER_LENGTH, "window")
    slot = datetime.fromtimestamp(window.start, UTC).strftime("%Y%m%dT%H%M%SZ")
    facts = [window.route, window.bucket, window.folder, window.start, window.seconds, window.reprocess, *more]
    return f"{folder}-{slot}-{digest(facts)}"


def parse_generation(given: Any) -> Generation:
    """Parse the input of an execution of the window machine.

    Raises MalformedEventError.
    """
    try:
        start = int(datetime.fromisoformat(given["start"]).timestamp())
        label = given["reprocess"]
        window = Window(given["route"], given["bucket"], given["folder"], start, int(given["seconds"]), label)
        return Generation(window, int(given["generation"]))
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedEventError(
            f"Not the input of a window ({error!r}): start the window machine with the input of one of its executions."
        ) from error


def write_manifest(files: Iterable[File]) -> bytes:
    """Write a manifest; the same files make the same bytes."""
    listed = [
        {"key": file.key, "size": file.size, "etag": file.etag, "last_modified": timestamp(file.last_modified)}
        for file in sorted(files, key=lambda file: file.key)
    ]
    return json.dumps({"files": listed}, separators=(",", ":")).encode()


def parse_manifest(stored: bytes) -> list[File]:
    """Read the files that a manifest lists."""
    return [
        File(
            file["key"],
            file["size"],
            file["etag"],
            int(datetime.fromisoformat(file["last_modified"]).timestamp()),
        )
        for file in json.loads(stored)["files"]
    ]


# ---- The arrival ----


def join[G: Group](
    sighting: Sighting[G], memory: Memory, get_manifest: GetManifest, start_execution: StartExecution
) -> Joined[G]:
    """Bring an arrival into a window: open one, join the open one, or find the manifest that names it.

    While the slot's window is open, this takes two calls with HEAD, and one if this environment knows the window. An
    arrival that is late for its slot reads manifests first: Step Functions forgets the name of a window after 90 days,
    but its manifest stays, and a generation with a manifest must never be started again.
    """
    for number in itertools.count():
        generation = Generation(sighting.group, number)
        if _is_late(sighting) and not _is_open(generation, sighting, memory):
            named = _find(sighting, generation, memory, get_manifest)
            if named is not None:
                if named:
                    return Joined(generation, new=False, named=True)
                continue
        new = _open(generation, memory, start_execution)
        if _is_open(generation, sighting, memory):
            return Joined(generation, new)
        if _find(sighting, generation, memory, get_manifest):
            return Joined(generation, new=False, named=True)
    raise AssertionError  # pragma: no cover - the count has no end


def foresee_join[G: Group](
    sighting: Sighting[G],
    memory: Memory,
    get_manifest: GetManifest,
    read_start_date: Callable[[str], float | None],
) -> Joined[G]:
    """Return the generation that an arrival would join, without opening it; `new` if it is not open yet.

    `read_start_date` takes the name of an execution, and returns None if there is none.
    """
    for number in itertools.count():
        generation = Generation(sighting.group, number)
        named = _find(sighting, generation, memory, get_manifest)
        if named:
            return Joined(generation, new=False, named=True)
        if named is None:
            if generation.name not in memory.start_dates:
                start_date = read_start_date(generation.name)
                if start_date is None:
                    return Joined(generation, new=True)
                memory.keep_start_date(generation.name, start_date)
            if _is_open(generation, sighting, memory):
                return Joined(generation, new=False)
    raise AssertionError  # pragma: no cover - the count has no end


def _is_late[G: Group](sighting: Sighting[G]) -> bool:
    return sighting.group.is_late(sighting.seen_at)


def _is_open[G: Group](generation: Generation[G], sighting: Sighting[G], memory: Memory) -> bool:
    """Return whether S3 had the arrival before the deadline of a window that this environment knows."""
    start_date = memory.start_dates.get(generation.name)
    return start_date is not None and sighting.seen_at < start_date + generation.group.seconds


def _open[G: Group](generation: Generation[G], memory: Memory, start_execution: StartExecution) -> bool:
    """Start a generation's execution unless this environment knows its start; return whether this call began it."""
    if generation.name in memory.start_dates:
        return False
    opened = start_execution(generation.name, generation.input)
    if opened is None:
        return False
    memory.keep_start_date(generation.name, opened.start_date)
    return opened.new


def _find[G: Group](
    sighting: Sighting[G], generation: Generation[G], memory: Memory, get_manifest: GetManifest
) -> bool | None:
    """Return whether a generation's manifest names the arrival; None if there is no manifest yet."""
    key = generation.manifest_key
    if key not in memory.manifests:
        stored = get_manifest(key)
        if stored is None:
            return None
        memory.keep_manifest(key, frozenset(file.upload for file in parse_manifest(stored)))
    return generation.group.manifest_names(memory.manifests[key], sighting.file)


# ---- The collector ----


def collect(
    generation: Generation,
    accepts: Callable[[File], bool],
    list_page: NextPage,
    get_manifest: GetManifest,
    put_if_absent: PutIfAbsent,
) -> bytes:
    """Store the manifest of a window that is over, unless there is one, and return the stored manifest.

    This may be run again at any time, also while another collect of the same window still runs. `accepts` says whether
    the file's own arrival would be taken. The target starts on the returned manifest, not on the listed files.
    Raises ManifestMissingError, and the errors of the gates.
    """
    stored = get_manifest(generation.manifest_key)
    if stored is None:
        taken = close_former(generation, get_manifest, put_if_absent)
        files = [
            file
            for file in list_files(list_page)
            if generation.group.takes(file) and file.upload not in taken and accepts(file)
        ]
        stored = store_manifest(generation, files, get_manifest, put_if_absent)
    return stored


def close_former(generation: Generation, get_manifest: GetManifest, put_if_absent: PutIfAbsent) -> set[Upload]:
    """Return the files of the former generations; one without a manifest gets an empty one, so nothing can be added."""
    taken: set[Upload] = set()
    for former in generation.former:
        stored = get_manifest(former.manifest_key)
        if stored is None:
            stored = store_manifest(former, [], get_manifest, put_if_absent)
        taken.update(file.upload for file in parse_manifest(stored))
    return taken


def store_manifest[G: Group](
    generation: Generation[G], files: Iterable[File], get_manifest: GetManifest, put_if_absent: PutIfAbsent
) -> bytes:
    """Store a manifest unless there is one, and read back the stored one, from this collect or another.

    Raises ManifestMissingError.
    """
    put_if_absent(generation.manifest_key, write_manifest(files))
    stored = get_manifest(generation.manifest_key)
    if stored is None:
        raise ManifestMissingError(
            f"{generation.manifest_key!a} was put and is not there: manifests must never be deleted. It is put again."
        )
    return stored


def list_files(list_page: NextPage) -> Iterator[File]:
    """List a folder page by page; a page shows every object that was there at the time of its request."""
    token: str | None = None
    while True:
        files, token = list_page(token)
        yield from files
        if token is None:
            return


def name_and_input(
    generation: Generation, stored: bytes, manifest_bucket: str, parameters: Mapping[str, Any]
) -> tuple[str, str]:
    """Return name and input of the execution on a stored manifest; `parameters` is the route's part of the input.

    The name is made from the manifest, so a collect that runs again starts nothing new.
    """
    files, window = parse_manifest(stored), generation.group
    name = readable_name(window, generation.number, hashlib.sha256(stored).hexdigest())
    written = {
        **parameters,
        "window": {"start": timestamp(window.start), "seconds": window.seconds, "generation": generation.number},
        "manifest": f"s3://{manifest_bucket}/{generation.manifest_key}",
        "files": len(files),
        "bytes": sum(file.size for file in files),
    }
    return name, json.dumps(written)
