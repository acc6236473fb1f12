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
from shared.domain.routes import Route
from shared.domain.windows import GRACE, LONGEST_WINDOW, File, Generation, Window, write_manifest
from tests.docs.pages import PAGES, blocks, plain, read, section, without_blocks, words
from tests.unit.builders import REPOSITORY, chosen, stored, table
from tests.unit.builders import stack as make_stack
from tests.unit.resolved import GLOBALS, PARAMETERS, overrides, stack
from tests.unit.wire import CODES, STATUSES
from tools.why import judge

RESOURCES = stack(parameters={"NoArrivalHours": 24, "SourceKmsKeyArn": "arn:aws:kms:r:123456789012:key/0"})["Resources"]
README, WINDOWS, OBSERVABILITY, ROUTES, COSTS = (
    read(page) for page in ("README.md", *(f"docs/{one}.md" for one in ("windows", "observability", "routes", "costs")))
)
MEMORY = GLOBALS["MemorySize"]
ALARMS = [name for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"]
DELIVERY = RESOURCES["StartExecutionFunction"]["Properties"]["Events"]["ObjectCreated"]["Properties"]["RetryPolicy"]
RUNS = int(PARAMETERS["GlueMaxConcurrentRuns"]["Default"])
[KEPT_OUTPUT] = [
    int(one["NoncurrentVersionExpiration"]["NoncurrentDays"])
    for one in RESOURCES["SourceBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    if "NoncurrentVersionExpiration" in one
]
BATCH = RESOURCES["BackfillStateMachine"]["Properties"]["Definition"]["States"]["Look at every object"]["ItemBatcher"]
STORM = simulate(10_000, Limits())
# What a figure stands in, on whichever page; the figure.
FIGURES: dict[str, object] = {
    r"keeps the name \((\d+) days\)": judge.KEPT.days,
    r"in the failure queue; it is kept (\d+) days": (
        RESOURCES["FailureQueue"]["Properties"]["MessageRetentionPeriod"] // 86_400
    ),
    r"can't reach the function for (\d+) h": DELIVERY["MaximumEventAgeInSeconds"] // 3600,
    r"at most (\d+), and start one execution": LONGEST_WINDOW,
    r"(?:prod: (\d+) \||hours: (\d+) suffice for)": overrides("prod")["MaxConcurrency"],
    r"takes a burst of (\d+) and": Limits().bucket,
    r"and (\d+) a second after it": Limits().refill,
    r"`GlueMaxConcurrentRuns` = (\d+) do": RUNS,
    r"do at most (\d+) files an hour": 60 * RUNS,
    r"A queue of ([\d,]+) files": f"{RUNS * 60 * 24:,}",
    r"in the (\d+) columns of the CSV": len(COLUMNS),
    r"(\d+ to \d+) DPUs": f"{route_files.FEWEST_DPUS} to {route_files.MOST_DPUS}",
    r"(?:billed at (\d+) MB|\| \*\*(\d+) MB\*\* \||(\d+) MB: ten times the peak memory)": MEMORY,
    r"one child execution for each (\d+) objects": BATCH["MaxItemsPerBatch"],
    r"\| (\d+ alarms \| \$[\d.]+) \|": f"{len(ALARMS)} alarms | ${len(ALARMS) * 0.10:.2f}",
    r"expire after (\d+) days": KEPT_OUTPUT,
    r"Seen in ([\d.]+\d)": seams.MINISTACK_VERSION,
    r"at most (6\d) s, and the listing": 60 + GRACE + 1,
    r"\(by simulation (\d+) % of 10,000\)": f"{100 * STORM.lost:.0f}",
}


def test_figures_are_the_codes() -> None:
    """Wherever a page tells them."""
    text = "\n".join(plain(page.read_text()) for page in PAGES)
    told = {pattern: {"".join(found.groups("")) for found in re.finditer(pattern, text)} for pattern in FIGURES}

    assert {pattern: {str(figure)} for pattern, figure in FIGURES.items()} == told


# ---- names ----

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
# In the pages' own examples; AWS's and ministack's names that no code of ours has; jq's, make's and AWS CLI's words.
MADE_UP = set(
    """
    HASH Hold aaa dsN OLD_RULE Schedules ROLE Remove Tuesday awkward customers daily c9a miss rates RUN ARCHIVE
    ContextEntries taskSubmitFailedEventDetails SimulatePrincipalPolicy StateMachineQualifier
    _build_simulate_results_real put_events run_child AccountLimit EXHAUSTED_RETRY_CONDITION EventLastReplayedTime
    FilterArns purge visibility exception_name stack_trace P8D PT2H logGroups
    """.split()  # noqa: SIM905 - one a line would be a page
)
# What is made here, or is about something else.
FOREIGN = {".aws-sam", ".git", ".hypothesis", ".local", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", "docs"}


@cache
def known() -> frozenset[str]:
    """Collect the names of all that is no page: code, template, definitions, tests but this one."""
    folders = [one for one in REPOSITORY.iterdir() if one.is_dir() and one.name not in FOREIGN]
    paths = [*REPOSITORY.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    texts = [path for path in paths if path.is_file() and path.suffix not in {".md", ".png", ".pyc", ".txt"}]
    names = (name for path in texts if path != Path(__file__) for name in NAME.findall(path.read_text()))
    return frozenset({*names, *(path.stem for path in texts)})


@pytest.mark.parametrize(
    "page", [one for one in PAGES if one.name not in {"decisions.md", "testing.md"}], ids=lambda path: path.name
)
def test_every_name_is_somebodys(page: Path) -> None:
    """What is in backticks or in a block of code is called so in the code, too."""
    text = re.sub(r"^### Removed\n.*?^#", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    # The policy is compared with the calls, in tests/integration/test_command.py.
    text = re.sub(r'^```json\n\{"Version".*?^```$', "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [*blocks(text, "(?:sh|json|toml)"), *words(without_blocks(text))]

    assert [] == sorted({name for span in spans for name in NAME.findall(span)} - known() - MADE_UP)


# ---- examples ----


def test_the_input_of_an_execution_is_the_plans() -> None:
    """Of the file of the README."""
    given = json.loads(blocks(README, "json")[0])
    told = {name: given["object"][name] for name in ("size", "etag", "content_type", "metadata")}
    one = stored(last_modified=datetime(2026, 11, 24, 5, 20, tzinfo=UTC), **told)

    assert given == json.loads(execution_input(one, chosen(), make_stack()))


def test_the_input_of_a_windows_execution_is_the_plans() -> None:
    """The page leaves out what every execution has, and shortens the manifest's name."""
    given = json.loads(blocks(WINDOWS, "json")[0])
    window = Window("r", make_stack().source_bucket_name, "input/lab2/eventdriven/", 1795497600, 60, None)
    file = File("input/lab2/eventdriven/a.csv", 12, "e", 1795497600)
    planned = plan_window(Generation(window, 0), write_manifest([file]), make_stack())
    made = json.loads(planned.input if planned else "{}")
    name, _ = given["manifest"].split("…")

    assert set() == given.keys() - made.keys()
    assert ([*made["window"]], made["window"]["start"]) == ([*given["window"]], given["window"]["start"])
    assert made["manifest"].startswith(re.sub(r"-\w+$", "-", name).replace("RESULTS", "results"))


def test_a_manifest_and_an_answer_are_what_is_made() -> None:
    """The names of their members, and every word of an outcome."""
    manifest = json.loads(write_manifest([File("k", 1, "e", 0)]))
    [shown] = re.findall(r"A manifest is `(\{.*?\]\})`", WINDOWS)
    [answer] = re.findall(r"^`(\{\"outcome\".*?\})`", README, re.MULTILINE)
    outcomes = re.findall(r'"outcome": "(\w+)"', (REPOSITORY / "src/shared/domain/outcome.py").read_text())

    assert [*manifest, *manifest["files"][0]] == re.findall(r'"(\w+)":', shown)
    assert [*as_response(Started("a"))] == re.findall(r'"(\w+)":', answer)
    assert set(outcomes) == set(re.findall(r'"(\w+)"(?!:)', answer))


def test_the_key_policy_allows_what_the_job_needs() -> None:
    """The same actions in the policy to copy and in the role."""
    policy = json.loads(blocks(read("docs/deploy.md"), "json")[0])
    statements = RESOURCES["GlueJobRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]

    assert [("Allow", policy["Action"])] == [
        (one["Effect"], one["Action"]) for one in statements if one.get("Sid") == "UseTheKey"
    ]


def test_the_job_is_told() -> None:
    """Each column that it knows, with its type; and the folder that it writes to."""
    columns = read("docs/job.md").partition("| columns | type |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]+) \|\W*(\w+)", columns, re.MULTILINE)
    told = {name: kind for names, kind in rows for name in words(names)}
    target = target_path("BUCKET", PARAMETERS["TargetPrefix"]["Default"], "in/NAME")

    assert {column.name: column.kind for column in TLC.values()} == told
    assert f"`{re.sub(r'[0-9a-f]{32}$', 'HASH', target)}/`" in README


# ---- the runbook's and observability's tables ----


def test_a_code_is_told_for_the_error_it_makes() -> None:
    """What may pass, and what is judged wrong."""
    told = [
        (code, name)
        for name, cell in re.findall(
            r"^\| `(\w+(?:Call|Denied)Error)`, ([^|]+) \|", read("docs/runbook.md"), re.MULTILINE
        )
        for code in re.findall(r"\*([A-Za-z]+|\d+)\*", cell)
    ]
    made = [(code, (STATUSES[int(code)][0] if code.isdigit() else CODES[code][1]).__name__) for code, _ in told]

    assert told
    assert made == told


def test_lists_of_words_are_whole() -> None:
    """Sources, reasons and causes, in the text; messages, in the table of fields; each saved query by its name."""
    [text] = re.findall(r"^`source` is (.*?)\n\n", OBSERVABILITY, re.MULTILINE | re.DOTALL)
    sources, _, reasons = text.partition(". `reason` of a skip is ")
    skips, _, failures = reasons.partition("; of a failure ")
    [messages] = re.findall(r"^\| `message` \| ([^|]+) \|", OBSERVABILITY, re.MULTILINE)
    written = (REPOSITORY / "src" / "shared" / "gates" / "telemetry.py").read_text()
    queries = [one["Properties"]["Name"] for one in RESOURCES.values() if one["Type"] == "AWS::Logs::QueryDefinition"]

    assert {one.value for one in Source} - {"backfill"} == set(words(sources))
    assert sorted(SkipReason) == words(skips)
    assert set(Cause) == set(words(failures))
    assert set(re.findall(r'logger\.\w+\("(\w+)"', written)) == set(words(messages))
    assert [] == [name for name in queries if name.partition("/")[2] not in plain(OBSERVABILITY)]


# ---- routes ----


def test_the_table_of_fields_is_the_builds() -> None:
    """Every field, in its order, with its default."""
    rows = dict(re.findall(r"^\| `\[?(\w+)\]?` \| .*? \|([^|]*)\|$", ROUTES.partition("## Fields")[2], re.MULTILINE))
    defaults = {name: default for name, default in Route._field_defaults.items() if type(default) in {bool, int}}

    assert list(route_files.FIELDS) == [name for name in rows if name in route_files.FIELDS]
    assert [] == [name for name in route_files.REQUIRED if rows[name].strip()]
    assert {name: json.dumps(one) for name, one in defaults.items()} == {
        name: rows[name].strip().partition(":")[0] for name in defaults
    }
    assert [] == [unit for unit in route_files.UNITS if unit not in ROUTES]


@pytest.mark.parametrize("number", range(len(blocks(ROUTES, "toml"))))
def test_every_route_that_is_shown_is_built(tmp_path: Path, number: int) -> None:
    """As it stands, or with what every route has."""
    text = blocks(ROUTES, "toml")[number]
    given = tomllib.loads(text)
    others = {"match": '"raw/{dt}/{file}"', "job_name": '"job"', "target": '"out"'}
    missing = "".join(f"{name} = {value}\n" for name, value in others.items() if name not in given)
    path = tmp_path / "shown.toml"
    path.write_text(missing + text)

    assert given
    assert read_route(path).name == "shown"
    assert len(missing.splitlines()) in {0, 3}


def test_the_readings_that_are_shown_are_the_patterns() -> None:
    """What a key is read as, and the route of the page's own example."""
    [(match, key, a, b)] = re.findall(r"`(\{a\}-\{b\})` reads `([\w-]+)` as `([\w-]+)` and `([\w-]+)`", ROUTES)
    sales = table(sales=blocks(ROUTES, "toml")[0]).find("raw/sales/dt=2026-11-24/store-17.csv")
    [shown] = re.findall(r'^`("route": .*)`', ROUTES, re.MULTILINE)

    assert {"a": a, "b": b} == Pattern(parse_template(match, deep_allowed=True)).match(key)
    assert sales
    assert {"route": "sales", "captures": sales.captures, "parameters": {}} == json.loads(f"{{{shown}}}")


# ---- costs and speed ----

UNITS = {"\N{MULTIPLICATION SIGN}": "*", "all traced": "1 M", "for a month": "", "$": "", ",": ""}


def priced() -> Iterator[tuple[str, str, float]]:
    """Yield each row of the trigger's costs: what, its price, and what its own arithmetic makes."""
    table_of_costs = section(COSTS, "## A million arrivals").partition("| **the trigger**")[0]
    for item, how, price in re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| \$([\d.]+) \|", table_of_costs, re.MULTILINE):
        text = re.sub(r"\(twice.*", "", how)
        for word, meant in UNITS.items():
            text = text.replace(word, meant)
        text = re.sub(r"/M\b", "e-6", re.sub(r" kB\b", "e-6", re.sub(r" M\b", "e6", text)))
        yield item, price, eval(re.sub(r" ?/?(?:GB|s)\b", "", text))  # noqa: S307 - a page of ours


def test_the_costs_add_up() -> None:
    """Each row is its own arithmetic, by the function's memory; the trigger's price is the sum, on every page."""
    rows = {item: float(price) for item, price, _ in priced()}
    total = sum(rows.values())

    assert {item: price for item, price, _ in priced()} == {item: f"{made:.2f}" for item, _, made in priced()}
    assert f"\N{MULTIPLICATION SIGN} {MEMORY / 1024} GB" in COSTS
    assert f"| **the trigger** | | **${total:.2f}** | |" in COSTS
    assert f"A million arrivals cost some **${total:.2f}**" in README
    untraced = total - rows["X-Ray traces"]
    assert f"a sixth of the ${untraced:.2f}" in read("docs/performance.md")
    assert 5.5 < untraced / rows["Lambda duration"] < 6.5
    by_rate = re.findall(r"^\| (\d+)(?: or less)? \| ([\d.]+) % \| \$([\d.]+) \| \$([\d.]+) \|", COSTS, re.MULTILINE)
    assert by_rate
    for rate, *told in by_rate:
        # The first request of each second, and 5 % of the others.
        traced = (1 + 0.05 * (int(rate) - 1)) / int(rate)
        assert told == [f"{100 * traced:g}", f"{5 * traced:.2f}", f"{untraced + round(5 * traced, 2):.2f}"], rate


def test_a_storm_is_the_simulations() -> None:
    """A row of the table."""
    few = simulate(10_000, Limits(environments=20))
    cells = [f"{one.lost:.0%}, {one.seconds / 60:.1f} min" for one in (STORM, few)]

    assert f"| 10,000 | {cells[0]} | {cells[1]} |" in read("docs/performance.md")


def test_the_settings_of_the_local_cloud_are_its_own() -> None:
    """Every variable with its default."""
    rows = dict(
        re.findall(
            r"^\| `([A-Z_]+)` \| ([^|]+) \|", read("docs/local-cloud.md").partition("## Settings")[2], re.MULTILINE
        )
    )

    assert {**settings.DEFAULTS, "LAMBDA_PYTHON": ".venv/lambda"} == {
        name: cell.strip("`").strip("\N{EN DASH}") for name, cell in rows.items()
    }
