"""Docs are code: what README, CONTRIBUTING and docs/ show runs or parses, and their tables are true."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.domain.arrival import SkipReason
from shared.domain.backfill import read_request
from tests.docs.pages import PAGES, blocks, read, section, without_blocks, words
from tests.task_file import MAKEFILE
from tests.unit.builders import REPOSITORY, stack
from tests.unit.resolved import PARAMETERS, TEMPLATE

README, DEPLOY = read("README.md"), read("docs/deploy.md")
ALL = "".join(path.read_text() for path in PAGES)
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
RESOURCES = TEMPLATE["Resources"]
of_every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


@of_every_page
def test_every_command_parses(path: Path) -> None:
    """`sh -n` reads all blocks."""
    text = "\n".join(blocks(path.read_text(), "sh"))

    subprocess.run(["/bin/sh", "-n"], input=text, text=True, check=True)


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
    """Every table has a header, or GitHub shows its rows as pipes, and as many cells in each row; no line is long.

    Tables, code and lines with a link can't be broken.
    """
    text = without_blocks(path.read_text())
    for header, *rows in (one.splitlines() for one in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE)):
        cells = len(re.findall(r"(?<!\\)\|", header))
        assert rows, header
        assert re.fullmatch(r" *\|(?: *:?-+:? *\|)+", rows[0]), header
        assert {cells} == {len(re.findall(r"(?<!\\)\|", re.sub(r"`[^`]*`", "", row))) for row in rows}, header

    assert [] == [
        line for line in text.splitlines() if len(line) > 120 and not re.match(r" *\||.*(?:\]\(|https?:)", line)
    ]


def test_the_template_can_be_compared_by_its_lines() -> None:
    """A change to one metric or alarm shows as a change to its own line."""
    assert [] == [line for line in read("template.yaml").splitlines() if len(line) > 120]


def test_make_help_lists_every_target() -> None:
    """Each of them has its line."""
    assert set(re.findall(r"^([a-z0-9-]+):.*## ", MAKEFILE, re.MULTILINE)) == TARGETS


def test_every_backfill_that_is_shown_is_understood() -> None:
    """By the reader itself; one that says what it would start is dry, and so is no other."""
    inputs = re.findall(r"(?:--(?:input|event) '|Backfill\w+` with `)(\{.*?\})['`]", ALL)
    requests = [
        (given, read_request(json.loads(given), stack(), datetime(2026, 11, 24, tzinfo=UTC))) for given in inputs
    ]

    assert len(inputs) > 4
    assert [] == [given for given, request in requests if request.dry_run == ('"dry_run": false' in given)]


def test_what_a_command_names_is_the_templates() -> None:
    """A name that is misspelt answers with an error to somebody who has enough of them."""
    groups = {
        one["Properties"]["LogGroupName"].replace("${AWS::StackName}", "$STACK")
        for one in RESOURCES.values()
        if one["Type"] == "AWS::Logs::LogGroup"
    }
    for pattern, known in (
        (r"--log-group-name (\S+)", groups),
        (r"--logical-resource-id (\w+)", RESOURCES.keys()),
        (r"(?:outputs? `|\$\(output )(\w+)[`)]", TEMPLATE["Outputs"].keys()),
    ):
        named = {re.sub(r"/(?:STACK|glueworkshop)-", "/$STACK-", name) for name in re.findall(pattern, ALL)}
        assert named, pattern
        assert set() == named - known - {"/aws-glue/jobs/error", "/aws-glue/jobs/output"}


def test_the_table_of_parameters_is_true() -> None:
    """Every parameter, and no other, with its default."""
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|", section(DEPLOY, "## Parameters"), re.MULTILINE)
    told = {
        name: value for names, cell in rows for name, value in zip(words(names), defaults(names, cell), strict=True)
    }

    assert {name: str(one["Default"]) for name, one in PARAMETERS.items()} == told


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
