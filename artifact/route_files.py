"""Read src/routes/*.toml, refuse routes that can't work, and pack the others, when the application is built.

The functions never import this module. `sam build` runs it with the python3.13 on the PATH, so it uses only the
standard library. One exception is [expect]: it needs the functions' own packages, which artifact/build.py has staged
before. Every refusal is a RouteFileError. Its message names the file, the field, and the remedy.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from artifact.conflicts import Loop, TooManyStatesError, common_key, find_loop, find_overlap, find_unread
from artifact.pack import pack
from shared.domain.pattern import Capture, Pattern, Template, Token, fill
from shared.domain.routes import Expectation, Route, Rung, SetCondition, is_unsafe
from shared.domain.windows import LONGEST_WINDOW

FOLDER = Path(__file__).resolve().parent.parent / "src" / "routes"

# The first field of a route is its name, the others are those of its file; a field without a default is required.
FIELDS = Route._fields[1:]
REQUIRED = tuple(name for name in FIELDS if name not in Route._field_defaults)
# The names that the input has already.
OWN = ("glue_max_capacity_dpus", "JOB_NAME", "BUCKET_NAME", "SRC_PREFIX", "TRG_PREFIX", "MANIFEST")
# Further arguments of the stack's job. A route may give them.
JOB_OPTIONS = ("SCHEMA", "SEPARATOR", "ENCODING")
# The names that `getResolvedOptions` of Glue 5.0 reads for every job. As any argparse, it takes the beginning of a name
# for the name: https://github.com/awslabs/aws-glue-libs/blob/glue-5.0/awsglue/utils.py
PARSED_BY_GLUE = (
    "job-bookmark-option",
    "job-bookmark-from",
    "job-bookmark-to",
    "continuation-option",
    "JOB_ID",
    "JOB_RUN_ID",
    "SECURITY_CONFIGURATION",
    "encryption-type",
    "enable-data-lineage",
    "RedshiftTempDir",
    "TempDir",
)
# The arguments that Glue itself reads, older versions' names too; not proven complete (docs/decisions.md).
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html
TAKEN_BY_GLUE = (
    "additional-python-modules",
    "auto-scale-within-microbatch",
    "class",
    "conf",
    "continuous-log-conversionPattern",
    "continuous-log-logGroup",
    "continuous-log-logStreamPrefix",
    "customer-driver-env-vars",
    "customer-executor-env-vars",
    "datalake-formats",
    "debug",
    "disable-proxy-v2",
    "enable-auto-scaling",
    "enable-continuous-cloudwatch-log",
    "enable-continuous-log-filter",
    "enable-glue-datacatalog",
    "enable-job-insights",
    "enable-lakeformation-fine-grained-access",
    "enable-metrics",
    "enable-observability-metrics",
    "enable-rename-algorithm-v2",
    "enable-s3-parquet-optimized-committer",
    "enable-spark-ui",
    "endpoint",
    "executor-cores",
    "extra-files",
    "extra-jars",
    "extra-py-files",
    "job-insights-byo-rules",
    "job-language",
    "mode",
    "python-modules-installer-option",
    "scriptLocation",
    "spark-event-logs-path",
    "use-postgres-driver",
    "user-jars-first",
    "write-shuffle-files-to-s3",
    "write-shuffle-spills-to-s3",
)
UNITS: dict[str, int] = {"B": 1} | {
    f"{letter}{suffix}": int(base**power)
    for power, letter in enumerate("KMG", start=1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
MOST_MATCHES = 20
FEWEST_OF_EACH = 2
FEWEST_MEMBERS, MOST_MEMBERS = 2, 1000
SETTLE_SECONDS = 30
CRON_FIELDS = 5
# Day, month, hour and minute differ, and each has two different digits, so none can be taken for another.
EXAMPLE = datetime(2026, 12, 31, 23, 45)  # noqa: DTZ001 - a wall clock
FEWEST_DPUS, MOST_DPUS = 2, 299  # as the template's GlueMaxCapacityDpus

ROUTE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)(\.\.\.)?\}")
PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
SIZE = re.compile(r"([0-9]{1,18}) (" + "|".join(UNITS) + ")")
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html#StepFunctions-CreateStateMachine-request-name
MACHINE_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}""")
MACHINE_ARN = re.compile(
    rf"arn:[a-z-]+:states:[a-z0-9-]+:[0-9]{{12}}:stateMachine:{MACHINE_NAME.pattern}(:[A-Za-z0-9_-]+)?"
)
# https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-jobs-job.html: one line, at most 255 bytes of UTF-8.
JOB_NAME = re.compile(r"(?!-)[^\x00-\x1f\x7f{}]+")
LONGEST_JOB_NAME = 255

