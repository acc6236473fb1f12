"""The artifact: what `artifact/build.py` installs, cuts away, copies and compiles, without the network."""

import importlib.util
import json
import marshal
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore
import pytest

from artifact import build, route_files
from artifact.pack import pack
from tests.unit.builders import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "routes"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for the dependencies, which take a download."""
    made = tmp_path / "stage"
    made.mkdir()
    (made / "dependency.py").write_text("")
    monkeypatch.setattr(build, "dependencies", lambda: made)
    return made


def run(monkeypatch: pytest.MonkeyPatch, artifact: Path) -> None:
    """Build, as SAM calls it."""
    monkeypatch.setattr(sys, "argv", ["build.py", str(artifact)])
    build.main()


def test_only_pinned_wheels_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hash and for Lambda's platform, and nothing that pip would find besides or build here."""
    ran: list[list[str]] = []

    def note(words: list[str], *, check: bool) -> None:
        assert check
        ran.append(words)

    monkeypatch.setattr(subprocess, "run", note)
    build.install("aarch64", Path("target"))
    [words] = ran

    assert [sys.executable, "-m", "pip", "install"] == words[:4]
    assert {
        *("--require-hashes", "--only-binary=:all:", "--no-deps", "--implementation=cp", "--python-version=3.13"),
        *("--platform=manylinux_2_17_aarch64", "--target=target", "--no-compile"),
        *("--quiet", "--disable-pip-version-check"),
        f"--requirement={REPOSITORY / 'src' / 'requirements.txt'}",
    } == set(words[4:])


