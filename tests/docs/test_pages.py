"""What README, CONTRIBUTING and docs/ link to, name, count and show is so. No sentence is pinned."""

import json
import re
import subprocess
import tomllib
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from artifact import route_files
from benchmarks.storm import Limits, simulate
from glue.ny_taxi_transformed import TLC, target_path
from local.emulator import seams, settings
from local.trips import COLUMNS
from shared.domain.arrival import SkipReason, Source
from shared.domain.backfill import read_request
from shared.domain.errors import Cause
from shared.domain.gather import plan_window
from shared.domain.outcome import Started, as_response
from shared.domain.pattern import Pattern
from shared.domain.plan import execution_input
from shared.domain.routes import Route
from shared.domain.windows import GRACE, LONGEST_WINDOW, File, Generation, Window, write_manifest
from tests.docs.pages import MAKEFILE, PAGES, blocks, plain, read, rows, without_blocks, words
from tests.unit.builders import KEY, NOW, REPOSITORY, UPLOADED, chosen, stack, states, stored, table
from tests.unit.resolved import GLOBALS, PARAMETERS, leaves, overrides
from tests.unit.wire import CODES, STATUSES
from tools.template import deployed
from tools.why import judge

README = read("README.md")
COSTS, DEPLOY, OBSERVABILITY, ROUTES, RUNBOOK, WINDOWS = (
    read(f"docs/{name}.md") for name in ("costs", "deploy", "observability", "routes", "runbook", "windows")
)
ALL = "".join(path.read_text() for path in PAGES)
STACK = deployed(NoArrivalHours=24, SourceKmsKeyArn="arn:aws:kms:r:123456789012:key/0")
RESOURCES = STACK["Resources"]
VALUES = dict(leaves(RESOURCES))
BATCHER = states("backfill")["Look at every object"]["ItemBatcher"]
TELEMETRY = read("src/shared/gates/telemetry.py")
MEMORY = GLOBALS["MemorySize"]
ALARMS = sum(one["Type"] == "AWS::CloudWatch::Alarm" for one in RESOURCES.values())
RUNS = PARAMETERS["GlueMaxConcurrentRuns"]["Default"]
STORM = [simulate(10_000, Limits()), simulate(10_000, Limits(environments=20))]
of_every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


@of_every_page
def test_every_command_parses(path: Path) -> None:
    subprocess.run(["/bin/sh", "-n"], input="\n".join(blocks(path.read_text(), "sh")), text=True, check=True)


@of_every_page
def test_every_path_and_link_exists(path: Path) -> None:
    """Files in backticks by their path in the repository, links from where they stand, anchors as headings."""
    text = without_blocks(path.read_text())
    roots = {one.name for one in REPOSITORY.iterdir()} - {".venv", ".aws-sam", ".local", "target"}
    for named in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
        assert named.split("/")[0] not in roots or (REPOSITORY / named).exists(), named
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of_every_page
def test_a_page_can_be_read(path: Path) -> None:
    """Every table has a header, or GitHub shows its rows as pipes, and as many cells in each row; no line is long."""
    text = without_blocks(path.read_text())
    for header, *others in (one.splitlines() for one in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE)):
        cells = len(re.findall(r"(?<!\\)\|", header))
        assert others, header
        assert re.fullmatch(r" *\|(?: *:?-+:? *\|)+", others[0]), header
        assert [] == [row for row in others if len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) != cells]

    # Tables, code and lines with a link can't be broken.
    long = [line for line in text.splitlines() if len(line) > 120]
    assert [] == [line for line in long if not re.match(r" *\||.*(?:\]\(|https?:)", line)]


def test_the_template_can_be_compared_by_its_lines() -> None:
    """A change to one metric or alarm shows as a change to its own line."""
    assert [] == [line for line in read("template.yaml").splitlines() if len(line) > 120]


def test_make_help_lists_every_target() -> None:
    assert [] == [
        name for name, line in re.findall(r"^([a-z0-9-]+):(?!=)(.*)", MAKEFILE, re.MULTILINE) if "## " not in line
    ]


def test_the_map_lists_every_page() -> None:
    """A page that nothing leads to is read by nobody."""
    told = re.findall(r"\(docs/([\w-]+\.md)\)", README.partition("## Where things are")[2])

    assert sorted(path.name for path in (REPOSITORY / "docs").glob("*.md")) == sorted(told)


