"""Sets: one execution when all files have arrived. Every arrival looks at the whole set; no table and no counter.

Sets use the machine of windows (`windows.join`, generations, manifests) with another condition: the set is complete and
has settled. An arrival that finds its set complete starts an execution of the window machine. The execution is named
after the set's *content*: each member's key, ETag and `LastModified`. It waits until the set has settled, looks again,
stores the manifest if the content is still the same, and starts the target once, on that content.

Why exactly one execution runs on each content that has settled:

- The target is named after the content without the generation. A content that has a manifest is never collected again,
  even if Step Functions has forgotten its name.
- A collect that finds another content stores nothing and starts nothing: the arrival that changed the set brings the
  new content.
- An arrival counts as brought only if it saw the content before the deadline of a running execution, because that one
  looks later. Otherwise it opens the next *generation*: an earlier one may have seen a changed set and ended, before
  the same content came back (a restored object has its old version).
- A look is not one moment, but each member that it saw was there at some time after it began. If a content was complete
  only in parts, each at another time, the collect's own look finds it changed.

`tests/simulation/sets.py` runs this code against S3, Step Functions and clocks at their worst. An arrival imports this
module only if its route has a set.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from shared.domain.choose import check_values, choose_listed, source_of
from shared.domain.errors import MalformedEventError, SettingsError, SetTooLargeError
from shared.domain.gather import Gathering, refuse_foreign
from shared.domain.memory import Upload
from shared.domain.names import digest, readable, timestamp
from shared.domain.outcome import Waiting
from shared.domain.pattern import Capture, Pattern, Template, fill
from shared.domain.plan import Execution, five_parameters, route_parameters
from shared.domain.routes import Choice, Route, SetCondition
from shared.domain.stack import Stack
from shared.domain.windows import (
    File,
    Generation,
    GetManifest,
    Listing,
    ListPage,
    PutIfAbsent,
    Sighting,
    parse_manifest,
    store_manifest,
)

MANIFESTS = "sets"
# The most requests of one look; a folder with more names needs a window.
MOST_REQUESTS = 10
# The length of a name without the generation; nine of its 80 characters are left for the generation's digits.
READABLE_LENGTH = 37

type Instance = str | tuple[tuple[str, str], ...]
"""One of a route's sets: the expanded source, or the captures of all members, sorted by name."""

# A call to the outside: None for an object that is gone.
type Head = Callable[[str], File | None]


class Content(NamedTuple):
    """One instance of a set with exactly these members: `members` is a digest of their keys, ETags and times.

    `seconds` is the time to settle. It is no part of the identity, so a change of it runs nothing again.
    """

    route: str
    bucket: str
    instance: Instance
    members: str
    seconds: int
    reprocess: str | None

    @property
    def identity(self) -> str:
        """The name of the execution on this content: the set's name for people, and a digest of its identity."""
        called = self.instance if isinstance(self.instance, str) else "-".join(value for _, value in self.instance)
        text = readable(f"{self.route}-{called.rstrip('/').rsplit('/', 1)[-1]}", READABLE_LENGTH, "set")
        return f"{text}-{digest(['set', self.route, self.bucket, self.instance, self.members, self.reprocess])}"

    @property
    def facts(self) -> dict[str, object]:
        """The facts in the input of its executions."""
        return {
            "route": self.route,
            "bucket": self.bucket,
            "instance": self.instance if isinstance(self.instance, str) else dict(self.instance),
            "content": self.members,
            "seconds": self.seconds,
            "reprocess": self.reprocess,
        }

    def manifest_key(self, _generation: int) -> str:
        """Return the key of the manifest: one for all generations, because the content decides its files."""
        return f"{MANIFESTS}/{self.identity}.json"

    def manifest_names(self, _manifest: frozenset[Upload], _file: File) -> bool:
        """Return True: the manifest of this content always names the file."""
        return True

    def is_late(self, _seen_at: float) -> bool:
        """Return True: nobody knows when this content was there first, so the manifest is always read first."""
        return True


class Look(NamedTuple):
    """The members of a set that are there, sorted; `present` and `missing` are keys with `each`, else numbers."""

    files: tuple[File, ...]
    present: list[str] | int
    missing: list[str] | int

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


