"""Figures, names, tables and examples of the pages are those of the code. No sentence is pinned."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from artifact import route_files
from artifact.route_files import parse_template, read_route
from benchmarks.storm import Limits, simulate
from glue.ny_taxi_transformed import TLC, target_path
from local.emulator import seams, settings
from local.trips import COLUMNS
from shared.domain.arrival import SkipReason, Source
from shared.domain.errors import Cause
from shared.domain.gather import plan_window
from shared.domain.outcome import Started, as_response
from shared.domain.pattern import Pattern
from shared.domain.plan import execution_input
from shared.domain.windows import GRACE, LONGEST_WINDOW, File, Generation, Window, write_manifest
from tests.docs.pages import PAGES, blocks, read
from tests.unit.builders import REPOSITORY, chosen, stored, table
from tests.unit.builders import stack as make_stack
from tests.unit.resolved import GLOBALS, PARAMETERS, overrides, stack
from tests.unit.wire import CODES, STATUSES
from tools.why import judge

RESOLVED = stack(parameters={"NoArrivalHours": 24, "SourceKmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/0123"})
RESOURCES = RESOLVED["Resources"]
DEFAULTS = {name: one["Default"] for name, one in PARAMETERS.items()}
README = "README.md"
DEPLOY, WINDOWS, RUNBOOK, OBSERVABILITY, ROUTES, COSTS, LOCAL, SPEED = (
    f"docs/{name}.md"
    for name in ("deploy", "windows", "runbook", "observability", "routes", "costs", "local-cloud", "performance")
)
TIMES = "\N{MULTIPLICATION SIGN}"
MEMORY = GLOBALS["MemorySize"]
ALARMS = [name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"]
EVENTS = RESOURCES["StartExecutionFunction"]["Properties"]["Events"].values()
RUNS = int(DEFAULTS["GlueMaxConcurrentRuns"])
[KEPT_OUTPUT] = [
    int(one["NoncurrentVersionExpiration"]["NoncurrentDays"])
    for one in RESOURCES["SourceBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    if "NoncurrentVersionExpiration" in one
]
DAY = 86400
BATCH = RESOURCES["BackfillStateMachine"]["Properties"]["Definition"]["States"]["Look at every object"]["ItemBatcher"]
PROD = overrides("prod")
# What a figure stands in, on whichever page; the figure.
FIGURES: list[tuple[str, object]] = [
    (r"keeps the name \((\d+) days\)", judge.KEPT.days),
    (
        r"in the failure queue; it is kept (\d+) days",
        RESOURCES["FailureQueue"]["Properties"]["MessageRetentionPeriod"] // DAY,
    ),
    (
        r"can't reach the function for (\d+) h",
        max(one["Properties"]["RetryPolicy"]["MaximumEventAgeInSeconds"] for one in EVENTS) // 3600,
    ),
    (r"at most (\d+), and start one execution", LONGEST_WINDOW),
    (r"prod: (\d+) \|", PROD["MaxConcurrency"]),
    (r"hours: (\d+) suffice for", PROD["MaxConcurrency"]),
    (r"takes a burst of (\d+) and", Limits().bucket),
    (r"and (\d+) a second after it", Limits().refill),
    (r"`GlueMaxConcurrentRuns` = (\d+) do", RUNS),
    (r"do at most (\d+) files an hour", 60 * RUNS),
    (r"in the (\d+) columns of the CSV", len(COLUMNS)),
    (r"(\d+) to \d+ DPUs", route_files.FEWEST_DPUS),
    (r"\d+ to (\d+) DPUs", route_files.MOST_DPUS),
    (r"billed at (\d+) MB", MEMORY),
    (r"\| \*\*(\d+) MB\*\* \|", MEMORY),
    (r"(\d+) MB: ten times the peak memory", MEMORY),
    (r"one child execution for each (\d+) objects", BATCH["MaxItemsPerBatch"]),
    (r"\| (\d+) alarms \|", len(ALARMS)),
    (r"\| \d+ alarms \| \$([\d.]+) \|", f"{len(ALARMS) * 0.10:.2f}"),
    (r"expire after (\d+) days", KEPT_OUTPUT),
    (r"A queue of ([\d,]+) files", f"{RUNS * 60 * 24:,}"),
    (r"Seen in ([\d.]+\d)", seams.MINISTACK_VERSION),
    (r"at most (6\d) s, and the listing", 60 + GRACE + 1),
    (r"at most (30\d) s, and the listing", 300 + GRACE + 1),
]


def plain(text: str) -> str:
    """Return text as one line."""
    return " ".join(text.split())


@pytest.mark.parametrize(("pattern", "figure"), FIGURES, ids=[row[0] for row in FIGURES])
def test_a_figure_is_the_codes(pattern: str, figure: object) -> None:
    """Wherever a page tells it."""
    told = {found for page in PAGES for found in re.findall(pattern, plain(page.read_text()))}

    assert {str(figure)} == told


# ---- names ----

NAMING = [one for one in PAGES if one.name not in {"decisions.md", "testing.md"}]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
# In the pages' own examples; AWS's and ministack's names that no code of ours has; jq's, make's and AWS CLI's words.
MADE_UP = {
    "HASH",
    "Hold",
    "aaa",
    "dsN",
    "OLD_RULE",
    "Schedules",
    "ROLE",
    "Remove",
    "Tuesday",
    "awkward",
    "customers",
    "daily",
    "c9a",
    "miss",
    "rates",
    "RUN",
    "ARCHIVE",
    "ContextEntries",
    "taskSubmitFailedEventDetails",
    "SimulatePrincipalPolicy",
    "StateMachineQualifier",
    "_build_simulate_results_real",
    "put_events",
    "run_child",
    "AccountLimit",
    "EXHAUSTED_RETRY_CONDITION",
    "EventLastReplayedTime",
    "FilterArns",
    "purge",
    "visibility",
    "exception_name",
    "stack_trace",
    "P8D",
    "PT2H",
}

# What is made here, or is about something else.
FOREIGN = {
    ".aws-sam",
    ".git",
    ".hypothesis",
    ".local",
    ".venv",
    "docs",
    *(f".{tool}_cache" for tool in ("mypy", "pytest", "ruff")),
}


@cache
def known() -> frozenset[str]:
    """Collect the names of all that is no page: code, template, definitions, tests but this one."""
    folders = [one for one in REPOSITORY.iterdir() if one.is_dir() and one.name not in FOREIGN]
    paths = [*REPOSITORY.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    texts = [
        path
        for path in paths
        if path.is_file() and path.suffix not in {".md", ".png", ".pyc", ".txt"} and path != Path(__file__)
    ]
    return frozenset(
        {
            Path(__file__).stem,
            *(path.stem for path in texts),
            *(name for path in texts for name in NAME.findall(path.read_text())),
        }
    )


@pytest.mark.parametrize("page", NAMING, ids=lambda path: path.name)
def test_every_name_is_somebodys(page: Path) -> None:
    """What is in backticks or in a block of code is called so in the code, too."""
    text = re.sub(r"^### Removed\n.*?^#", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    # The policy is compared with the calls, in tests/integration/test_command.py.
    text = re.sub(r'^```json\n\{"Version".*?^```$', "", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```(?:sh|json|toml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))

    assert [] == sorted({name for span in (*blocks, *spans) for name in NAME.findall(span)} - known() - MADE_UP)


def test_what_was_removed_is_gone() -> None:
    """The changelog's list of it."""
    removed = re.findall(r"^### Removed\n(.*?)^#", read("CHANGELOG.md"), re.MULTILINE | re.DOTALL)

    assert removed
    assert not set(NAME.findall(" ".join(removed))) & RESOURCES.keys()


