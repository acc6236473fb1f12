"""What the local cloud adds to the artifact that Lambda gets."""

import importlib.machinery
from pathlib import Path

import pydantic_core

from local.stack import add_native_modules


def test_functions_find_the_native_modules_of_this_machine(tmp_path: Path) -> None:
    """Beside those that were built for Lambda, which a Mac can't load; what fits already stays as it was built."""
    [own] = Path(pydantic_core.__file__).parent.glob(f"*{importlib.machinery.EXTENSION_SUFFIXES[0]}")
    package = tmp_path / "pydantic_core"
    package.mkdir()
    (package / "_pydantic_core.cpython-313-elsewhere.so").write_bytes(b"Lambda's")

    add_native_modules(tmp_path)
    added = (package / own.name).read_bytes()
    (package / own.name).write_bytes(b"built")
    add_native_modules(tmp_path)

    assert own.read_bytes() == added
    assert b"built" == (package / own.name).read_bytes()
    assert {own.name, "_pydantic_core.cpython-313-elsewhere.so"} == {one.name for one in package.iterdir()}
