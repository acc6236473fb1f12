"""Docs are code: what README, CONTRIBUTING and docs/ show runs or parses, and their tables are true."""

import importlib.util
import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.domain.arrival import SkipReason
from shared.domain.backfill import read_request
from tests.docs.pages import MAKEFILE, PAGES, blocks, read, section, without_blocks, words
from tests.unit.builders import REPOSITORY, stack
from tests.unit.resolved import CONFIGURATIONS, TEMPLATE

README, DEPLOY, RUNBOOK = read("README.md"), read("docs/deploy.md"), read("docs/runbook.md")
BLOCKS = [
    pytest.param(block, id=f"{path.name}-{number}")
    for path in PAGES
    for number, block in enumerate(blocks(path.read_text(), "sh"))
]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
RESOURCES = TEMPLATE["Resources"]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_command_parses(block: str) -> None:
    """`sh -n` reads each block."""
    subprocess.run(["/bin/sh", "-n"], input=block, text=True, check=True)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_make_target_exists(path: Path) -> None:
    """In blocks and in the text."""
    named = re.findall(r"(?:^|`)make (?:-j\d )?([a-z][a-z0-9-]*)", path.read_text(), re.MULTILINE)

    assert set(named) <= TARGETS


def test_every_make_target_is_there_for_somebody() -> None:
    """A target without a line in `make help` is a step of another one."""
    helped = set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE))

    assert TARGETS - helped <= {"lint", "unit", "integration"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_path_and_link_exists(path: Path) -> None:
    """Files in backticks by their path in the repository, links from where they stand, anchors as headings."""
    text = without_blocks(path.read_text())
    roots = {one.name for one in REPOSITORY.iterdir()} - {".venv", ".aws-sam", ".local", "target"}
    for named in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
        if named.split("/")[0] in roots:
            assert (REPOSITORY / named).exists(), named
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            file, _, anchor = target.partition("#")
            page = path.parent / file if file else path
            assert page.exists(), target
            assert not anchor or anchor in anchors(page), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_table_has_a_header(path: Path) -> None:
    """Or GitHub shows its rows as pipes. All rows have as many cells."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    tables = [block.splitlines() for block in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE)]

    for header, *rows in tables:
        cells = len(re.findall(r"(?<!\\)\|", header))
        assert rows, header
        assert re.fullmatch(r" *\|(?: *:?-+:? *\|)+", rows[0]), header
        assert {cells} == {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows}, header


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_module_that_is_run_exists() -> None:
    """`python -m` in blocks, in the text and in the Makefile."""
    text = "".join(path.read_text() for path in PAGES) + MAKEFILE
    modules = set(re.findall(r"python3? -m ([\w.]+)", text)) - {"pip", "venv", "pytest"}

    assert modules
    assert [] == [name for name in modules if importlib.util.find_spec(name) is None]


def test_every_backfill_that_is_shown_is_understood() -> None:
    """Inputs of `--input` and `--event`, and the one without the command, through the reader itself."""
    inputs = re.findall(r"(?:--(?:input|event) '|Backfill\w+` with `)(\{.*?\})['`]", README + DEPLOY + RUNBOOK)

    assert len(inputs) > 4
    for given in inputs:
        read_request(json.loads(given), stack(), datetime(2026, 11, 24, tzinfo=UTC))


def test_log_groups_and_resources_are_the_templates() -> None:
    """A log group that is misspelt answers with an error to somebody who has enough of them."""
    groups = {
        one["Properties"]["LogGroupName"].replace("${AWS::StackName}", "$STACK")
        for one in RESOURCES.values()
        if one["Type"] == "AWS::Logs::LogGroup"
    }
    named = set(re.findall(r"--log-group-name (\S+)", README + RUNBOOK))

    assert named
    assert named <= groups


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_outputs_are_the_templates(path: Path) -> None:
    """`output X` in the text, and the runbook's own function."""
    text = path.read_text()
    named = set(re.findall(r"outputs? `(\w+)`", text)) | set(re.findall(r"\$\(output (\w+)\)", text))

    assert named <= TEMPLATE["Outputs"].keys()


def test_the_table_of_parameters_is_true() -> None:
    """Every parameter, and no other, with its default."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", section(DEPLOY, "## Parameters"), re.MULTILINE)
    told = {
        name: value for names, cell in rows for name, value in zip(words(names), defaults(names, cell), strict=True)
    }

    assert {name: str(one["Default"]) for name, one in TEMPLATE["Parameters"].items()} == told


def defaults(names: str, cell: str) -> list[str]:
    """Read the defaults of a row: words in backticks, a number, or empty; one stands for all of the row."""
    found = words(cell) if cell.startswith("`") else [re.split(r"[: ]", cell)[0].replace("empty", "")]
    return found if len(found) > 1 else found * len(words(names))


def test_the_table_of_reasons_is_true() -> None:
    """Every reason of a skip, and no other."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", section(README, "## What the function answers"), re.MULTILINE)

    assert sorted(SkipReason) == sorted(name for row in rows for name in words(row))


def test_the_map_lists_every_page() -> None:
    """A page that nothing leads to is read by nobody."""
    told = re.findall(r"\(docs/([\w-]+\.md)\)", README.partition("## Where things are")[2])

    assert sorted(path.name for path in (REPOSITORY / "docs").glob("*.md")) == sorted(told)


def test_no_two_configurations_share_a_stack() -> None:
    """The second would change the first one's."""
    stacks = [one["global"]["parameters"]["stack_name"] for one in CONFIGURATIONS.values()]

    assert len(stacks) == len(set(stacks))