# The fields of [expect]; a file gives `lag_hours` as a duration, `lag`.
EXPECT_FIELDS = (*Expectation._fields[:3], "lag", "at_least", "since")
# The name of an incident is the route's name, a dash and this time; it has at most 80 characters.
LONGEST_EXPECTING = 63
LAG = re.compile(r"P(?=[0-9T])(?:([0-9]{1,4})D)?(?:T([0-9]{1,5})H)?")
# The formats that strftime makes alike on every platform of the build and the functions, for a time without a zone.
FORMAT = re.compile(r"(?:[^%]|%[aAbBdHIjmMpSuUwWyYGV%]|%-[dHIjmMSy])*")
MOST_OBJECTS = 1_000_000

KINDS = {
    str: "text in quotes",
    int: "a whole number without quotes",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    date: "a date without quotes, such as 2026-12-01",
}


class RouteFileError(Exception):
    """A route file can't work; a user needs to read only the message."""


def read_routes(folder: Path = FOLDER) -> tuple[Route, ...]:
    """Read and validate all routes of a folder, by name; none if there is no such folder.

    Raises RouteFileError.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in entries:
        if path.name != "README.md" and (path.suffix != ".toml" or not path.is_file()):
            raise RouteFileError(
                f"{_shown(path)}: only route files, NAME.toml, and a README.md may be here. Move it away."
            )
    routes = tuple(read_route(path) for path in entries if path.suffix == ".toml")
    paths = {route.name: _shown(folder / f"{route.name}.toml") for route in routes}
    if overlap := find_overlap(routes):
        one, other, key = overlap
        raise RouteFileError(
            f"{paths[one.name]} and {paths[other.name]}: match: both take the key {key!r}, with priority {one.priority}. "
            "Make one match narrower, or give the route that should win a higher priority."
        )
    if loop := find_loop(routes):
        raise RouteFileError(_what_loops(loop, paths))
    return routes


def read_route(path: Path) -> Route:
    """Read one route file.

    Raises RouteFileError.
    """
    file = _File(path)
    if not ROUTE_NAME.fullmatch(path.stem):
        raise file.refusal(
            "the file's name",
            f"{path.stem!r} can't name a route. Use 1 to 64 of a-z, 0-9 and -, beginning with a letter or digit.",
        )
    match = file.matches()
    names = _shared([one.tokens for one in match])
    parameters = file.get("parameters", dict, {})
    for name in parameters:
        if not PARAMETER_NAME.fullmatch(name):
            raise file.refusal(
                f"parameters.{name}", "a name has A-Z, a-z, 0-9, _ and -, and begins with a letter or _."
            )
        if why := why_reserved(name):
            raise file.refusal(f"parameters.{name}", f"{why}. Choose another name.")
    route = Route(
        name=path.stem,
        match=match,
        job_name=file.job(),
        target=file.target(names),
        source=file.template("source", names) if "source" in file.content else None,
        state_machine_arn=file.machine(),
        capacity=file.ladder(),
        accept_empty=file.get("accept_empty", bool, default=False),
        priority=file.get("priority", int, 0),
        window_seconds=file.window(),
        paused=file.get("paused", bool, default=False),
        parameters=tuple((name, file.parameter(name, names)) for name in parameters),
        set=file.set_condition(),
    )
    if route.window_seconds:
        check_window(file, route)
    if route.set:
        check_set(file, route, route.set)
    return route._replace(expect=read_expectation(file, route)) if "expect" in file.content else route


def read_expectation(file: "_File", route: Route) -> Expectation:
    """Read [expect], the deadlines of a route.

    Raises RouteFileError.
    """
    table = file.get("expect", dict, {})
    for name in table:
        if name not in EXPECT_FIELDS:
            raise file.refusal(f"expect.{name}", f"there is no such field. Fields are {', '.join(EXPECT_FIELDS)}.")
    if "by" not in table:
        raise file.refusal("expect.by", 'it is missing. Write when the data has to be there: by = "30 6 * * MON-FRI".')
    if len(route.name) > LONGEST_EXPECTING:
        raise file.refusal(
            "the file's name",
            f"with [expect] it has at most {LONGEST_EXPECTING} characters before .toml, and {route.name!r} has "
            f"{len(route.name)}. Make it shorter.",
        )
    if route.set and "at_least" in table:
        raise file.refusal("expect.at_least", "[set] says already when a set is complete. Leave it out.")
    at_least = file.typed("expect.at_least", table.get("at_least", 1), int)
    if not 1 <= at_least <= MOST_OBJECTS:
        raise file.refusal("expect.at_least", f"{at_least} is outside 1 to {MOST_OBJECTS:,} objects.")
    return Expectation(
        captures=_expected_captures(file, route, file.typed("expect.captures", table.get("captures", {}), dict)),
        by=_cron(file, file.typed("expect.by", table["by"], str)),
        zone=_zone(file, file.typed("expect.zone", table.get("zone", "UTC"), str)),
        lag_hours=_lag(file, file.typed("expect.lag", table.get("lag", "P0D"), str)),
        at_least=at_least,
        since=file.typed("expect.since", table["since"], date).isoformat() if "since" in table else None,
    )


def _expected_captures(file: "_File", route: Route, table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    names = _shared([one.tokens for one in route.match])
    shallow = {
        token.name for one in route.match for token in one.tokens if isinstance(token, Capture) and not token.deep
    }
    formats: list[tuple[str, str]] = []
    for name, value in table.items():
        field = f"expect.captures.{name}"
        if name not in names:
            raise file.not_captured(field, name, names)
        written = file.typed(field, value, str)
        if not FORMAT.fullmatch(written):
            raise file.refusal(
                field,
                f"{written!r} is no format of a date. Write %Y, %m, %d, %H and so on, as Python's strftime has them; "
                "a percent sign itself is %%.",
            )
        if not written:
            raise file.refusal(field, "it is empty, but a placeholder captures at least one character. Leave it out.")
        if "/" in written and name in shallow:
            raise file.refusal(field, f"{written!r} has a slash, which {{{name}}} never captures. Use {{{name}...}}.")
        formats.append((name, written))
    if route.set:
        of_instance = [one.name for one in route.source or route.match[0].tokens if isinstance(one, Capture)]
        if set(of_instance) != table.keys():
            words = ", ".join(of_instance) or "none"
            raise file.refusal("expect.captures", f"they must be exactly those that identify the set: {words}.")
    for match in route.match:
        _check_that_it_can_come(file, match, formats)
    return tuple(formats)


def _check_that_it_can_come(file: "_File", match: Pattern, formats: list[tuple[str, str]]) -> None:
    """Check that a key with the expected captures is read back to them: otherwise no key could fulfil [expect]."""
    expected = {name: EXAMPLE.strftime(format_) for name, format_ in formats}
    # A character that none of the texts has, so it can't be taken for one of them.
    others = {token.name: "\ue000" for token in match.tokens if isinstance(token, Capture)}
    key = fill(match.tokens, others | expected)
    read = match.match(key) or {}
    for name, value in expected.items():
        if read.get(name) != value:
            shown = key.replace("\ue000", "x")
            raise file.refusal(
                f"expect.captures.{name}",
                f"no key can have it: from {shown!r}, match captures {read.get(name, '')!r} as {{{name}}}, not "
                f"{value!r}. Put a text between the placeholders that is in neither, or leave it out.",
            )


def _cron(file: "_File", by: str) -> str:
    # Imported here: without [expect] the package is not needed, and it is not installed everywhere.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    try:
        if len(by.split()) != CRON_FIELDS:
            raise CronSimError(f"it has {len(by.split())} fields")  # noqa: TRY301
        next(CronSim(by, EXAMPLE))
    except (CronSimError, AssertionError) as error:
        raise file.refusal(
            "expect.by",
            f"{by!r} is no cron: {error or 'it is malformed'}. Write minute, hour, day of the month, month and weekday: "
            '"30 6 * * MON-FRI".',
        ) from error
    except StopIteration as error:
        raise file.refusal("expect.by", f"{by!r} is never due. Write a day that its months have.") from error
    return by


def _zone(file: "_File", zone: str) -> str:
    # The zones are those of the package, not of this machine: the functions have no others.
    zones = (resources.files("tzdata") / "zones").read_text().split()
    if zone not in zones:
        near = get_close_matches(zone, zones, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else 'Write one such as "Europe/Zurich" or "UTC".'
        raise file.refusal("expect.zone", f"{zone!r} is no IANA time zone. {hint}")
    return zone


def _lag(file: "_File", lag: str) -> int:
    found = LAG.fullmatch(lag)
    if not found or lag.endswith("T"):
        raise file.refusal(
            "expect.lag", f'{lag!r} is no lag. Write days and hours, not negative: "P1D", "PT6H" or "P1DT6H".'
        )
    return 24 * int(found[1] or 0) + int(found[2] or 0)


def why_reserved(name: str) -> str | None:
    """Return why a route may not give a parameter of this name, or None if it may.

    Case is ignored, and `-` and `_` are alike: argparse gives the job both under one name.
    """
    said = _plain(name)
    for known in OWN:
        if said == _plain(known):
            return f"the input has its own {known}"
    for known in PARSED_BY_GLUE + TAKEN_BY_GLUE:
        if said == _plain(known):
            return f"Glue takes {known} for itself"
    if said in map(_plain, JOB_OPTIONS):
        return None
    for known in OWN + PARSED_BY_GLUE + JOB_OPTIONS:
        if _plain(known).startswith(said):
            return f"Glue takes the beginning of a name for the name, here for {known}"
    return None


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


def check_window(file: "_File", route: Route) -> None:
    """Check that the job's values are the same for all files of a folder, so that its windows can use them.

    Raises RouteFileError.
    """
    if route.source is not None and not all(_begins(one.tokens, route.source) for one in route.match):
        raise file.refusal(
            "source",
            "with window_seconds it must be a folder. Write the beginning of match, up to and with a slash.",
        )
    known = route.folder_captures
    for field, name, words in _not_shared(route, known):
        raise file.refusal(
            field,
            f"{{{name}}} differs from file to file, and a window is one execution for all files of a "
            f"folder. They share {words}. Leave it out, or leave out window_seconds.",
        )


def check_set(file: "_File", route: Route, condition: SetCondition) -> None:
    """Check that each member identifies its set, and that the job's values are the same for all members.

    Raises RouteFileError.
    """
    if route.window_seconds:
        raise file.refusal("window_seconds", "a set waits for its members, not for a time. Leave one of the two out.")
    for number, one in enumerate(route.match):
        for other, another in enumerate(route.match[:number]):
            if key := common_key(one, another):
                raise file.refusal(
                    f"match, template {number + 1}",
                    f"template {other + 1} takes the key {key!r} too, and a member counts once. Make one of them narrower.",
                )
    if condition.at_least is None:
        _check_each(file, route)
    elif route.source is None or not all(_begins(one.tokens, route.source) for one in route.match):
        raise file.refusal(
            "source",
            "with set.at_least it must be a folder. Write the beginning of match (of each of its templates), up to and "
            "with a slash.",
        )
    known = [token.name for token in route.source or route.match[0].tokens if isinstance(token, Capture)]
    for field, name, words in _not_shared(route, known):
        raise file.refusal(
            field,
            f"{{{name}}} differs from member to member, and a set is one execution. The members share only the captures "
            f"of source, {words}. Leave it out.",
        )


def _check_each(file: "_File", route: Route) -> None:
    """Check that each member leads to all others, and they back to it.

    Raises RouteFileError.
    """
    if route.source is not None:
        raise file.refusal(
            "source",
            "with set.each the members are read from the manifest, and SRC_PREFIX is their folder. Leave it out.",
        )
    if len(route.match) < FEWEST_OF_EACH:
        raise file.refusal(
            "match", f"with set.each it is a list of {FEWEST_OF_EACH} to {MOST_MATCHES} templates, one for each member."
        )
    first = {token.name for token in route.match[0].tokens if isinstance(token, Capture)}
    for number, match in enumerate(route.match[1:], start=2):
        if first != {token.name for token in match.tokens if isinstance(token, Capture)}:
            raise file.refusal(
                f"match, template {number}",
                f"it captures {_words(match)}, and template 1 {_words(route.match[0])}. With set.each all capture the same.",
            )
    try:
        unread = find_unread(route.match)
    except TooManyStatesError as error:
        raise file.refusal(
            "match",
            "its templates have too many readings, so it is not certain that each member leads to the others. Make them "
            "simpler.",
        ) from error
    if unread:
        one, other, key, made = unread
        raise file.refusal(
            f"match, template {other + 1}",
            f"the captures of template {one + 1} from {key!r} make {made!r}, from which this template captures other text. So "
            "a member would not lead to the others. Put a slash between the placeholders, or text that they can't hold.",
        )


def _words(match: Pattern) -> str:
    return ", ".join(f"{{{one.name}}}" for one in match.tokens if isinstance(one, Capture)) or "nothing"


def _not_shared(route: Route, known: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield each field with a capture that the files of one execution don't share, and the shared names, in words."""
    words = ", ".join(f"{{{name}}}" for name in known) or "no placeholder"
    for field, text in {
        "target": route.target,
        **{f"parameters.{name}": one for name, one in route.parameters},
    }.items():
        for token in text:
            if isinstance(token, Capture) and token.name not in known:
                yield field, token.name, words