type LookAt = Callable[[Route, Instance], Look]
"""`look`, with the stack and the two callables filled in."""


# ---- The look at a set, also for callers outside of an arrival ----


def instance_of(choice: Choice) -> Instance:
    """Return the set of the route that an object belongs to."""
    route = choice.route
    if route.source is not None:
        return fill(route.source, choice.captures)
    return tuple(sorted(choice.captures.items()))


def look(route: Route, instance: Instance, stack: Stack, head: Head, list_page: ListPage) -> Look:
    """Look at a set: HEAD each member with `each`, otherwise list the source.

    A member is an object that the route takes, paused or not: under the source prefix, no marker, and not empty unless
    the route accepts that.
    Raises SetTooLargeError, and the errors of the callables.
    """
    if isinstance(instance, str):
        return _look_into(route, instance, stack, list_page)
    return _look_at_each(route, dict(instance), stack, head)


def _look_at_each(route: Route, captures: dict[str, str], stack: Stack, head: Head) -> Look:
    files: dict[str, File | None] = {}
    for match in route.match:
        key = fill(match.tokens, captures)
        # The key is judged first, as if the object were not empty: a key of another route needs no HEAD.
        ours = _is_taken(key, 1, route, stack, captures)
        file = head(key) if ours else None
        files[key] = file if file and _is_taken(key, file.size, route, stack, captures) else None
    return Look(
        tuple(sorted(file for file in files.values() if file)),
        [key for key, file in files.items() if file],
        [key for key, file in files.items() if not file],
    )


def _is_taken(key: str, size: int, route: Route, stack: Stack, captures: dict[str, str]) -> bool:
    choice = choose_listed(key, size, stack)
    return choice is not None and choice.name == route.name and choice.captures == captures


def _look_into(route: Route, folder: str, stack: Stack, list_page: ListPage) -> Look:
    # Every key that counts begins with both, so the longer one lists less.
    prefix = max(folder, stack.source_prefix, key=len)
    listing = Listing(stack.source_bucket_name, stack.account_id, prefix, _is_deep(route))
    files: list[File] = []
    token: str | None = None
    for _ in range(MOST_REQUESTS):
        page, token = list_page(listing, token)
        files += (file for file in page if _is_in(folder, file, route, stack))
        if token is None:
            break
    else:
        raise SetTooLargeError(
            f"Set {folder!a} of route {route.name}: a look takes more than {MOST_REQUESTS} requests, of a thousand "
            "names each. Use dated folders, or window_seconds, which is for storms."
        )
    wanted = route.set.at_least if route.set and route.set.at_least else 0
    return Look(tuple(sorted(files)), len(files), max(0, wanted - len(files)))


def _is_in(folder: str, file: File, route: Route, stack: Stack) -> bool:
    choice = choose_listed(file.key, file.size, stack)
    return choice is not None and choice.name == route.name and choice.source(file.key) == folder


def _is_deep(route: Route) -> bool:
    """Return whether members may be in folders below the source."""
    return any(
        token.deep if isinstance(token, Capture) else "/" in token
        for match in route.match
        for token in _after(match.tokens, route.source or ())
    )


def _after(match: Template, source: Template) -> Template:
    """Return the part of a match after the source, which is its beginning and ends in the middle of a text."""
    place = len(source) - 1
    return (str(match[place]).removeprefix(str(source[place])), *match[place + 1 :])


# ---- The arrival ----


def gather_set(
    choice: Choice, stack: Stack, look_at: LookAt, clock: Callable[[], float], reprocess: str | None
) -> Gathering | Waiting:
    """Look at an arrival's set; plan to bring its content to the window machine, or to wait for missing files.

    Raises SetTooLargeError, and the errors of the look.
    """
    route, instance = choice.route, instance_of(choice)
    found = look_at(route, instance)
    # The clock is read after the look: by then its members were there, even if the look was slow.
    seen_at = clock()
    if not found.is_complete:
        return Waiting(found.present, found.missing, route.name)
    content = content_of(found.files, route, instance, stack, reprocess)
    run = Execution(route.machine_arn(stack.state_machine_arn), content.identity, "", route.name)
    sighting = Sighting(content, found.files[0], seen_at)
    return Gathering(sighting, stack.window_machine_arn, stack.results_bucket_name, route.name, run)