# ---- examples ----


def test_the_input_of_an_execution_is_the_plans() -> None:
    """Of the file of the README."""
    given = json.loads(blocks(read(README), "json")[0])
    moment = datetime(2026, 11, 24, 5, 20, tzinfo=UTC)
    told = {name: given["object"][name] for name in ("size", "etag", "content_type", "metadata")}
    one = stored(last_modified=moment, **told)

    assert json.loads(execution_input(one, chosen(), make_stack())) == given


def test_the_input_of_a_windows_execution_is_the_plans() -> None:
    """But for the sizes and the digest."""
    given = json.loads(blocks(read(WINDOWS), "json")[0])
    window = Window("r", make_stack().source_bucket_name, "input/lab2/eventdriven/", 1795497600, 60, None)
    file = File("input/lab2/eventdriven/a.csv", 12, "e", 1795497600)
    planned = plan_window(Generation(window, 0), write_manifest([file]), make_stack())
    assert planned
    made = json.loads(planned.input)

    assert {
        "glue_max_capacity_dpus",
        "JOB_NAME",
        "BUCKET_NAME",
        "SRC_PREFIX",
        "TRG_PREFIX",
    } == made.keys() - given.keys()
    assert given.keys() <= made.keys()
    assert [*made["window"]] == [*given["window"]]
    assert {"start": "2026-11-24T05:20:00Z", "seconds": 60, "generation": 0} == given["window"]
    assert re.fullmatch(r"s3://RESULTS/windows/eventdriven-20261124T052000Z-\w+…/0\.json", given["manifest"])
    assert made["manifest"].startswith("s3://results/windows/eventdriven-20261124T")


