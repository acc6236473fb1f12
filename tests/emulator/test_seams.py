"""The extension fits the ministack that it is written for."""

import ast
import json
import subprocess
from collections.abc import Iterator

from local.emulator import process

SOURCES = process.REPOSITORY / "local" / "emulator"

MISSING = """
import importlib, json, sys
from pathlib import Path
from local.emulator import seams, settings
settings.configure(4566, Path())
used = json.load(sys.stdin)
print([name for module, name in used if not hasattr(importlib.import_module(module), name)])
from ministack.services import glue
seams.replaces(glue, "_gone")(print)
seams.check()
"""


def test_the_names_of_ministack_exist() -> None:
    """Also those that are called and not replaced. One that is replaced and is gone stops the start, and is named."""
    used = sorted({name for source in SOURCES.glob("*.py") for name in _names(ast.parse(source.read_text()))})
    command, here = [str(process.PYTHON), "-c", MISSING], process.REPOSITORY
    ran = subprocess.run(command, cwd=here, input=json.dumps(used), capture_output=True, text=True, check=False)

    assert ("ministack.services.s3", "_buckets") in used
    assert "[]\n" == ran.stdout, ran.stderr
    assert ran.stderr.endswith("has no ministack.services.glue._gone\n"), ran.stderr


def _names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that a module uses of ministack's modules."""
    modules = {
        alias.name: f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ministack")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr
