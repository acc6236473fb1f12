"""The artifact: what `artifact/build.py` installs, cuts away, copies and compiles, without the network."""

import importlib.util
import json
import marshal
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore
import pytest

from artifact import build, route_files
from artifact.pack import pack
from tests.unit.builders import REPOSITORY

SOURCE = REPOSITORY / "src"
EXAMPLES = REPOSITORY / "examples" / "routes"


def test_only_pinned_wheels_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hash and for Lambda's platform, and nothing that pip would find besides or build here."""
    ran: list[tuple[list[str], bool]] = []
    monkeypatch.setattr(subprocess, "run", lambda words, *, check: ran.append((words, check)))
    build.install("aarch64", Path("target"))
    [(words, check)] = ran

    assert ([sys.executable, "-m", "pip", "install"], True) == (words[:4], check)
    assert {
        *("--require-hashes", "--only-binary=:all:", "--no-deps", "--implementation=cp", "--python-version=3.13"),
        *("--platform=manylinux_2_17_aarch64", "--target=target", f"--requirement={SOURCE / 'requirements.txt'}"),
    } == set(words[4:]) - {"--quiet", "--disable-pip-version-check", "--no-compile"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Stand in for pip, which installs these files: a name or a text with `{}` is the machine's."""
    files = {"core/_core.cpython-313-{}-linux-gnu.so": "{}", "core/__init__.py": "", "core-1.dist-info/WHEEL": "{}"}

    def install(machine: str, target: Path) -> None:
        for name, text in files.items():
            path = target / name.format(machine)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(machine))

    (tmp_path / "requirements.txt").write_text("a==1")
    monkeypatch.setattr(build, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(build, "STAGES", tmp_path / "stages")
    monkeypatch.setattr(build, "install", install)
    monkeypatch.setattr(build, "trim", lambda _target: None)
    return files


def test_what_is_installed_once_for_both_processors_is_used_again(installed: dict[str, str]) -> None:
    """So a stack of either runs what was built. Other pins are installed by themselves, without an unfinished build."""
    first = build.dependencies()
    natives = {path.name: path.read_text() for path in first.rglob("*.so")}
    installed["core/new.py"] = ""
    again = [path.name for path in build.dependencies().rglob("new.py")]
    shutil.rmtree(first)
    stale = first.with_suffix(".unfinished") / "x86_64" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    anew = build.dependencies()
    build.REQUIREMENTS.write_text("a==2")

    assert {f"_core.cpython-313-{one}-linux-gnu.so": one for one in ("x86_64", "aarch64")} == natives
    assert [] == again
    assert (first, ["new.py"], []) == (anew, [path.name for path in anew.rglob("new.py")], [*anew.rglob("stale.py")])
    assert anew != build.dependencies()
    # One of the two would run with the other's code.
    installed["core/constants.py"] = "MACHINE = '{}'"
    build.REQUIREMENTS.write_text("a==3")
    with pytest.raises(SystemExit, match=r"core/constants\.py differs between x86_64 and aarch64"):
        build.dependencies()


def test_what_no_function_reads_is_cut_away(tmp_path: Path) -> None:
    """Of the SDK: other services, operations and endpoints, examples, paginators, waiters, commands."""
    botocore_data = Path(botocore.__file__).parent / "data"
    data = tmp_path / "botocore" / "data"
    for name in ("s3", "stepfunctions", "sqs"):
        shutil.copytree(botocore_data / name, data / name)
    for name in ("endpoints.json", "partitions.json"):
        shutil.copy(botocore_data / name, data / name)
    for name in ("bin", "boto3/docs", *build.UNUSED):
        (tmp_path / name).mkdir(parents=True)
    build.trim(tmp_path)

    assert [] == [name for name in ("bin", *build.UNUSED) if (tmp_path / name).exists()]
    assert (tmp_path / "boto3" / "docs").exists()
    assert {"s3", "stepfunctions", "endpoints.json", "partitions.json"} == {path.name for path in data.iterdir()}
    for service, operations in build.OPERATIONS.items():
        files = {path.name: path for path in (data / service).rglob("*") if path.is_file()}
        assert {"service-2.json", "endpoint-rule-set-1.json"} == files.keys() - {"service-2.sdk-extras.json"}
        model = json.loads(files["service-2.json"].read_text())
        assert operations == model["operations"].keys()
        assert '"documentation":"' not in json.dumps([model["operations"], model["shapes"]], separators=(",", ":"))
    services = [one["services"] for one in json.loads((data / "endpoints.json").read_text())["partitions"]]
    assert {"s3", "states"} == {name for one in services for name in one}


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Return what builds, as SAM calls it, with a folder of route files; of the dependencies, a download, only one."""
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "dependency.py").write_text("")
    monkeypatch.setattr(build, "dependencies", lambda: tmp_path / "stage")
    monkeypatch.setattr(sys, "argv", ["build.py", str(tmp_path / "artifact")])

    def make(routes: Path) -> Path:
        monkeypatch.setattr(build, "read_routes", lambda: route_files.read_routes(routes))
        build.main()
        return tmp_path / "artifact"

    return make


def test_code_and_route_files_are_packed_and_compiled(make: Callable[[Path], Path]) -> None:
    """Both packages whole, with the dependencies; bytecode of this Python that nobody checks, under Lambda's paths."""
    made = make(EXAMPLES)
    sources = {path.relative_to(SOURCE) for name in ("handlers", "shared") for path in (SOURCE / name).rglob("*.py")}
    packed: dict[str, Any] = {}

    assert {*sources, Path("dependency.py")} == {path.relative_to(made) for path in made.rglob("*.py")}
    for source in sources:
        assert source.name == "packed.py" or (SOURCE / source).read_bytes() == (made / source).read_bytes(), source
        compiled = Path(importlib.util.cache_from_source(str(made / source)))
        assert [compiled] == [*compiled.parent.glob(f"{source.stem}.*")]
        content = compiled.read_bytes()
        assert (importlib.util.MAGIC_NUMBER, 0b01) == (content[:4], int.from_bytes(content[4:8], "little")), source
        code = marshal.loads(content[16:])  # noqa: S302 - made just now
        assert f"/var/task/{source}" == code.co_filename
        if source.name == "packed.py":
            exec(code, packed)  # noqa: S102 - likewise
    assert pack(route_files.read_routes(EXAMPLES)) == packed["ROUTES"]
    assert SOURCE / "routes" == route_files.FOLDER


def test_what_is_wrong_is_one_message_and_nothing_is_built(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad route file; another Python, whose bytecode would be ignored, so that each cold start would compile."""
    with pytest.raises(SystemExit, match=r"^Bad route file\. .*only route files"):
        make(tmp_path / "stage")
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    with pytest.raises(SystemExit, match=r"with Python 3\.13"):
        make(EXAMPLES)

    assert not (tmp_path / "artifact").exists()
    assert ("", "") == capsys.readouterr()
    # A syntax error is found here and not by the first event.
    (tmp_path / "stage" / "broken.py").write_text("def")
    with pytest.raises(SystemExit, match="does not compile"):
        build.compile_tree(tmp_path / "stage", tmp_path)


def test_the_sdk_is_the_one_that_is_pinned() -> None:
    """The tests above cut the very SDK that is deployed."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (SOURCE / "requirements.txt").read_text(), re.MULTILINE))

    assert (pins["boto3"], pins["botocore"]) == (boto3.__version__, botocore.__version__)