def _begins(match: Template, source: Template) -> bool:
    """Return whether `source` is the beginning of `match` and ends with a slash."""
    *before, last = source
    same = [token.name if isinstance(token, Capture) else token for token in match[: len(source)]]
    return (
        isinstance(last, str)
        and last.endswith("/")
        and len(same) == len(source)
        and same[:-1] == [token.name if isinstance(token, Capture) else token for token in before]
        and isinstance(match[len(before)], str)
        and str(match[len(before)]).startswith(last)
    )


def packed_module(routes: tuple[Route, ...]) -> str:
    """Return the source of the module that replaces src/shared/domain/packed.py in the artifact."""
    return f'"""Made by artifact/build.py from src/routes/*.toml: change those."""\n\nROUTES = {pack(routes)!a}\n'


class _File:
    """A route file's content, with the methods that read and refuse it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.content: dict[str, Any] = tomllib.loads(path.read_bytes().decode())
        except UnicodeDecodeError as error:
            raise self.refusal("the file", f"byte {error.start} is not UTF-8. Save it as UTF-8 text.") from error
        except (ValueError, RecursionError) as error:
            raise self.refusal("the file", f"it is not TOML: {error}. See https://toml.io.") from error
        for name in self.content:
            if name not in FIELDS:
                raise self.refusal(name, f"there is no such field. Fields are {', '.join(FIELDS)}.")
        for name in REQUIRED:
            if name not in self.content:
                raise self.refusal(name, f"it is missing. Every route has {', '.join(REQUIRED)}.")

    def refusal(self, field: str, why: str) -> RouteFileError:
        """Return the error, to be raised."""
        return RouteFileError(f"{_shown(self.path)}: {field}: {why}")

    def not_captured(self, field: str, name: str, captures: Sequence[str]) -> RouteFileError:
        """Return the error about a placeholder that is used and not captured."""
        known = ", ".join(f"{{{one}}}" for one in captures) or "nothing"
        whole = "match captures" if type(self.content["match"]) is str else "all templates of match capture"
        return self.refusal(field, f"{{{name}}} is not captured: {whole} {known}.")

    def get[T](self, field: str, kind: type[T], default: T) -> T:
        """Return a field's value, of exactly this type."""
        return self.typed(field, self.content.get(field, default), kind)

    def text(self, field: str, allowed: re.Pattern[str], wanted: str) -> str:
        """Return a field that is text."""
        value = self.get(field, str, "")
        if not allowed.fullmatch(value):
            raise self.refusal(field, f"{value!r} is not {wanted}.")
        return value

    def matches(self) -> tuple[Pattern, ...]:
        """Return the match: one template, or several."""
        value = self.content["match"]
        if not isinstance(value, list):
            return (Pattern(self.template("match", captures=None)),)
        if not 1 <= len(value) <= MOST_MATCHES:
            raise self.refusal("match", f"a list has 1 to {MOST_MATCHES} templates, and this one {len(value)}.")
        matches: list[Pattern] = []
        for number, text in enumerate(value, start=1):
            field = f"match, template {number}"
            match = Pattern(self._parsed(field, self.typed(field, text, str), None))
            if match in matches:
                raise self.refusal(field, f"{text!r} is there twice. Leave one out.")
            matches.append(match)
        return tuple(matches)

    def job(self) -> str:
        """Return the name of the job."""
        wanted = f"the name of one job: 1 to {LONGEST_JOB_NAME} bytes of UTF-8, no placeholders or braces"
        name = self.text("job_name", JOB_NAME, wanted)
        if len(name.encode()) > LONGEST_JOB_NAME:
            raise self.refusal("job_name", f"{name!r} is not {wanted}.")
        return name

    def template(self, field: str, captures: list[str] | None) -> Template:
        """Return a field that is a template; with `captures`, one that uses them for an argument of the job."""
        return self._parsed(field, self.get(field, str, ""), captures)

    def parameter(self, name: str, captures: list[str]) -> Template:
        """Return one of the parameters; it may be empty."""
        field = f"parameters.{name}"
        value = self.typed(field, self.content["parameters"][name], str)
        return self._parsed(field, value, captures) if value else ()

    def target(self, captures: list[str]) -> Template:
        """Return the target: a prefix that a job can write to, and that no capture can move elsewhere."""
        target = self.template("target", captures)
        if isinstance(target[0], str) and target[0].startswith("/"):
            raise self.refusal("target", "it must not begin with a slash. Write the prefix of the objects' keys.")
        # Captures are checked when they are known; here x stands for them.
        text = "".join(token if isinstance(token, str) else "x" for token in target)
        if is_unsafe(text.removesuffix("/")):
            raise self.refusal(
                "target", f"{text!r} has an empty, '.' or '..' segment, which jobs resolve. Leave it out."
            )
        return target

    def machine(self) -> str | None:
        """Return the state machine to start: an ARN or a name."""
        if "state_machine_arn" not in self.content:
            return None
        allowed = re.compile(rf"{MACHINE_ARN.pattern}|(?!arn:){MACHINE_NAME.pattern}")
        wanted = "the ARN of a state machine, or its name if it is in the stack's account and region"
        return self.text("state_machine_arn", allowed, wanted)

    def window(self) -> int:
        """Return the window in seconds."""
        seconds = self.get("window_seconds", int, 0)
        if not 0 <= seconds <= LONGEST_WINDOW:
            raise self.refusal("window_seconds", f"{seconds} is outside 0 to {LONGEST_WINDOW} seconds.")
        return seconds

    def set_condition(self) -> SetCondition | None:
        """Return when a set is complete."""
        if "set" not in self.content:
            return None
        table = self.get("set", dict, {})
        for name in table:
            if name not in {"each", "at_least", "settle_seconds"}:
                raise self.refusal(
                    f"set.{name}", "there is no such field. A set has each or at_least, and settle_seconds."
                )
        each = self.typed("set.each", table.get("each", False), bool)
        if each == ("at_least" in table):
            raise self.refusal("set", "it has exactly one of each = true and at_least. Say when it is complete.")
        settle = self.typed("set.settle_seconds", table.get("settle_seconds", SETTLE_SECONDS), int)
        if not 1 <= settle <= LONGEST_WINDOW:
            raise self.refusal("set.settle_seconds", f"{settle} is outside 1 to {LONGEST_WINDOW} seconds.")
        if each:
            return SetCondition(None, settle)
        at_least = self.typed("set.at_least", table["at_least"], int)
        if not FEWEST_MEMBERS <= at_least <= MOST_MEMBERS:
            raise self.refusal("set.at_least", f"{at_least} is outside {FEWEST_MEMBERS} to {MOST_MEMBERS}.")
        return SetCondition(at_least, settle)

    def ladder(self) -> tuple[Rung, ...]:
        """Return the capacity by size."""
        if "capacity" not in self.content:
            return ()
        tables = self.get("capacity", list, [])
        if not tables:
            raise self.refusal("capacity", "it is empty. Leave it out for the stack's capacity.")
        rungs: list[Rung] = []
        for number, table in enumerate(tables, start=1):
            field = f"capacity, step {number}"
            rung = self._rung(field, table)
            if number == len(tables) and rung.up_to is not None:
                raise self.refusal(field, "the last step must have no up_to: every size needs a capacity.")
            if number < len(tables) and rung.up_to is None:
                raise self.refusal(field, "up_to is missing: only the last step has none.")
            if rungs and rung.up_to is not None and rung.up_to <= (rungs[-1].up_to or 0):
                raise self.refusal(field, "up_to must be greater than that of the step before. Sort the steps by size.")
            rungs.append(rung)
        return tuple(rungs)

    def _rung(self, field: str, table: Any) -> Rung:
        entries = self.typed(field, table, dict)
        for name in entries:
            if name not in {"up_to", "dpus"}:
                raise self.refusal(field, f"there is no {name} in a step. A step has up_to and dpus.")
        if "dpus" not in entries:
            raise self.refusal(field, "dpus is missing.")
        dpus = self.typed(f"{field}, dpus", entries["dpus"], int)
        if not FEWEST_DPUS <= dpus <= MOST_DPUS:
            raise self.refusal(f"{field}, dpus", f"{dpus} is outside {FEWEST_DPUS} to {MOST_DPUS}.")
        return Rung(self._size(f"{field}, up_to", entries["up_to"]) if "up_to" in entries else None, dpus)

    def _size(self, field: str, value: Any) -> int:
        text = self.typed(field, value, str)
        found = SIZE.fullmatch(text)
        if not found:
            raise self.refusal(
                field, f'{text!r} is not a size. Write a whole number, a space and {", ".join(UNITS)}: "512 MiB".'
            )
        return int(found[1]) * UNITS[found[2]]

    def typed[T](self, field: str, value: Any, kind: type[T]) -> T:
        """Return a value that is of exactly this type."""
        if type(value) is not kind:  # true is an int to isinstance
            raise self.refusal(field, f"{value!r} must be {KINDS[kind]}.")
        return value

    def _parsed(self, field: str, text: str, captures: list[str] | None) -> Template:
        if captures is not None and text.startswith("-"):
            raise self.refusal(field, f"{text!r} begins with '-': a job would take it for an option. Change it.")
        try:
            template = parse_template(text, deep_allowed=captures is None)
        except ValueError as error:
            raise self.refusal(field, str(error)) from error
        names = [token.name for token in template if isinstance(token, Capture)]
        for number, name in enumerate(names):
            if captures is None and name in names[:number]:
                raise self.refusal(field, f"{{{name}}} is there twice. Give the second one another name.")
            if captures is not None and name not in captures:
                raise self.not_captured(field, name, captures)
        return template