# ---- names ----

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
# In the pages' own examples; AWS's and ministack's names that no code of ours has; jq's, make's and AWS CLI's words.
MADE_UP = set(
    """
    HASH Hold aaa dsN OLD_RULE RULE Schedules ROLE Remove Tuesday awkward customers daily c9a miss rates RUN ARCHIVE
    ContextEntries taskSubmitFailedEventDetails SimulatePrincipalPolicy StateMachineQualifier
    _build_simulate_results_real put_events run_child AccountLimit EXHAUSTED_RETRY_CONDITION EventLastReplayedTime
    FilterArns MyStateMachine purge visibility exception_name stack_trace P8D PT2H logGroups
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


@of_every_page
def test_every_name_is_somebodys(path: Path) -> None:
    """What is in backticks or in a block of code is called so in the code, too."""
    text = "" if path.name in {"decisions.md", "testing.md"} else path.read_text()
    text = re.sub(r"^### Removed\n.*?^#", "", text, flags=re.MULTILINE | re.DOTALL)
    # A policy is compared with the calls, in tests/integration/test_command.py.
    spans = [one for one in blocks(text, "(?:sh|json|toml)") if not one.startswith('{"Version"')]
    spans += words(without_blocks(text))

    assert [] == sorted({name for span in spans for name in NAME.findall(span)} - known() - MADE_UP)


# ---- figures ----

RULE = "StartExecutionFunction.Properties.Events.ObjectCreated.Properties"
OLD_VERSIONS = "SourceBucket.Properties.LifecycleConfiguration.Rules[forget-old-versions-of-the-output]"
# What a figure stands in, on whichever page; the figure.
FIGURES: dict[str, object] = {
    r"keeps the name \((\d+) days\)": judge.KEPT.days,
    r"in the failure queue; it is kept (\d+) days": VALUES["FailureQueue.Properties.MessageRetentionPeriod"] // 86_400,
    r"can't reach the function for (\d+) h": VALUES[f"{RULE}.RetryPolicy.MaximumEventAgeInSeconds"] // 3600,
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
    r"one child execution for each (\d+) objects": BATCHER["MaxItemsPerBatch"],
    r"\| (\d+ alarms \| \$[\d.]+) \|": f"{ALARMS} alarms | ${ALARMS * 0.10:.2f}",
    r"expire after (\d+) days": VALUES[f"{OLD_VERSIONS}.NoncurrentVersionExpiration.NoncurrentDays"],
    r"Seen in ([\d.]+\d)": seams.MINISTACK_VERSION,
    r"at most (6\d) s, and the listing": 60 + GRACE + 1,
    r"\(by simulation (\d+) % of 10,000\)": f"{100 * STORM[0].lost:.0f}",
    r"\| 10,000 \| (\d+%, [\d.]+ min \| \d+%, [\d.]+ min) \|": " | ".join(
        f"{one.lost:.0%}, {one.seconds / 60:.1f} min" for one in STORM
    ),
}


def test_figures_are_the_codes() -> None:
    text = "\n".join(plain(page.read_text()) for page in PAGES)
    told = {pattern: {"".join(found.groups("")) for found in re.finditer(pattern, text)} for pattern in FIGURES}

    assert {pattern: {str(figure)} for pattern, figure in FIGURES.items()} == told


# As Python has them, and sizes in GB.
UNITS = {
    r"\(twice.*|\$|,|for a month| s\b| ?/?GB\b": "",
    "\N{MULTIPLICATION SIGN}": "*",
    "all traced": "1e6",
    r"/M\b| kB\b": "e-6",
    r" M\b": "e6",
}


def cost(how: str) -> float:
    """Work out the arithmetic of a row."""
    for word, meant in UNITS.items():
        how = re.sub(word, meant, how)
    return float(eval(how))  # noqa: S307 - a page of ours


def test_the_costs_add_up() -> None:
    """Each row is its own arithmetic, by the function's memory; the trigger's price is the sum, on every page."""
    priced = rows(COSTS.partition("| **the trigger**")[0] + "\n\n", "item | a million arrivals")
    prices = {item: float(price.strip("$")) for item, _, price, _ in priced}
    total = sum(prices.values())
    untraced = total - prices["X-Ray traces"]

    assert {item: f"${cost(how):.2f}" for item, how, *_ in priced} == {item: price for item, _, price, _ in priced}
    assert f"\N{MULTIPLICATION SIGN} {MEMORY / 1024} GB" in COSTS
    assert f"| **the trigger** | | **${total:.2f}** | |" in COSTS
    assert f"A million arrivals cost some **${total:.2f}**" in README
    assert f"a sixth of the ${untraced:.2f}" in read("docs/performance.md")
    assert 5.5 < untraced / prices["Lambda duration"] < 6.5, "no sixth"
    for rate, *told in rows(COSTS, "arrivals a second"):
        # The first request of each second, and 5 % of the others.
        traced = 0.05 + 0.95 / int(rate.split()[0])
        assert told == [f"{100 * traced:g} %", f"${5 * traced:.2f}", f"${untraced + round(5 * traced, 2):.2f}"], rate


# ---- tables ----


def test_the_table_of_parameters_is_true() -> None:
    told: dict[str, str] = {}
    for names, cell, _ in rows(DEPLOY, "parameter"):
        found = words(cell) if cell.startswith("`") else [re.split(r"[: ]", cell)[0].replace("empty", "")]
        told |= zip(words(names), found if len(found) > 1 else found * len(words(names)), strict=True)

    assert {name: str(one["Default"]) for name, one in PARAMETERS.items()} == told


def test_the_tables_of_reasons_and_words_are_whole() -> None:
    """Sources, reasons and causes; messages, in the table of fields; each saved query by its name."""
    [text] = re.findall(r"^`source` is (.*?)\n\n", OBSERVABILITY, re.MULTILINE | re.DOTALL)
    sources, _, reasons = text.partition(". `reason` of a skip is ")
    skips, _, failures = reasons.partition("; of a failure ")
    [messages] = [cell for field, cell, _ in rows(OBSERVABILITY, "field") if field == "`message`"]
    queries = [RESOURCES[name]["Properties"]["Name"] for name in RESOURCES if name.endswith("Query")]

    assert sorted(SkipReason) == sorted(name for cell, _ in rows(README, "reason of a skip") for name in words(cell))
    assert {one.value for one in Source} - {"backfill"} == set(words(sources))
    assert sorted(SkipReason) == words(skips)
    assert set(Cause) == set(words(failures))
    assert set(re.findall(r'logger\.\w+\("(\w+)"', TELEMETRY)) == set(words(messages))
    assert [] == [name for name in queries if name.partition("/")[2] not in plain(OBSERVABILITY)]


def test_a_code_is_told_for_the_error_it_makes() -> None:
    cells = re.findall(r"^\| `(\w+(?:Call|Denied)Error)`, ([^|]+) \|", RUNBOOK, re.MULTILINE)
    told = [(code, name) for name, cell in cells for code in re.findall(r"\*([A-Za-z]+|\d+)\*", cell)]
    made = [(code, (STATUSES[int(code)][0] if code.isdigit() else CODES[code][1]).__name__) for code, _ in told]

    assert told
    assert made == told


def test_the_job_is_told() -> None:
    columns = [row for row in rows(read("docs/job.md"), "columns") if row[0].startswith("`")]
    told = {name: kind.partition(":")[0] for cell, kind in columns for name in words(cell)}
    target = target_path("BUCKET", PARAMETERS["TargetPrefix"]["Default"], "in/NAME")

    assert {column.name: column.kind for column in TLC.values()} == told
    assert f"`{re.sub(r'[0-9a-f]{32}$', 'HASH', target)}/`" in README


def test_the_table_of_fields_is_the_builds() -> None:
    told = {name.strip("`[]"): default.partition(":")[0] for name, _, default in rows(ROUTES, "field")}
    defaults = {name: default for name, default in Route._field_defaults.items() if type(default) in {bool, int}}

    assert list(route_files.FIELDS) == [name for name in told if name in route_files.FIELDS]
    assert [] == [name for name in route_files.REQUIRED if told[name]]
    assert {name: json.dumps(one) for name, one in defaults.items()} == {name: told[name] for name in defaults}
    assert [] == [unit for unit in route_files.UNITS if unit not in ROUTES]


def test_the_settings_of_the_local_cloud_are_its_own() -> None:
    told = {
        words(name)[0]: cell.strip("`\N{EN DASH}") for name, cell, _ in rows(read("docs/local-cloud.md"), "variable")
    }

    assert {**settings.DEFAULTS, "LAMBDA_PYTHON": ".venv/lambda"} == told


# ---- examples ----


def test_every_backfill_that_is_shown_is_understood() -> None:
    """By the reader itself; one that says what it would start is dry, and so is no other."""
    inputs = re.findall(r"(?:--(?:input|event) '|Backfill\w+` with `)(\{.*?\})['`]", ALL)
    requests = [(given, read_request(json.loads(given), stack(), NOW)) for given in inputs]

    assert len(inputs) > 4, inputs
    assert [] == [given for given, request in requests if request.dry_run == ('"dry_run": false' in given)]


def test_the_input_of_an_execution_is_the_plans() -> None:
    given = json.loads(blocks(README, "json")[0])
    told = {name: given["object"][name] for name in ("size", "etag", "content_type", "metadata")}

    assert given == json.loads(execution_input(stored(last_modified=UPLOADED, **told), chosen(), stack()))


def test_the_input_of_a_windows_execution_is_the_plans() -> None:
    """The page leaves out what every execution has, and shortens the manifest's name."""
    given = json.loads(blocks(WINDOWS, "json")[0])
    slot = int(datetime.fromisoformat(given["window"]["start"]).timestamp())
    window = Window("r", stack().source_bucket_name, KEY.rpartition("/")[0] + "/", slot, 60, None)
    planned = plan_window(Generation(window, 0), write_manifest([File(KEY, 12, "e", slot)]), stack())
    made = json.loads(planned.input if planned else "{}")

    assert set() == given.keys() - made.keys()
    assert [*given["window"]] == [*made["window"]]
    assert given["window"]["start"] == made["window"]["start"]
    assert made["manifest"].startswith(re.sub(r"-\w+….*", "-", given["manifest"]).replace("RESULTS", "results"))


def test_a_manifest_and_an_answer_are_what_is_made() -> None:
    """The names of their members, and every word of an outcome."""
    manifest = json.loads(write_manifest([File("k", 1, "e", 0)]))
    [shown] = re.findall(r"A manifest is `(\{.*?\]\})`", WINDOWS)
    [answer] = re.findall(r"^`(\{\"outcome\".*?\})`", README, re.MULTILINE)
    outcomes = re.findall(r'"outcome": "(\w+)"', read("src/shared/domain/outcome.py"))

    assert [*manifest, *manifest["files"][0]] == re.findall(r'"(\w+)":', shown)
    assert [*as_response(Started("a"))] == re.findall(r'"(\w+)":', answer)
    assert set(outcomes) == set(re.findall(r'"(\w+)"(?!:)', answer))


def test_the_key_policy_allows_what_the_job_needs() -> None:
    policy = json.loads(blocks(DEPLOY, "json")[0])
    needed = [
        value for path, value in VALUES.items() if path.startswith("GlueJobRole.") and "[UseTheKey].Action" in path
    ]

    assert policy["Action"] == needed


@pytest.mark.parametrize("text", blocks(ROUTES, "toml"), ids=lambda text: text.partition("\n")[0])
def test_every_route_that_is_shown_is_built(tmp_path: Path, text: str) -> None:
    needed = {"match": '"raw/{dt}/{file}"', "job_name": '"job"', "target": '"out"'}
    missing = needed.keys() - tomllib.loads(text).keys()
    path = tmp_path / "shown.toml"
    path.write_text("".join(f"{name} = {needed[name]}\n" for name in missing) + text)

    assert route_files.read_route(path).name == "shown"
    assert len(missing) in {0, 3}, missing


def test_the_readings_that_are_shown_are_the_patterns() -> None:
    [(match, key, a, b)] = re.findall(r"`(\{a\}-\{b\})` reads `([\w-]+)` as `([\w-]+)` and `([\w-]+)`", ROUTES)
    sales = table(sales=blocks(ROUTES, "toml")[0]).find("raw/sales/dt=2026-11-24/store-17.csv")
    [shown] = re.findall(r'^`("route": .*)`', ROUTES, re.MULTILINE)

    assert {"a": a, "b": b} == Pattern(route_files.parse_template(match, deep_allowed=True)).match(key)
    assert {"route": "sales", "captures": sales and sales.captures, "parameters": {}} == json.loads(f"{{{shown}}}")
