"""Build the artifact that all functions share: pinned dependencies, no unused data, bytecode that stays valid.

`sam build` calls this through `artifact/Makefile`. Lambda mounts the code read-only, so every cold start would compile
again a module that is not compiled here. SAM dates every file of its zip 1980, so Python must not compare the bytecode
with its source's time. Wheels are chosen by platform tag, on any machine. The artifact holds the native modules of both
processors, and Python loads the ones whose names have its own platform. So the artifact fits any value of the stack's
parameter Architecture.
"""

import argparse
import compileall
import gzip
import hashlib
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
sys.path[:0] = [str(ROOT), str(SOURCE)]

from artifact.route_files import RouteFileError, packed_module, read_routes  # noqa: E402 - it has to be found first

REQUIREMENTS = SOURCE / "requirements.txt"
STAGES = ROOT / ".aws-sam" / "packages"
PYTHON = (3, 13)
MACHINES = ("x86_64", "aarch64")

# Every operation that the functions call. botocore has models of some 440 services; a test compares this table with
# src/. botocore itself also calls HeadBucket for the bucket's region, if the answer to a HEAD is 301 or 400.
OPERATIONS = {
    "s3": {"GetObject", "HeadBucket", "HeadObject", "ListObjectsV2", "PutObject"},
    "stepfunctions": {"DescribeExecution", "StartExecution"},
}

# The members that the functions read of HeadObject's answer. botocore would also look for all others, which takes 7 %
# more instructions an event.
MEMBERS = {"HeadObjectOutput": {"ContentLength", "ContentType", "ETag", "LastModified", "Metadata", "VersionId"}}


# Files that no function imports or reads. Without them there is room for the native modules of the second processor.
# Keep boto3.docs, which every session imports, and event_handler, which Powertools' Logger may import.
UNUSED = (
    "aws_lambda_powertools/event_handler",
    *(
        f"aws_lambda_powertools/utilities/{name}"
        for name in (
            *("auth_alpha", "batch", "circuit_breaker", "data_classes", "data_masking", "feature_flags", "idempotency"),
            *("kafka", "parameters", "streaming", "validation"),
        )
    ),
    "boto3/data",
    "boto3/examples",
    "dateutil/zoneinfo/dateutil-zoneinfo.tar.gz",
    "pydantic/mypy.py",
    "pydantic/v1",
)


def main() -> None:
    """Fill the directory SAM names with a copy of the staged package and the functions' own code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("artifact", type=Path, help="the directory to fill: SAM's ARTIFACTS_DIR")
    arguments = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        sys.exit(f"Bytecode is valid for one Python version only: run this with Python {PYTHON[0]}.{PYTHON[1]}.")
    stage = dependencies()
    # The build reads crons and zones with the packages of the functions; both are plain Python. The path comes last, so
    # nothing else is imported from it.
    sys.path.append(str(stage))
    try:
        routes = read_routes()
    except RouteFileError as error:
        sys.exit(f"Bad route file. {error}")
    shutil.copytree(stage, arguments.artifact, dirs_exist_ok=True)
    for package in copy_code(arguments.artifact):
        if routes and package.name == "shared":
            (package / "domain" / "packed.py").write_text(packed_module(routes))
        compile_tree(package, arguments.artifact)


def copy_code(artifact: Path) -> list[Path]:
    """Copy the functions' own code, without the leftovers of local runs, and return the copied packages."""
    packages = [artifact / name for name in ("handlers", "shared")]
    for package in packages:
        shutil.copytree(
            SOURCE / package.name, package, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )
    return packages


def dependencies() -> Path:
    """Return the directory with the installed, trimmed and compiled dependencies; made once per set of pins."""
    recipe = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    stage = STAGES / recipe
    if not stage.exists():
        unfinished = stage.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for machine in MACHINES:
            install(machine, unfinished / machine)
        package = join([unfinished / machine for machine in MACHINES])
        trim(package)
        compile_tree(package, package)
        package.rename(stage)
        shutil.rmtree(unfinished)
    return stage