def content_of(
    files: Iterable[File], route: Route, instance: Instance, stack: Stack, reprocess: str | None = None
) -> Content:
    """Return the content of these files; it is the same for every look at them."""
    uploads = json.dumps([[file.key, file.etag, timestamp(file.last_modified)] for file in sorted(files)])
    members = hashlib.sha256(uploads.encode()).hexdigest()
    return Content(route.name, stack.source_bucket_name, instance, members, _condition(route).settle_seconds, reprocess)


# ---- The collector ----


def is_set(given: Any) -> bool:
    """Return whether the input of an execution of the window machine is a set's."""
    return isinstance(given, dict) and "content" in given


def parse_generation(given: Any) -> Generation[Content]:
    """Parse that input.

    Raises MalformedEventError.
    """
    try:
        said = given["instance"]
        instance = said if isinstance(said, str) else tuple(sorted(said.items()))
        seconds, label = int(given["seconds"]), given["reprocess"]
        content = Content(given["route"], given["bucket"], instance, given["content"], seconds, label)
        return Generation(content, int(given["generation"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedEventError(
            f"Not the input of a set ({error!r}): start the window machine with the input of one of its executions."
        ) from error


def collect(
    generation: Generation[Content],
    stack: Stack,
    look_at: LookAt,
    get_manifest: GetManifest,
    put_if_absent: PutIfAbsent,
) -> bytes | None:
    """Store the manifest of a set that has settled, unless there is one, and return the stored manifest.

    None: the set has changed or is incomplete, so nothing must start. This may be run again at any time.
    Raises ForeignObjectError, SettingsError, SetTooLargeError, ManifestMissingError, and the errors of the callables.
    """
    content = generation.group
    refuse_foreign(content, stack)
    stored = get_manifest(generation.manifest_key)
    if stored is None:
        route = route_of(content, stack)
        found = look_at(route, content.instance)
        if not found.is_complete:
            return None
        now = content_of(found.files, route, content.instance, stack, content.reprocess)
        if now.identity != content.identity:
            return None
        stored = store_manifest(generation, found.files, get_manifest, put_if_absent)
    return stored


def plan_set(generation: Generation[Content], manifest: bytes, stack: Stack) -> Execution:
    """Plan the execution on a set's content: it is named after the content, so every generation plans the same.

    Raises SettingsError if the route is gone, UnsafeTargetError and UnsafeArgumentError.
    """
    content, files = generation.group, parse_manifest(manifest)
    route = route_of(content, stack)
    captures = _captures(route, content.instance)
    choice = Choice(route, captures)
    check_values(files[0].key, choice)
    size = sum(file.size for file in files)
    written = {
        **five_parameters(choice, stack, source_of(files[0].key, choice), size),
        "set": {"captures": captures},
        "manifest": f"s3://{stack.results_bucket_name}/{generation.manifest_key}",
        "files": len(files),
        "bytes": size,
        **route_parameters(choice, captures),
    }
    return Execution(route.machine_arn(stack.state_machine_arn), content.identity, json.dumps(written), route.name)


def route_of(content: Content, stack: Stack) -> Route:
    """Return the route of this set.

    Raises SettingsError if no route can have such a set.
    """
    for route in stack.table.routes:
        if (
            route.name == content.route
            and route.set
            and (route.source is not None) == isinstance(content.instance, str)
        ):
            return route
    raise SettingsError(
        f"No route {content.route!r} has a set any more, for which {content.instance!a} was complete: deploy the route again, "
        "then redrive."
    )


def _captures(route: Route, instance: Instance) -> dict[str, str]:
    """Return the captures of the whole set, in the order of its template."""
    if isinstance(instance, str):
        # The source is a beginning of the match, so both give the same captures.
        return Pattern(route.source or ()).match(instance) or {}
    known: Mapping[str, str] = dict(instance)
    return {token.name: known[token.name] for token in route.match[0].tokens if isinstance(token, Capture)}


def _condition(route: Route) -> SetCondition:
    if route.set is None:
        raise SettingsError(f"Route {route.name} has no set.")
    return route.set
