"""What `make test`, CI and the hooks run is all there is, and nothing of it may fail in silence.

`make unit` and `make integration` both run this file: if a part of `make test` is left out, another part notices.
"""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.docs.pages import ENVIRONMENTS, MAKEFILE, commands
from tests.unit.builders import REPOSITORY

CI = (REPOSITORY / ".ci" / "run").read_text()
TESTS = REPOSITORY / "tests"
# How pytest may be called: all else would leave tests out.
HOW = {"-n", "2", "3", "-p", "no:hypothesispytest"}
LINT = [
    *(".venv/dev/bin/ruff check .", ".venv/dev/bin/ruff format --check ."),
    ".venv/dev/bin/mypy src artifact benchmarks local tests tools",
    *(".venv/sam/bin/sam validate --lint", ".venv/dev/bin/codespell"),
]
INPUTS = [REPOSITORY / "src" / "requirements.in", *sorted((REPOSITORY / "requirements").glob("*.in"))]


def test_make_test_runs_every_test() -> None:
    """Each folder that holds tests, whole; and this file twice. No test is in a file where pytest finds none."""
    given = [shlex.split(line.partition("-m pytest")[2]) for line in commands("test") if "-m pytest" in line]
    files = {path for path in TESTS.rglob("*.py") if re.search(r"^def test_", path.read_text(), re.MULTILINE)}

    assert [] == [path for path in files if not path.name.startswith("test_")]
    assert {f"tests/{path.relative_to(TESTS).parts[0]}" for path in files} == {
        one for words in given for one in words
    } - HOW
    assert 2 == sum("tests/test_make.py" in words for words in given), "runs of this file"


def test_make_test_lints_and_builds() -> None:
    """First what is quick, and the build before what needs it; with the Python that Lambda runs first on the PATH."""
    ran = commands("test")
    [build] = [number for number, line in enumerate(ran) if line.endswith(".venv/sam/bin/sam build")]
    needing = [number for number, line in enumerate(ran) if "tests/integration" in line or "tests/glue" in line]

    assert LINT == [line for line in ran if line in LINT]
    assert build < min(needing), "the build comes first"
    assert ran[build].startswith(f'PATH="{REPOSITORY}/.venv/dev/bin:$PATH" ')
    assert any("arrivals routes " in line for line in ran)
    # What SAM CLI reports goes nowhere.
    assert {"export AWS_EC2_METADATA_DISABLED := true", "export SAM_CLI_TELEMETRY := 0"} <= set(MAKEFILE.splitlines())


def test_nothing_fails_in_silence() -> None:
    recipes = [line.strip() for line in MAKEFILE.splitlines() if line.startswith("\t")]

    assert [] == [line for line in recipes if re.match(r"[@+]*-(?!-)", line)]
    assert [] == [line for line in (*recipes, *CI.splitlines()) if re.search(r"\|\|\s*(true|:)|;\s*true\b", line)]
    assert [] == re.findall(r"^\.?(?:IGNORE|MAKEFLAGS|SHELL)\b.*", MAKEFILE, re.MULTILINE)


def test_environments_hold_what_is_pinned_by_hash() -> None:
    """And nothing that an environment's own list does not name; a new list makes it again."""
    recipe = "\n".join(commands("-W", "requirements/cloud.txt", ".venv/cloud/.ready", made=False))

    assert sorted(path.stem for path in INPUTS if path.stem not in {"requirements", "peers"}) == sorted(ENVIRONMENTS)
    assert "-m venv --clear .venv/cloud" in recipe
    assert re.search(r"pip install .*--require-hashes +-r requirements/cloud\.txt", recipe)
    assert ".venv/dev/.ready: src/requirements.txt\n" in MAKEFILE
    assert (3, 13) == sys.version_info[:2] == tuple(map(int, (REPOSITORY / ".python-version").read_text().split(".")))


def test_lock_pins_every_list() -> None:
    """All of them or the one that is asked for, with hashes, for our Python; it stops at one that can't be pinned."""
    every, one = ("\n".join(commands("lock", *more)) for more in ([], ["ONLY=cloud"]))
    [listed], [only] = (re.findall(r"for name in ([^;]+);", recipe) for recipe in (every, one))
    options = ("--upgrade", "--generate-hashes", "--python-version 3.13", "$name.in -o $name.txt || exit 1")

    assert {str(path.relative_to(REPOSITORY).with_suffix("")) for path in INPUTS} == set(listed.split())
    assert "requirements/cloud" == only
    assert [] == [option for option in options if option not in every]