def install(machine: str, target: Path) -> None:
    """Install the pinned wheels for one kind of machine."""
    subprocess.run(  # noqa: S603 - our own arguments
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
            *("--require-hashes", "--only-binary=:all:", "--no-deps", "--implementation=cp", "--python-version=3.13"),
            *(f"--platform=manylinux_2_17_{machine}", f"--target={target}", f"--requirement={REQUIREMENTS}"),
        ],
        check=True,
    )


def join(installed: list[Path]) -> Path:
    """Add the native modules of the others to the first. Exit at any other difference: it would be lost silently."""
    package, *others = installed
    for other in others:
        for path in [one for one in other.rglob("*") if one.is_file()]:
            name = path.relative_to(other)
            described = name.parts[0].endswith(".dist-info")
            if not (package / name).exists():
                (package / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, package / name)
            elif not described and (package / name).read_bytes() != path.read_bytes():
                sys.exit(f"{name} differs between {' and '.join(MACHINES)}: one artifact can't hold both.")
    return package


def trim(target: Path) -> None:
    """Remove the data that no function reads: other services, operations, endpoints, examples, paginators, scripts."""
    drop_unused(target)
    data = target / "botocore" / "data"
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in OPERATIONS:
            shutil.rmtree(folder)
    for service, operations in OPERATIONS.items():
        for model in (data / service).rglob("*.json*"):
            if model.name.startswith(("examples-", "paginators-", "waiters-")):
                model.unlink()
            elif model.suffix == ".gz":
                content = json.loads(gzip.decompress(model.read_bytes()))
                if model.name.startswith("service-2."):
                    content = with_only(content, operations)
                # Plain JSON: unpacking it again at each cold start would cost more than the zip saves.
                write_json(model.with_suffix(""), content)
                model.unlink()
    endpoints = json.loads((data / "endpoints.json").read_text())
    prefixes = {"s3", "states"}
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    write_json(data / "endpoints.json", endpoints)


def drop_unused(target: Path) -> None:
    """Remove the table's files, command-line scripts, and pip's own lists of files."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for path in [*(target / name for name in UNUSED), *target.glob("*.dist-info/RECORD")]:
        path.unlink() if path.is_file() else shutil.rmtree(path)


def with_only(model: dict[str, Any], operations: set[str]) -> dict[str, Any]:
    """Cut a service model to some operations and their shapes, and the shapes in MEMBERS to the members there."""
    kept = {name: model["operations"][name] for name in sorted(operations)}
    reached: dict[str, Any] = {}
    pending = [kept]
    while pending:
        for name in shapes_in(pending.pop()) - reached.keys():
            shape = model["shapes"][name]
            if name in MEMBERS:
                shape = {**shape, "members": {member: shape["members"][member] for member in sorted(MEMBERS[name])}}
            reached[name] = shape
            pending.append(shape)
    documentation = {"documentation", "documentationUrl"}
    return {**model, "operations": without(kept, documentation), "shapes": without(reached, documentation)}


def shapes_in(node: Any) -> set[str]:
    """Find the names of all shapes that a piece of a model refers to."""
    if isinstance(node, dict):
        own = {node["shape"]} if isinstance(node.get("shape"), str) else set()
        return own.union(*(shapes_in(value) for value in node.values()))
    return set().union(*(shapes_in(value) for value in node)) if isinstance(node, list) else set()


def without(node: Any, names: set[str]) -> Any:
    """Copy a piece of a model without some members whose value is a text."""
    if isinstance(node, dict):
        return {
            name: without(value, names)
            for name, value in node.items()
            if not (name in names and isinstance(value, str))
        }
    return [without(value, names) for value in node] if isinstance(node, list) else node


def write_json(path: Path, content: Any) -> None:
    """Write JSON without spaces."""
    path.write_text(json.dumps(content, separators=(",", ":")))


def compile_tree(tree: Path, root: Path) -> None:
    """Compile everything below `tree`; tracebacks name paths as Lambda has them."""
    compiled = compileall.compile_dir(
        tree,
        quiet=1,
        stripdir=str(root),
        prependdir="/var/task",
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        sys.exit(f"Some of {tree} does not compile.")


if __name__ == "__main__":
    main()
