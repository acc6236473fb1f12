"""Every command that a page shows could be run as it stands: names, options, values, and what is read of the answer."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import botocore.session
import jmespath  # type: ignore[import-untyped]
import pytest
from botocore import xform_name
from botocore.utils import ArgumentGenerator

from shared.domain.backfill import read_request
from tests.docs.pages import MAKEFILE, PAGES, blocks, commands, read, section, without_blocks, words
from tests.unit.builders import REPOSITORY, stack
from tests.unit.resolved import CONFIGURATIONS, PARAMETERS, leaves
from tools.command import cli
from tools.template import deployed

RUNBOOK = read("docs/runbook.md")
STACK = deployed(NoArrivalHours=1)
RESOURCES, OUTPUTS = STACK["Resources"], STACK["Outputs"]
# What these options name is the template's, or Glue's.
NAMED = {
    "log-group-name": {"/aws-glue/jobs/error", "/aws-glue/jobs/output"}
    | {value.replace("glueworkshop", "STACK") for path, value in leaves(RESOURCES) if path.endswith(".LogGroupName")},
    "logical-resource-id": {*RESOURCES},
}
INVOKES = {"local": "AWS::Serverless::Function", "remote": "AWS::Serverless::StateMachine"}
SESSION = botocore.session.get_session()
# Options of the AWS CLI itself.
GLOBAL_OPTIONS = {"query", "output", "region", "profile", "max-items", "page-size", "starting-token"}
# Run where SAM CLI is: reads a command as SAM does, with samconfig.toml, and tells what it would do with it.
PARSE = """
import importlib, json, sys
import click
from samcli.cli.main import cli

def parsed(words):
    name, *words = words
    command, context = importlib.import_module(cli._commands[name]).cli, click.Context(cli)
    if isinstance(command, click.Group):
        context, (name, *words) = click.Context(command, parent=context, info_name=name), words
        command = command.get_command(context, name)
    return command.make_context(name, words, parent=context).params

def answer(words):
    try:
        return parsed(words)
    except click.ClickException as refusal:
        return {"refused": refusal.format_message()}