def pinned(path: Path) -> dict[str, tuple[str, str]]:
    """Return the version of each pin of a list, and what is below it: hashes (pip wants them), and who asks for it."""
    text = path.with_suffix(".txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)(.*?)(?=^[\w.-]+==|\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: (version, below) for name, version, below in found}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_what_is_wanted_is_pinned(path: Path) -> None:
    """The list beside it was made from it: the same names, and versions that it asks for."""
    lines = [line.partition(" #")[0] for line in path.read_text().splitlines() if re.match(r"\w", line)]
    wanted = {one.name.lower(): one.specifier for one in map(Requirement, lines)}
    by_it = re.compile(rf"#(?: via)?\s+(?:-r )?{path.relative_to(REPOSITORY)}$", re.MULTILINE)
    pins = pinned(path)

    assert wanted.keys() == {name for name, (_, below) in pins.items() if by_it.search(below)}
    assert {} == {name: pins[name][0] for name, versions in wanted.items() if pins[name][0] not in versions}


@pytest.mark.parametrize(("name", "option"), [("dev", "-r"), ("peers", "-c")])
def test_lists_agree(name: str, option: str) -> None:
    """What the tests and the peers run with is what is deployed, in the same versions."""
    path = REPOSITORY / "requirements" / f"{name}.in"
    here, there = pinned(path), pinned(INPUTS[0])

    assert f"{option} ../src/requirements.txt" in path.read_text().splitlines()
    assert [] == [one for one in here.keys() & there.keys() if here[one][0] != there[one][0]]


def test_the_hooks_are_the_lint() -> None:
    """Before a commit the same tools check the same things, from the environments that are pinned."""
    [repository] = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = repository["hooks"]
    [files] = [one["files"] for one in hooks if "files" in one]
    definitions = [f"statemachine/{path.name}" for path in (REPOSITORY / "statemachine").iterdir()]

    assert {line.removesuffix(" .") for line in LINT} == {
        one["entry"].removesuffix(" --force-exclude") for one in hooks
    }
    assert {"ruff-check", "ruff-format", "codespell"} == {one["id"] for one in hooks if one.get("pass_filenames", True)}
    assert {"ruff-check", "ruff-format", "mypy"} == {one["id"] for one in hooks if "python" in one.get("types_or", ())}
    assert [] == [path for path in ("template.yaml", *definitions) if not re.search(files, path)]


def test_ci_runs_what_a_developer_runs() -> None:
    """`.ci/run` alone, for what is pushed and proposed; it may only read, and actions are pinned by commit."""
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    job, mac = workflow["jobs"]["test"], workflow["jobs"]["macos"]
    *actions, run = job["steps"]

    assert {"push": {"branches": ["main"]}, "pull_request": None} == workflow[True]  # YAML's `on`
    assert {"contents": "read"} == workflow["permissions"]
    assert {"run": ".ci/run"} == run
    assert [] == [one for one in actions if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one.get("uses", ""))]
    assert {"runs-on", "timeout-minutes", "steps"} == job.keys()
    # The local cloud's own tests, the runtime and the benchmarks need Linux: docs/local-cloud.md.
    assert [*actions, {"run": ".ci/run unit build demo"}] == mac["steps"]
    ran = ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make -j2 setup", 'make "${@:-test}"']
    assert ran == [line for line in CI.splitlines() if not line.startswith("#")]


def test_e2e_asks_before_it_begins() -> None:
    """`--yes` only with YES=1, and a stack has to be named; what needs the local cloud is left out, and no more."""
    local = {"account.py", "command.py", "expectations.py", "routes.py", "runtime.py"}
    paths = {f"tests/integration/{path.name}" for path in (TESTS / "integration").glob("test_*.py")}
    ran = [commands("e2e", *more)[-2:] for more in ([], ["STACK=s"], ["STACK=s", "YES=1"])]
    dry, yes = ran[1][1], ran[2][1]

    assert {f"tests/integration/test_{name}" for name in local} == paths - set(dry.split())
    assert ' -s --stack "s"  tests/' in dry
    assert yes == dry.replace('"s"  ', '"s" --yes ')
    assert ['test -n ""', 'test -n "s"', 'test -n "s"'] == [check.partition(" || ")[0] for check, _ in ran]
    assert [] == [check for check, _ in ran if not check.endswith("exit 1; }")]
