"""`arrivals`: what it reads of a deployed function, how it writes, and that its package is whole."""

import ast
import io
import json
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import shared.domain
from artifact.route_files import packed_module, read_routes
from shared.domain.routes import RouteTable
from tests.unit.builders import REPOSITORY
from tools import executions
from tools.answer import Answer, Listing, written
from tools.cloud import Cloud, NotKnownError
from tools.deployed import Opened, differing, read_code, read_packed

EXAMPLES = REPOSITORY / "examples" / "routes"
DOMAIN = {f"shared/domain/{path.name}": path.read_text() for path in Path(shared.domain.__path__[0]).glob("*.py")}
PACKED = "shared/domain/packed.py"


def code(**changes: str) -> zipfile.ZipFile:
    """Make a function's code, with some modules of the domain changed."""
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, text in {**DOMAIN, **{f"shared/domain/{one}.py": text for one, text in changes.items()}}.items():
            archive.writestr(name, text)
        archive.writestr("shared/gates/s3.py", "not the decision")
    return zipfile.ZipFile(stored)


def test_the_routes_are_those_of_the_deployed_code() -> None:
    """As the build wrote them, whatever a checkout has; and nothing of that code is run."""
    routes = read_routes(EXAMPLES)

    deployed = RouteTable(read_packed(code(packed=packed_module(routes)))).routes

    assert {one.name: one for one in routes} == {one.name: one for one in deployed}
    assert () == read_packed(code())
    with pytest.raises(ValueError, match="malformed"):
        read_packed(code(packed="ROUTES = __import__('os').getcwd()"))


def test_a_stack_of_another_version_is_noticed() -> None:
    """Routes may differ; the code that names and skips may not, without a word."""
    changed = code(packed="ROUTES = (1,)", names="# another version", of_a_later_version="")

    assert ["shared/domain/names.py", "shared/domain/of_a_later_version.py"] == differing(changed)
    assert [] == differing(code())


def test_code_that_can_not_be_fetched_is_no_stack_without_routes(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_text("an error page")
    for location in ((tmp_path / "no.zip").as_uri(), (tmp_path / "missing").as_uri()):
        with pytest.raises(NotKnownError, match="can't be fetched"):
            read_code(location)


def test_all_machines_that_may_fail_are_asked() -> None:
    """Also those of routes; without the version or alias that starts go to."""
    arn = "arn:aws:states:us-east-2:123456789012:stateMachine:"
    outputs = {"StateMachineArn": f"{arn}mine:live", "BackfillStateMachineArn": f"{arn}s-backfill"}
    resources = {"WindowStateMachine": f"{arn}s-windows"}
    opened = Opened("s", outputs, resources, {}, {"RouteStateMachineArns": f"{arn}x,{arn}y"})

    kinds = {"mine": "workflow", "x": "workflow", "y": "workflow", "s-windows": "window", "s-backfill": "backfill"}
    assert {arn + name: kind for name, kind in kinds.items()} == executions.machines(opened)


@pytest.mark.parametrize(("width", "lines"), [(None, 3), (80, 3), (20, 4)])
def test_a_row_is_never_cut(width: int | None, lines: int) -> None:
    """It is a line of a table where there is room, otherwise a paragraph; what is in it can be copied."""
    answer = Answer(["first", Listing(("NAME", "WHY"), [("a" * 10, "b" * 10)])], {})
    told = written(answer, as_json=False, width=width, colour=False)
    assert lines == len(told.splitlines()), told
    assert {"a" * 10, "b" * 10} <= set(told.split())


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_reaches_a_terminal_that_it_acts_on(*, as_json: bool) -> None:
    """Control characters, C1 too, bytes that are no text, and what turns the writing round."""
    odd = "\x1b[2J\x9b31m\r\x07\u202e\udce9 [bold]:car: é"
    told = written(Answer([odd, Listing(("KEY",), [(odd,)])], odd), as_json=as_json, width=80, colour=False)
    assert told.replace("\n", "").isprintable(), told
    assert odd == json.loads(told) if as_json else 2 == told.count("[bold]:car: é"), told


def test_advice_asks_the_same_stack_of_the_same_account() -> None:
    assert "" == Cloud().options
    cloud = Cloud("my team", "eu-west-1", None, "other")
    assert " --profile 'my team' --region eu-west-1 --stack other" == cloud.options


def test_the_package_holds_what_the_command_imports() -> None:
    """An installed command has no checkout beside it."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    roots = [REPOSITORY / one for one in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    files = [path for root in roots for path in root.rglob("*.py") if path != REPOSITORY / "artifact" / "build.py"]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    ours = {root.name for root in roots}
    others = {name.partition(".")[0] for name in imported} - ours - sys.stdlib_module_names
    declared = {one.partition(">")[0].partition("[")[0].replace("-", "_") for one in project["project"]["dependencies"]}
    others -= {name for name in others if name.startswith("types_")}
    # What the declared ones bring: boto3 botocore, and Powertools' parser pydantic. Zones are read by zoneinfo.
    assert others == (declared - {"pyyaml", "tzdata"}) | {"botocore", "pydantic", "yaml"}
    module, _, function = project["project"]["scripts"]["arrivals"].partition(":")
    assert f"def {function}(" in (REPOSITORY / module.replace(".", "/")).with_suffix(".py").read_text()
