"""What `make test`, CI and the hooks run is all there is, and nothing of it may fail in silence.

`make unit` and `make integration` both run this file: if a part of `make test` is left out, another part notices.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
TESTS = REPOSITORY / "tests"
# How pytest may be called: all else would leave tests out.
HOW = {"-n", "2", "3"}
LINT = [
    ".venv/dev/bin/ruff check .",
    ".venv/dev/bin/ruff format --check .",
    ".venv/dev/bin/mypy src artifact benchmarks local tests tools",
    ".venv/sam/bin/sam validate --lint",
    ".venv/dev/bin/codespell",
]
INPUTS = [REPOSITORY / "src" / "requirements.in", *sorted((REPOSITORY / "requirements").glob("*.in"))]


@cache
def commands(*words: str) -> list[str]:
    """Return what `make` would run, in order; the environments count as made."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    made = subprocess.run(
        [
            shutil.which("make") or "make",
            "-n",
            "-o",
            "setup",
            *(f"-o.venv/{name}/.ready" for name in environments()),
            *words,
        ],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.splitlines()


def environments() -> list[str]:
    """Return the names of the environments that `make setup` makes."""
    found = re.search(r"^envs := (.*)$", MAKEFILE, re.MULTILINE)
    assert found
    return re.findall(r"\.venv/(\w+)/", found[1])


def pytests() -> list[list[str]]:
    """Return the arguments of each pytest of `make test`."""
    return [shlex.split(line.partition("-m pytest")[2]) for line in commands("test") if "-m pytest" in line]


def test_make_test_runs_every_test() -> None:
    """Each folder that holds tests, whole."""
    folders = {f"tests/{path.relative_to(TESTS).parts[0]}" for path in TESTS.rglob("test_*.py")}
    given = {word for words in pytests() for word in words} - HOW

    assert folders == given
    assert 2 == sum("tests/test_make.py" in words for words in pytests())


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_helpers_have_homes(path: Path) -> None:
    """No file imports a file of tests: what two need is in builders.py, conftest.py, or a module beside them."""
    text = path.read_text()

    assert [] == re.findall(
        r"^(?:from [\w.]*\.test_\w+ import|from [\w.]+ import test_|import [\w.]*test_).*", text, re.MULTILINE
    )
    assert path.name.startswith("test_") or not re.search(r"^def test_", text, re.MULTILINE), (
        "pytest would not run its tests"
    )


def test_make_test_lints_and_builds() -> None:
    """First what is quick, and the build before what needs it."""
    ran = commands("test")

    assert LINT == [line for line in ran if line in LINT]
    [build] = [number for number, line in enumerate(ran) if line.endswith(".venv/sam/bin/sam build")]
    assert all(build < number for number, line in enumerate(ran) if "tests/integration" in line or "tests/glue" in line)
    assert any("arrivals routes " in line for line in ran)


def test_sam_builds_with_the_python_that_lambda_runs() -> None:
    """`python3.13` is the first on the PATH, and what SAM CLI reports goes nowhere."""
    [line] = [line for line in commands("build") if line.endswith("sam build")]

    assert line.startswith(f'PATH="{REPOSITORY}/.venv/dev/bin:$PATH" ')
    assert {"export AWS_EC2_METADATA_DISABLED := true", "export SAM_CLI_TELEMETRY := 0"} <= set(MAKEFILE.splitlines())


def test_nothing_fails_in_silence() -> None:
    """No recipe goes on after a failure, nor does CI."""
    recipes = [line.strip() for line in MAKEFILE.splitlines() if line.startswith("\t")]
    ci = (REPOSITORY / ".ci" / "run").read_text()

    assert [] == [line for line in recipes if re.match(r"[@+]*-(?!-)", line)]
    assert [] == [line for line in (*recipes, *ci.splitlines()) if re.search(r"\|\|\s*(true|:)|;\s*true\b", line)]
    assert ".IGNORE" not in MAKEFILE
    assert [] == re.findall(r"^\.?(?:MAKEFLAGS|SHELL)\b.*", MAKEFILE, re.MULTILINE)
    assert "set -euo pipefail" in ci


def test_environments_hold_what_is_pinned_by_hash() -> None:
    """And nothing that an environment's own list does not name; a new list makes it again."""
    assert ["dev", "sam", "cloud", "lambda", "spark"] == environments()
    assert "pip install --quiet --disable-pip-version-check --require-hashes $(options) -r $<" in MAKEFILE
    assert ".venv/%/.ready: requirements/%.txt\n\t$(PYTHON) -m venv --clear .venv/$*\n" in MAKEFILE
    assert ".venv/dev/.ready: src/requirements.txt\n" in MAKEFILE
    assert "PYTHON ?= python3.13\n" in MAKEFILE
    assert "--no-compile --config-settings=--build-option=--compression=stored\n" in MAKEFILE


def test_lock_pins_every_list() -> None:
    """All of them or the one that is asked for, with hashes, for our Python; it stops at the first that can't be pinned."""
    every, one = ("\n".join(commands("lock", *more)) for more in ([], ["ONLY=cloud"]))
    [listed], [only] = (re.findall(r"for name in ([^;]+);", recipe) for recipe in (every, one))

    assert {str(path.relative_to(REPOSITORY).with_suffix("")) for path in INPUTS} == set(listed.split())
    assert "requirements/cloud" == only
    for option in ("--upgrade", "--generate-hashes", "--python-version 3.13", "$name.in -o $name.txt || exit 1"):
        assert option in every