class Wheels(NamedTuple):
    """What was installed for which machine, and what an installation writes beside one native module."""

    asked: list[str]
    also: dict[str, str]

    def install(self, machine: str, target: Path) -> None:
        """Stand in for pip."""
        self.asked.append(machine)
        files = {
            f"core/_core.cpython-313-{machine}-linux-gnu.so": machine,
            "core/__init__.py": "",
            "core-1.dist-info/WHEEL": machine,
            **{name: text.format(machine=machine) for name, text in self.also.items()},
        }
        for name, text in files.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(text)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheels:
    """Stand in for the wheels of the pins."""
    made = Wheels([], {})
    (tmp_path / "requirements.txt").write_text("a==1")
    monkeypatch.setattr(build, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(build, "STAGES", tmp_path / "stages")
    monkeypatch.setattr(build, "install", made.install)
    monkeypatch.setattr(build, "trim", lambda _target: None)
    return made


def test_one_package_holds_the_native_modules_of_both_processors(wheels: Wheels) -> None:
    """So a stack of either runs what was built: nobody has to tell `sam build` which."""
    made = build.dependencies()

    assert {"core/_core.cpython-313-x86_64-linux-gnu.so", "core/_core.cpython-313-aarch64-linux-gnu.so"} == {
        path.relative_to(made).as_posix() for path in made.rglob("*.so")
    }
    assert ["x86_64", "aarch64"] == wheels.asked


def test_what_is_installed_once_is_used_again(wheels: Wheels) -> None:
    """Other pins are installed by themselves; what an unfinished build left is thrown away."""
    first = build.dependencies()
    again = build.dependencies()
    shutil.rmtree(first)
    stale = first.with_suffix(".unfinished") / "x86_64" / "stale.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("")
    anew = build.dependencies()
    build.REQUIREMENTS.write_text("a==2")
    other = build.dependencies()

    assert first == again == anew != other
    assert ["x86_64", "aarch64"] * 3 == wheels.asked
    assert [] == list(anew.rglob("stale.py"))


def test_code_that_differs_by_processor_is_not_built(wheels: Wheels) -> None:
    """One of the two would run with the other's."""
    wheels.also["core/constants.py"] = "MACHINE = '{machine}'"

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

    assert [] == [name for name in build.UNUSED if (tmp_path / name).exists()]
    assert ["docs"] == [path.name for path in (tmp_path / "boto3").iterdir()]
    assert not (tmp_path / "bin").exists()
    assert {"s3", "stepfunctions"} == {path.name for path in data.iterdir() if path.is_dir()}
    assert {"service-2.json", "service-2.sdk-extras.json", "endpoint-rule-set-1.json"} >= {
        path.name for path in data.rglob("*/*") if path.is_file()
    }
    for service, operations in build.OPERATIONS.items():
        [path] = (data / service).rglob("service-2.json")
        model = json.loads(path.read_text())
        assert operations == model["operations"].keys()
        assert '"documentation":"' not in json.dumps([model["operations"], model["shapes"]], separators=(",", ":"))
        assert [*path.parent.glob("endpoint-rule-set-1.json")]
    services = [one["services"] for one in json.loads((data / "endpoints.json").read_text())["partitions"]]
    assert {"s3", "states"} == {name for one in services for name in one}
    assert (data / "partitions.json").exists()


def test_the_code_is_copied_and_compiled(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both packages whole, with the dependencies; bytecode of this Python that nobody checks, under Lambda's own paths."""
    monkeypatch.setattr(build, "read_routes", lambda: route_files.read_routes(tmp_path / "none"))
    run(monkeypatch, tmp_path / "artifact")
    made = tmp_path / "artifact"
    sources = {
        path.relative_to(REPOSITORY / "src")
        for name in ("handlers", "shared")
        for path in (REPOSITORY / "src" / name).rglob("*.py")
    }

    assert stage.exists()
    assert {*sources, Path("dependency.py")} == {path.relative_to(made) for path in made.rglob("*.py")}
    for source in sources:
        assert (REPOSITORY / "src" / source).read_bytes() == (made / source).read_bytes()
        compiled = Path(importlib.util.cache_from_source(str(made / source)))
        assert [compiled] == [*compiled.parent.glob(f"{source.stem}.*")]
        content = compiled.read_bytes()
        assert (importlib.util.MAGIC_NUMBER, 0b01) == (content[:4], int.from_bytes(content[4:8], "little"))
        assert f"/var/task/{source}" == marshal.loads(content[16:]).co_filename  # noqa: S302 - made just now


def test_route_files_are_packed_in(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the module that the functions import, in place of the empty one."""
    monkeypatch.setattr(build, "read_routes", lambda: route_files.read_routes(EXAMPLES))
    run(monkeypatch, tmp_path / "artifact")
    packed: dict[str, Any] = {}
    exec((tmp_path / "artifact" / "shared" / "domain" / "packed.py").read_text(), packed)  # noqa: S102 - made just now

    assert stage.exists()
    assert pack(route_files.read_routes(EXAMPLES)) == packed["ROUTES"]
    assert REPOSITORY / "src" / "routes" == route_files.FOLDER
    assert not (tmp_path / "artifact" / "handlers" / "packed.py").exists()


def test_what_is_wrong_is_one_message_and_nothing_is_built(
    stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad route file; and another Python, whose bytecode would be ignored, so that each cold start would compile."""
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "bad.toml").write_text("match = 1")
    monkeypatch.setattr(build, "read_routes", lambda: route_files.read_routes(tmp_path / "routes"))

    with pytest.raises(SystemExit, match=r"^Bad route file\. .*bad\.toml"):
        run(monkeypatch, tmp_path / "artifact")
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    with pytest.raises(SystemExit, match=r"with Python 3\.13"):
        run(monkeypatch, tmp_path / "artifact")

    assert stage.exists()
    assert not (tmp_path / "artifact").exists()
    assert ("", "") == capsys.readouterr()


def test_what_does_not_compile_is_not_built(stage: Path, tmp_path: Path) -> None:
    """A syntax error is found here and not by the first event."""
    (stage / "broken.py").write_text("def")

    with pytest.raises(SystemExit, match="does not compile"):
        build.compile_tree(stage, tmp_path)


def test_the_sdk_is_the_one_that_is_pinned() -> None:
    """The tests above cut the very SDK that is deployed."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (REPOSITORY / "src" / "requirements.txt").read_text(), re.MULTILINE))

    assert (pins["boto3"], pins["botocore"]) == (boto3.__version__, botocore.__version__)
