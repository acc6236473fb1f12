"""The function and its peers, each as an artifact of its own."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from artifact import build
from local.emulator.process import REPOSITORY
from local.stack import ARTIFACT

PEERS = REPOSITORY / "benchmarks" / "peers"
REQUIREMENTS = REPOSITORY / "requirements"


@dataclass
class Contender:
    """An artifact, its handler, and its figures: one for each round, or for `latency` one for each event."""

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
        """Return its size as a zip, in MB."""
        return Path(shutil.make_archive(str(scratch / "zipped"), "zip", self.artifact)).stat().st_size / 1e6


def prepare(scratch: Path) -> list[Contender]:
    """Make the artifacts; compare with the second contender, which makes the same two calls."""
    pins = scratch / "pins.txt"
    lines = (REQUIREMENTS / "peers.txt").read_text().splitlines()
    pins.write_text("\n".join(line.removesuffix(" \\") for line in lines if line[:1].isalpha()))
    bare = install(scratch / "bare", "--constraint", pins, "boto3")
    compiled = scratch / "compiled"
    shutil.copytree(bare, compiled)
    build.compile_tree(compiled, compiled)
    typical = install(scratch / "typical", "--requirement", pins)
    plain = install(scratch / "plain", "--requirement", build.REQUIREMENTS)
    build.copy_code(plain)
    return [
        Contender("bare: boto3, one call, bytecode", compiled, "bare.handler"),
        Contender("bare, plus HeadObject", compiled, "bare_two.handler"),
        Contender("bare as plain sam build packages it", bare, "bare.handler"),
        Contender("typical Powertools handler, plain sam build", typical, "typical.handler"),
        Contender("ours, as plain sam build would package it", plain, "handlers.start_execution.handler"),
        Contender("**ours**", ARTIFACT, "handlers.start_execution.handler"),
    ]


def install(target: Path, *what: str | Path) -> Path:
    """Install without bytecode, as `sam build` does, and put the peers' handlers beside it."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--target", str(target), *map(str, what)], check=True)  # noqa: S603 - our own arguments
    for peer in PEERS.glob("*.py"):
        shutil.copy(peer, target)
    return target