def wanted(path: Path) -> dict[str, str]:
    """Read what a list asks for: the version by the name; none where any will do."""
    lines = [line.partition(" #")[0].strip() for line in path.read_text().splitlines()]
    asked = [line for line in lines if line and not line.startswith(("#", "-"))]
    found = [re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?(?:==([\w.]+))?", line) for line in asked]
    assert None not in found, asked
    return {one[1].lower(): one[2] or "" for one in found if one}


def pinned(path: Path) -> dict[str, str]:
    """Read the pins of a list."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", path.with_suffix(".txt").read_text(), re.MULTILINE))


def asked_by(path: Path) -> set[str]:
    """Return which pins say that this list asks for them."""
    name = path.relative_to(REPOSITORY)
    chunks = re.split(r"^(?=[\w.-]+==)", path.with_suffix(".txt").read_text(), flags=re.MULTILINE)
    return {
        chunk.partition("==")[0] for chunk in chunks if re.search(rf"#(?: via)?\s+(?:-r )?{name}$", chunk, re.MULTILINE)
    }


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_what_is_wanted_is_pinned(path: Path) -> None:
    """The list beside it was made from it: the same names, the versions that it asks for, a hash for each."""
    asked, pins = wanted(path), pinned(path)

    assert asked.keys() == asked_by(path)
    assert {name: version for name, version in asked.items() if version} == {
        name: pins[name] for name, version in asked.items() if version
    }
    chunks = re.split(r"^(?=[\w.-]+==)", path.with_suffix(".txt").read_text(), flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in chunk for chunk in chunks)


@pytest.mark.parametrize(
    ("name", "line", "other"),
    [
        ("dev", "-r ../src/requirements.txt", "src/requirements"),
        ("peers", "-c ../src/requirements.txt", "src/requirements"),
    ],
)
def test_lists_agree(name: str, line: str, other: str) -> None:
    """What the tests and the peers run with is what is deployed, in the same versions."""
    path = REPOSITORY / "requirements" / f"{name}.in"
    here, there = pinned(path), pinned(REPOSITORY / f"{other}.in")
    both = here.keys() & there.keys()

    assert line in path.read_text().splitlines()
    assert both
    assert {one: there[one] for one in both} == {one: here[one] for one in both}


def test_the_hooks_are_the_lint() -> None:
    """Before a commit the same tools check the same things, from the environments that are pinned."""
    hooks = [
        one
        for repo in yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
        for one in repo["hooks"]
    ]
    entries = {" ".join(one["entry"].split()).removesuffix(" --force-exclude") for one in hooks}
    kinds: dict[str, Any] = {
        "ruff-check": {"types_or": ["python", "pyi"]},
        "ruff-format": {"types_or": ["python", "pyi"]},
        "mypy": {"types_or": ["python", "pyi"], "pass_filenames": False},
        "sam-validate": {"pass_filenames": False},
        "codespell": {"types": ["text"]},
    }

    assert {line.removesuffix(" .") for line in LINT} == entries
    assert kinds == {
        one["id"]: {name: one[name] for name in ("types_or", "types", "pass_filenames") if name in one} for one in hooks
    }
    [files] = [one["files"] for one in hooks if "files" in one]
    for changed in (
        "template.yaml",
        *(f"statemachine/{path.name}" for path in (REPOSITORY / "statemachine").iterdir()),
    ):
        assert re.search(files, changed)


def test_ci_runs_what_a_developer_runs() -> None:
    """`.ci/run` and nothing else, for what is pushed and proposed; it may only read, and actions are pinned by commit."""
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    job, mac = workflow["jobs"]["test"], workflow["jobs"]["macos"]
    steps = job["steps"]

    assert {"push": {"branches": ["main"]}, "pull_request": None} == workflow[True]  # YAML's `on`
    assert {"contents": "read"} == workflow["permissions"]
    assert [{"run": ".ci/run"}] == [step for step in steps if "run" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)
    assert job["timeout-minutes"] >= 20
    assert ["runs-on", "timeout-minutes", "steps"] == [*job]
    # The local cloud's own tests, the runtime and the benchmarks need Linux: docs/local-cloud.md.
    assert [*steps[:-1], {"run": ".ci/run unit build demo"}] == mac["steps"]
    assert ["make -j2 setup", 'make "${@:-test}"'] == (REPOSITORY / ".ci" / "run").read_text().splitlines()[-2:]
    assert "3.13" == (REPOSITORY / ".python-version").read_text().strip()
    assert (3, 13) == sys.version_info[:2]


def test_e2e_asks_before_it_begins() -> None:
    """`--yes` only with YES=1, and a stack has to be named; what needs the local cloud is left out, and no more."""
    recipe = MAKEFILE.partition("\ne2e:")[2].partition("\n\n")[0]
    [listed] = re.findall(r"^E2E \?= \$\(addprefix tests/integration/test_,([^)]+)\)$", MAKEFILE, re.MULTILINE)
    local = {"account.py", "command.py", "expectations.py", "parameters.py", "routes.py", "runtime.py", "windows.py"}

    assert {path.name.removeprefix("test_") for path in (TESTS / "integration").glob("test_*.py")} - local == set(
        listed.split()
    )
    assert '-s --stack "$(STACK)" $(if $(filter 1,$(YES)),--yes) $(E2E)' in recipe
    assert 'test -n "$(STACK)" || { echo "Which stack? make e2e STACK=glueworkshop-e2e"; exit 1; }' in recipe


@pytest.mark.parametrize(
    ("target", "modules"),
    [
        ("bench", ["benchmarks", "benchmarks.throughput", "benchmarks.job"]),
        ("demo", ["local.demo"]),
        ("local", ["local.playground"]),
        ("resolved", ["tests.unit.resolved"]),
        ("simulate", ["tests.simulation"]),
    ],
)
def test_a_target_runs_its_modules(target: str, modules: list[str]) -> None:
    """In order."""
    ran = [line for line in commands(target) if "python -m" in line]

    assert modules == [line.partition("python -m ")[2].split()[0] for line in ran]