print(json.dumps([answer(words) for words in json.load(sys.stdin)], default=str))
"""
# Which log tells of an alarm, by the function that writes it.
LOGS = {
    "FunctionErrorsAlarm": "StartExecutionFunction",
    "BackfilledAlarm": "BackfillBatchFunction",
    "UnreachableRoutesAlarm": "StartExecutionFunction",
    "WindowStuckAlarm": "CollectWindowFunction",
}


class Shown(NamedTuple):
    """A command and the page it is on."""

    page: str
    words: tuple[str, ...]

    @property
    def options(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for word in self.words:
            if word.startswith("--"):
                found[word[2:]] = []
            elif found:
                found[next(reversed(found))].append(word)
        return found

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words[:4])}"


def text_of(page: Path) -> Iterator[str]:
    """Yield the lines of a page's commands, and what its text has in backticks."""
    text = page.read_text()
    for block in blocks(text, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from words(without_blocks(text))


def shown(program: str, *, alone: bool = False) -> list[Shown]:
    """Collect the commands of all pages that call a program, with what is set before it; a bare `$(output X)` stays."""
    found = []
    for page in PAGES:
        for line in text_of(page):
            for match in re.finditer(rf"(?:^|[(=;]|\{{ |\|\s|&& |\s\s)((?:[A-Z]+='?[^' ]*'? )?{program} [^|;]*)", line):
                command = re.sub(r"\$\(output (\w+)\)", r"@\1", match[1])
                command = re.sub(r"\$\(\(.*\)\)", "0", command).partition(" # ")[0]
                command = re.sub(r" && .*|\)\s*(?:\||$)|;.*", "", command)
                words = shlex.split(command.rstrip(") }"))
                if len(words) > (1 if alone else 2):
                    found.append(Shown(page.name, tuple(words)))
    return found


def operation(command: Shown) -> Any:
    """Return the model of what a command calls, as the AWS CLI knows it."""
    _, name, called, *_ = command.words
    service = SESSION.get_service_model({"s3api": "s3"}.get(name, name))
    known = {xform_name(one, "-"): one for one in service.operation_names}
    assert called in known
    return service.operation_model(known[called])


AWS = [one for one in shown("aws") if one.words[1] != "s3"]
ARRIVALS = shown("arrivals")
MAKE = shown("make", alone=True)
SAM = shown("sam", alone=True)


def test_commands_are_found() -> None:
    assert [] == [found for found in (AWS, ARRIVALS, MAKE, SAM) if len(found) < 15]


@pytest.mark.parametrize("command", AWS, ids=str)
def test_an_aws_command_takes_its_options_and_values(command: Shown) -> None:
    """Members of the call and no other, all that it needs, and values that the service knows."""
    shape = operation(command).input_shape
    members = {xform_name(name, "-"): member for name, member in shape.members.items()}

    assert command.options.keys() <= members.keys() | GLOBAL_OPTIONS
    assert {xform_name(name, "-") for name in shape.required_members} <= command.options.keys()
    for option, values in command.options.items():
        member = members.get(option)
        for value in values if member is not None else ():
            check_value(option, value, member)


def check_value(option: str, value: str, shape: Any) -> None:
    """See that a value is one of those that are known, of the right type, and of the right output of the stack."""
    if value.startswith("@"):
        assert value[1:] in OUTPUTS
        assert option.title().replace("-", "") in value, f"--{option} takes no {value[1:]}"
    elif not value.startswith("$"):
        assert value not in OUTPUTS, f"{value} is the name of an output"
        assert value in (getattr(shape, "enum", None) or [value])
        assert value.replace("$STACK", "STACK") in NAMED.get(option, {value})
        assert shape.type_name not in {"integer", "long"} or value.isdecimal()
    if shape.type_name == "structure":
        given = re.findall(r"(\w+)=", value)
        assert set(shape.required_members) <= set(given) <= shape.members.keys()


@pytest.mark.parametrize("command", [one for one in AWS if "query" in one.options], ids=str)
def test_a_query_finds_something(command: Shown) -> None:
    """In an answer that has every member that the service can give, each text of it `$1`, as the filter asks for."""
    [query] = command.options["query"]
    skeleton = json.dumps(ArgumentGenerator().generate_skeleton(operation(command).output_shape), default=str)
    found = jmespath.search(query, json.loads(skeleton.replace('""', '"$1"')))

    assert found, query
    assert [] == [path for path, value in leaves(found) if value is None]


def test_a_look_at_the_failure_queue_shows_all_and_hides_nothing_for_long() -> None:
    """The cause of a dead letter is in its attributes; a message that stays hidden looks lost."""
    [look] = [one.options for one in AWS if one.words[2] == "receive-message"]

    assert (["All"], ["10"]) == (look["message-attribute-names"], look["max-number-of-messages"])
    assert int(look["visibility-timeout"][0]) <= 10, "seconds"


def test_a_replay_goes_from_the_archive_to_the_bus() -> None:
    """Which is which, AWS's own names don't say: the source of events is the archive."""
    [replay] = [one.options for one in AWS if one.words[2] == "start-replay"]
    archive, bus = (re.findall(rf"^{name}=.*--query (\w+)", RUNBOOK, re.MULTILINE) for name in ("ARCHIVE", "BUS"))

    assert (["ArchiveArn"], ["EventSourceArn"]) == (archive, bus)
    assert (["$ARCHIVE"], ["Arn=$BUS"]) == (replay["event-source-arn"], replay["destination"])
    assert replay["event-start-time"] < replay["event-end-time"]


@pytest.mark.parametrize(("alarm", "function"), LOGS.items())
def test_an_alarms_section_reads_the_log_that_tells_of_it(alarm: str, function: str) -> None:
    """By the function's own group, a word that the function writes, and times in milliseconds."""
    text = section(RUNBOOK, f"## {alarm}")
    group = RESOURCES[RESOURCES[function]["Properties"]["LoggingConfig"]["LogGroup"]]["Properties"]["LogGroupName"]
    [start] = re.findall(r"--start-time (\S.+?)\s+--query", text)
    [word] = re.findall(r"--filter-pattern '(?:\{ \$\.message = \")?([^'\"]+)", text)

    assert [group.replace("glueworkshop", "$STACK")] == re.findall(r"--log-group-name (\S+)", text)
    assert re.fullmatch(r"\$\(\( \(\$\(date \+%s\) - (?:3600|86400)\) \* 1000 \)\)", start)
    assert word == "Error" or re.search(rf'logger\.\w+\("{word}"', read("src/shared/gates/telemetry.py"))


# ---- arrivals ----


@pytest.mark.parametrize("command", ARRIVALS, ids=str)
def test_the_command_takes_what_is_shown(command: Shown) -> None:
    """Its name, options and values; and a backfill's request is one that the function understands."""
    _, name, *words = (word.rstrip(".") if word == command.words[-1] else word for word in command.words)
    context = cli.commands[name].make_context(name, words or (["KEY"] if name in {"why", "route"} else []))

    if name == "backfill":
        asked = {one: context.params[one] for one in ("since", "until", "prefix", "reprocess") if context.params[one]}
        request = read_request({**asked, "dry_run": not context.params["start"]}, stack(), datetime.now(UTC))
        assert request.dry_run is not context.params["start"]


def test_every_command_has_an_example_that_works() -> None:
    """The help of each ends with one, and the page names all of them."""
    page = (REPOSITORY / "docs" / "command.md").read_text()

    for name, command in cli.commands.items():
        words = shlex.split((command.epilog or "").removeprefix("Example: ").partition(",")[0])
        assert ["arrivals", name] == words[:2]
        command.make_context(name, words[2:])
        assert f"| `arrivals {name}" in page


# ---- make ----


@pytest.mark.parametrize("command", sorted(set(MAKE)), ids=str)
def test_a_make_command_sets_what_its_target_reads(command: Shown) -> None:
    """A variable that nobody reads is ignored in silence: make must do something else with it, or the shell read it."""
    targets = [word for word in command.words if re.fullmatch(r"[a-z][a-z0-9-]*", word) and word != "make"]
    given = [word for word in command.words if re.match(r"[A-Z]+=", word)]
    plain = commands(*targets)

    assert [] == [
        word
        for word in given
        if not re.search(rf"\$\{{?{word.partition('=')[0]}\b", "\n".join(plain)) and commands(*targets, word) == plain
    ]


RUNS = [
    Shown("Makefile", ("python", "-m", *shlex.split(line)))
    for line in re.findall(r"python -m ((?!pytest|pip|venv|tests.unit.resolved)\S.*)", MAKEFILE)
]


@pytest.mark.parametrize("command", [*shown(r"(?:\.venv/dev/bin/)?python"), *RUNS], ids=str)
def test_a_module_that_is_run_takes_its_options(command: Shown) -> None:
    path = REPOSITORY / command.words[command.words.index("-m") + 1].replace(".", "/")
    [source] = [one.read_text() for one in (path.with_suffix(".py"), path / "__main__.py") if one.is_file()]

    assert [] == [option for option in command.options if f'"--{option}"' not in source]


# ---- SAM CLI ----


def test_sam_reads_every_command_as_it_was_meant(tmp_path: Path) -> None:
    """It takes the options; no value is cut at a blank or dropped because it is empty; no two stacks share a prefix.

    A shell takes one pair of quotes away, and SAM wants one too where a value is empty or has a blank.
    """
    shown_once = {one.words: one for one in SAM}
    # Its own would be parsed once a command.
    template = tmp_path / "template.yaml"
    template.write_text("Resources: {}")
    ran = subprocess.run(
        [str(REPOSITORY / ".venv" / "sam" / "bin" / "python"), "-c", PARSE],
        cwd=REPOSITORY,
        env={**os.environ, "SAM_TEMPLATE_FILE": str(template), "SAM_CLI_TELEMETRY": "0"},
        input=json.dumps([words[1:] for words in shown_once]),
        capture_output=True,
        text=True,
        check=True,
    )

    for command, answer in zip(shown_once.values(), json.loads(ran.stdout), strict=True):
        overrides = [word.partition("=") for word in command.options.get("parameter-overrides", [])]
        files = [*command.options.get("env-vars", []), *re.findall(r" -e ([^\s<]+)(?: |$)", " ".join(command.words))]
        invoked = [RESOURCES.get(name, {}).get("Type") for name in command.words[3:4]]
        assert "refused" not in answer, f"{command}: {answer['refused']}"
        assert [] == [file for file in files if not (REPOSITORY / file).is_file()], command
        assert {name for name, *_ in overrides} <= PARAMETERS.keys(), command
        if overrides:
            assert {name: value.strip('"') for name, _, value in overrides} == answer["parameter_overrides"], command
        if command.words[1] in {"deploy", "delete"}:
            assert answer.get("stack_name", "none") == answer.get("s3_prefix"), command
        if command.words[1] in INVOKES:
            assert invoked in [[], [INVOKES[command.words[1]]]], command


def test_the_proof_in_an_account_uses_one_stack() -> None:
    """What is deployed is what is tested and what is deleted; no stack of anybody's."""
    [block] = [one for one in blocks(read("docs/deploy.md"), "sh") if "make e2e" in one]
    stack_name = CONFIGURATIONS["e2e"]["global"]["parameters"]["stack_name"]

    assert {"e2e"} == set(re.findall(r"--config-env (\w+)", block))
    assert {stack_name} == set(re.findall(r"STACK=(\S+)", block))