def parse_template(text: str, *, deep_allowed: bool) -> Template:
    """Parse a template; only a match may have {name...}.

    Raises ValueError that names the error and its place.
    """
    if not text:
        raise ValueError("it is empty.")
    tokens: list[Token] = []
    literal = ""
    place = 0
    while place < len(text):
        if text.startswith(("{{", "}}"), place):
            literal += text[place]
            place += 2
            continue
        if text[place] not in "{}":
            literal += text[place]
            place += 1
            continue
        found = PLACEHOLDER.match(text, place)
        if not found:
            raise ValueError(
                f"character {place + 1}, {text[place]}, begins no placeholder. "
                "One is {name}, with a-z, 0-9 and _; a brace itself is {{ or }}."
            )
        if found[2] and not deep_allowed:
            raise ValueError(f"write {{{found[1]}}} here: only match may have the three dots.")
        tokens += [*([literal] if literal else []), Capture(found[1], bool(found[2]))]
        literal, place = "", found.end()
    return (*tokens, literal) if literal else tuple(tokens)


def _shared(templates: Sequence[Template]) -> list[str]:
    """Return the names that all templates capture, in the order of the first."""
    first, *others = [[token.name for token in one if isinstance(token, Capture)] for one in templates]
    return [name for name in first if all(name in names for names in others)]


def _shown(path: Path) -> str:
    """Return a path as a user would type it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _what_loops(loop: Loop, paths: Mapping[str, str]) -> str:
    first = loop[0]
    steps = "; ".join(
        f"{step.key!r} is {step.route.name}'s, whose job may write {step.written!r}, which is {step.next.name}'s"
        for step in loop
    )
    return (
        f"{paths[first.route.name]}: target: the job's output can start {first.route.name} again, without end: {steps}. "
        "Choose a target that no route of this circle matches, or make a match narrower."
    )