def test_a_manifest_is_what_is_stored() -> None:
    """The names of its members."""
    made = json.loads(write_manifest([File("k", 1, "e", 0)]))
    [shown] = re.findall(r"A manifest is `(\{.*?\]\})`", read(WINDOWS))

    assert [*made] == ["files"]
    assert ["files", *made["files"][0]] == re.findall(r'"(\w+)":', shown)


def test_the_answer_is_the_functions() -> None:
    """Its members, and every word of the outcome."""
    [shown] = re.findall(r"^`(\{\"outcome\".*?\})`", read(README), re.MULTILINE)
    outcomes = {*re.findall(r'"outcome": "(\w+)"', (REPOSITORY / "src/shared/domain/outcome.py").read_text())}

    assert [*as_response(Started("a"))] == re.findall(r'"(\w+)":', shown)
    assert outcomes == set(re.findall(r'"(\w+)"(?!:)', shown))


def test_the_key_policy_allows_what_the_job_needs() -> None:
    """The same actions in the policy to copy and in the role."""
    policy = json.loads(blocks(read(DEPLOY), "json")[0])
    [role] = [
        one["Action"]
        for one in RESOURCES["GlueJobRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if one.get("Sid") == "UseTheKey"
    ]

    assert role == policy["Action"]
    assert "Allow" == policy["Effect"]


def test_the_table_of_columns_is_the_jobs() -> None:
    """Each column that the job knows, with its type."""
    table_of_columns = read(REPOSITORY / "docs" / "job.md").partition("| columns | type |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table_of_columns.splitlines() if line.startswith("| `")]
    told = {name: re.findall(r"\w+", kind)[0] for names, kind in rows for name in re.findall(r"`(\w+)`", names)}

    assert {column.name: column.kind for column in TLC.values()} == told
    assert told.keys() >= set(COLUMNS)


def test_the_target_is_the_jobs() -> None:
    """The folder of a source."""
    made = target_path("BUCKET", DEFAULTS["TargetPrefix"], "in/NAME")

    assert f"`{re.sub(r'[0-9a-f]{32}$', 'HASH', made)}/`" in read(README)


# ---- the runbook's and observability's tables ----


def errors_of_the_queue() -> Iterator[tuple[str, str]]:
    """Yield each error of the runbook's table with each code that it is told for."""
    for name, cell in re.findall(r"^\| `(\w+(?:Call|Denied)Error)`, ([^|]+) \|", read(RUNBOOK), re.MULTILINE):
        for code in re.findall(r"\*([A-Za-z]+|\d+)\*", cell):
            yield name, code


@pytest.mark.parametrize(("name", "code"), list(errors_of_the_queue()))
def test_a_code_is_told_for_the_error_it_makes(name: str, code: str) -> None:
    """What may pass, and what is judged wrong."""
    kind = STATUSES[int(code)][0] if code.isdigit() else CODES[code][1]

    assert kind.__name__ == name


def test_the_errors_of_the_queue_are_found() -> None:
    """The table above is not empty by mistake."""
    assert len(list(errors_of_the_queue())) >= 6


def test_lists_of_words_are_whole() -> None:
    """Sources, reasons and causes, in the text; messages, in the table of fields."""
    [text] = re.findall(r"^`source` is (.*?)\n\n", read(OBSERVABILITY), re.MULTILINE | re.DOTALL)
    sources, _, reasons = text.partition(". `reason` of a skip is ")
    skips, _, failures = reasons.partition("; of a failure ")
    [messages] = re.findall(r"^\| `message` \| ([^|]+) \|", read(OBSERVABILITY), re.MULTILINE)
    written = (REPOSITORY / "src" / "shared" / "gates" / "telemetry.py").read_text()

    assert {one.value for one in Source} - {"backfill"} == set(re.findall(r"`(\w+)`", sources))
    assert sorted(SkipReason) == re.findall(r"`(\w+)`", skips)
    assert set(Cause) == set(re.findall(r"`(\w+)`", failures))
    assert set(re.findall(r'logger\.\w+\("(\w+)"', written)) == set(re.findall(r"`(\w+)`", messages))
    assert "Received = Started + Duplicates + Coalesced + Waiting + Skipped + Failed" in plain(read(OBSERVABILITY))


def test_the_saved_queries_are_named() -> None:
    """Each by its name."""
    names = [
        one["Properties"]["Name"].partition("/")[2]
        for one in RESOURCES.values()
        if one["Type"] == "AWS::Logs::QueryDefinition"
    ]

    assert [] == [name for name in names if name not in plain(read(OBSERVABILITY))]


# ---- routes ----


def test_the_table_of_fields_is_the_builds() -> None:
    """Every field, in its order, with its default."""
    rows = re.findall(r"^\| `\[?(\w+)\]?` \| .*? \|([^|]*)\|$", read(ROUTES).partition("## Fields")[2], re.MULTILINE)
    told = {name: default for name, default in rows if name in route_files.FIELDS}

    assert list(route_files.FIELDS) == [*told]
    assert ("", "", "") == tuple(told[name].strip() for name in route_files.REQUIRED)
    assert ("false", "0", "0: one execution a file", "none", "`GlueMaxCapacityDpus`") == tuple(
        told[name].strip() for name in ("accept_empty", "priority", "window_seconds", "parameters", "capacity")
    )


@pytest.mark.parametrize("number", range(len(blocks(read(ROUTES), "toml"))))
def test_every_route_that_is_shown_is_built(tmp_path: Path, number: int) -> None:
    """As it stands, or with what every route has."""
    text = blocks(read(ROUTES), "toml")[number]
    given = tomllib.loads(text)
    others = {"match": '"raw/{dt}/{file}"', "job_name": '"job"', "target": '"out"'}
    missing = "".join(f"{name} = {value}\n" for name, value in others.items() if name not in given)
    path = tmp_path / "shown.toml"
    path.write_text(missing + text)

    assert given
    assert read_route(path).name == "shown"
    assert len(missing.splitlines()) in {0, 3}


def test_the_default_route_is_what_the_table_says(tmp_path: Path) -> None:
    """With the required fields alone."""
    path = tmp_path / "shown.toml"
    path.write_text('match = "raw/{file}"\njob_name = "job"\ntarget = "out"\n')
    made = read_route(path)

    assert (False, 0, 0, (), ()) == (
        made.accept_empty,
        made.priority,
        made.window_seconds,
        made.parameters,
        made.capacity,
    )
    assert (None, None) == (made.source, made.state_machine_arn)


def test_the_readings_that_are_shown_are_the_patterns() -> None:
    """What a key is read as, and the route of the page's own example."""
    [(match, key, a, b)] = re.findall(r"`(\{a\}-\{b\})` reads `([\w-]+)` as `([\w-]+)` and `([\w-]+)`", read(ROUTES))
    assert {"a": a, "b": b} == Pattern(parse_template(match, deep_allowed=True)).match(key)

    sales = table(sales=blocks(read(ROUTES), "toml")[0])
    taken = sales.find(KEY)
    assert taken
    [shown] = re.findall(r'^`("route": .*)`', read(ROUTES), re.MULTILINE)
    assert {"route": "sales", "captures": taken.captures, "parameters": {}} == json.loads(f"{{{shown}}}")


KEY = "raw/sales/dt=2026-11-24/store-17.csv"


def test_a_routes_name_has_the_length_that_is_told() -> None:
    """And a size the units."""
    assert (True, False) == tuple(bool(route_files.ROUTE_NAME.fullmatch("a" * length)) for length in (64, 65))
    for unit, size in route_files.UNITS.items():
        assert unit in plain(read(ROUTES))
        assert size % (1024 if "i" in unit else 1000) == 0 or unit == "B"


# ---- costs and speed ----


def test_the_costs_add_up() -> None:
    """Each row is its own arithmetic, and the trigger's price is the sum, by rate, on every page that tells it."""
    rows = dict(
        re.findall(
            r"^\| ([^|]+?) \| [^|]+ \| \$([\d.]+) \|",
            read(COSTS).partition("## A million arrivals")[2].partition("| **the trigger**")[0],
            re.MULTILINE,
        )
    )
    total = sum(map(float, rows.values()))

    assert 7 == len(rows)
    assert f"| **the trigger** | | **${total:.2f}** | |" in read(COSTS)
    assert f"A million arrivals cost some **${total:.2f}**" in read(README)
    untraced = total - float(rows["X-Ray traces"])
    assert f"a sixth of the ${untraced:.2f}" in read(SPEED)
    assert 0.59 > 6 * float(rows["Lambda duration"]) - untraced > -0.59
    by_rate = re.findall(
        r"^\| (\d+)(?: or less)? \| ([\d.]+) % \| (\$[\d.]+) \| (\$[\d.]+) \|", read(COSTS), re.MULTILINE
    )
    assert 3 == len(by_rate)
    for rate, share, traces, trigger in by_rate:
        # The first request of each second, and 5 % of the others.
        traced = (1 + 0.05 * (int(rate) - 1)) / int(rate)
        assert (f"{100 * traced:g}", f"${5 * traced:.2f}", f"${untraced + round(5 * traced, 2):.2f}") == (
            *(share, traces, trigger),
        )


@pytest.mark.parametrize(
    ("item", "how", "sum_of"),
    [
        ("EventBridge, native S3 events", "1 M * $1.00/M", 1.00),
        ("Lambda requests", "1 M * $0.20/M", 0.20),
        ("Lambda duration", "1 M * 0.059 s * 0.5 GB * $0.0000166667", 1e6 * 0.059 * MEMORY / 1024 * 0.0000166667),
        ("`HeadObject`", "1 M * $0.40/M (twice where another version is current)", 0.40),
        ("CloudWatch Logs, function", "1 M * 1.3 kB * $0.50/GB", 1.3 * 0.50),
        ("archive", "1 GB * ($0.10 + $0.023 for a month)", 0.10 + 0.023),
        ("X-Ray traces", "all traced * $5/M", 5.0),
    ],
)
def test_a_price_is_its_own_arithmetic(item: str, how: str, sum_of: float) -> None:
    """For a million arrivals, by the first table's prices."""
    assert f"| {item} | {how.replace('*', TIMES)} | ${sum_of:.2f} |" in read(COSTS)


def test_a_storm_is_the_simulations() -> None:
    """A row of the table, the same as the README tells."""
    lost, minutes = (one := simulate(10_000, Limits())).lost, one.seconds / 60
    few = simulate(10_000, Limits(environments=20))

    assert f"| 10,000 | {lost:.0%}, {minutes:.1f} min | {few.lost:.0%}, {few.seconds / 60:.1f} min |" in read(SPEED)
    assert f"(by simulation {lost:.0%} of 10,000)".replace("%", " %") in plain(read(DEPLOY))


def test_the_settings_of_the_local_cloud_are_its_own() -> None:
    """Every variable with its default."""
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", read(LOCAL).partition("## Settings")[2], re.MULTILINE))

    assert {**settings.DEFAULTS, "LAMBDA_PYTHON": ".venv/lambda"} == {
        name: cell.strip("`").strip("\N{EN DASH}") for name, cell in rows.items()
    }


def test_the_local_clouds_modules_are_told() -> None:
    """Each that the table names is there."""
    told = re.findall(r"`(\w+\.py)`", "".join(re.findall(r"^\| (`\w+\.py`[^|]*) \|", read(LOCAL), re.MULTILINE)))

    assert len(told) >= 11
    assert [] == [name for name in told if not (REPOSITORY / "local" / "emulator" / name).exists()]
