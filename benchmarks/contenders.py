"""The function and its peers, each as an artifact of its own."""

import compileall
import py_compile
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from local.emulator.process import REPOSITORY

PEERS = REPOSITORY / "benchmarks" / "peers"
OURS = REPOSITORY / ".aws-sam" / "build" / "StartExecutionFunction"


@dataclass
class Contender:
    """An artifact, its handler, and what was measured: one number a round, or one an event for `latency`."""

    name: str
    artifact: Path
    handler: str
    init: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    instructions: tuple[float, float] | None = None

    @property
    def unzipped(self) -> float:
        """The artifact's size in MB."""
        return sum(path.stat().st_size for path in self.artifact.rglob("*") if path.is_file()) / 1e6

    def zipped(self, scratch: Path) -> float:
        """Give its size as a zip, in MB."""
        return Path(shutil.make_archive(str(scratch / "zipped"), "zip", self.artifact)).stat().st_size / 1e6


def prepare(scratch: Path) -> list[Contender]:
    """Make the artifacts; the first contender is the one to compare cold starts with, the second warm events."""
    bare = install(scratch / "bare", "boto3")
    compiled = scratch / "compiled"
    shutil.copytree(bare, compiled)
    compileall.compile_dir(compiled, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    typical = install(scratch / "typical", "boto3", "aws-lambda-powertools[parser,tracer]")
    plain = install(scratch / "plain", "-r", str(REPOSITORY / "src" / "requirements.txt"))
    for package in ("handlers", "shared"):
        shutil.copytree(REPOSITORY / "src" / package, plain / package, ignore=shutil.ignore_patterns("__pycache__"))
    return [
        Contender("bare: boto3, one call, bytecode", compiled, "bare.handler"),
        Contender("bare, plus HeadObject", compiled, "bare_two.handler"),
        Contender("bare as plain sam build packages it", bare, "bare.handler"),
        Contender("typical Powertools handler, plain sam build", typical, "typical.handler"),
        Contender("ours, as plain sam build would package it", plain, "handlers.start_execution.handler"),
        Contender("**ours**", OURS, "handlers.start_execution.handler"),
    ]


def install(target: Path, *what: str) -> Path:
    """Install without bytecode, as `sam build` does; what is named without a version gets that of requirements/peers.txt."""
    pins = [
        line.partition(" ")[0]
        for line in (REPOSITORY / "requirements" / "peers.txt").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    ]
    constraints = target.with_suffix(".txt")
    constraints.write_text("\n".join(pins))
    extra = [] if "-r" in what else ["-c", str(constraints)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--target", str(target), *extra, *what], check=True)  # noqa: S603 - our own arguments
    for peer in PEERS.glob("*.py"):
        shutil.copy(peer, target)
    return target
