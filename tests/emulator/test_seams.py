"""The extension fits the ministack that it is written for."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator

from local.emulator import process

PIN = re.compile(r"^ministack==(\S+)", re.MULTILINE)
SOURCES = process.REPOSITORY / "local" / "emulator"

MISSING = """
import importlib, json, sys
from pathlib import Path
from local.emulator import settings
settings.configure(4566, Path())
used = json.load(sys.stdin)
print([name for module, name in used if not hasattr(importlib.import_module(module), name)])
"""

GONE = """
from pathlib import Path
from local.emulator import seams, settings
settings.configure(4566, Path())
from ministack.services import glue
seams.replaces(glue, "_gone")(print)
seams.check()
"""


def test_the_pinned_version_is_the_one_that_is_extended() -> None:
    """The requirement and the check at the start name one version."""
    [pinned] = PIN.findall((process.REPOSITORY / "requirements" / "cloud.txt").read_text())

    assert f'MINISTACK_VERSION = "{pinned}"' in (SOURCES / "seams.py").read_text()


def test_every_replaced_private_name_exists() -> None:
    """The pinned version has each name, or the server would not start."""
    checked = subprocess.run(
        [str(process.PYTHON), "-m", "local.emulator", "--check"],
        cwd=process.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "ministack.services.stepfunctions._start_execution" in checked.stdout.splitlines()


def test_every_private_name_that_is_used_exists() -> None:
    """Those that are called without being replaced would fail only in use."""
    used = sorted({name for source in SOURCES.glob("*.py") for name in _private_names(ast.parse(source.read_text()))})

    assert ("ministack.services.s3", "_buckets") in used
    assert "[]\n" == _python(MISSING, json.dumps(used)).stdout


def test_a_missing_name_stops_the_start_and_is_named() -> None:
    """A moved private name is an error that says which."""
    assert "has no ministack.services.glue._gone" in _python(GONE).stderr


def _private_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the private names that a module uses of ministack's modules."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    modules = {
        alias.name: f"{node.module}.{alias.name}"
        for node in imports
        for alias in node.names
        if (node.module or "").startswith("ministack")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr.startswith("_"):
            owner = modules.get(node.value.id)
            if owner:
                yield owner, node.attr


def _python(code: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Run code where ministack is installed."""
    command = [str(process.PYTHON), "-c", code]
    return subprocess.run(command, cwd=process.REPOSITORY, input=given, capture_output=True, text=True, check=False)
