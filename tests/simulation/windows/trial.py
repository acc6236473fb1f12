"""One world from its first upload to its last backfill."""

import random
from collections import Counter
from copy import replace
from dataclasses import dataclass, field

from shared.domain.windows import Generation
from tests.simulation.windows import verdict
from tests.simulation.windows.world import FOLDERS, NAMES, Mood, World


@dataclass
class Seen:
    """What a number of worlds showed."""

    worlds: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    generations: int = 0
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def add(self, world: World, wrong: list[str]) -> None:
        """Add one world."""
        self.worlds += 1
        self.steps += world.steps
        self.counts.update(world.seen)
        self.counts["windows"] += len(world.runs)
        self.counts["runs of the target"] += len(world.started)
        self.counts["failure queue"] += len(world.failure_queue)
        self.generations = max(self.generations, *(run.generation.number + 1 for run in world.runs.values()), 0)
        self.wrong += [(world.seed, what) for what in wrong[:1]]


def bad_days(seed: str, kind: type[World] = World) -> tuple[World, list[str]]:
    """Run a world in which everything may happen, and return how it contradicts the promise."""
    dice = random.Random(seed)  # noqa: S311 - no secrets
    world = kind(seed, Mood.draw(dice))
    span = dice.choice([2, world.mood.seconds, 3 * world.mood.seconds])
    keys = [folder + name for folder in FOLDERS for name in NAMES][: dice.choice([2, 4, 8])]
    for _ in range(dice.randint(1, 7)):
        world.spawn(world.upload(dice.choice(keys)), dice.random() * span)
    if world.mood.deploying:
        world.spawn(world.deploy(), dice.random() * 6 * world.mood.seconds)
    if dice.random() < 0.2:
        world.spawn(world.replay(), dice.random() * 12 * world.mood.seconds)
    if dice.random() < 0.2:
        world.spawn(world.backfill(dice.choice([None, "again"])), dice.random() * 6 * world.mood.seconds)
    world.run()
    wrong = [*verdict.contradictions(world), *verdict.broken_words(world), *verdict.scattered(world)]
    settle(world, dice)
    return world, [*wrong, *verdict.contradictions(world), *verdict.losses(world)]


def settle(world: World, dice: random.Random) -> None:
    """End the bad days: no more faults, a backfill, and operators who see to what failed, before it or after it."""
    world.calm = True
    world.now += dice.random() * 5 * world.mood.seconds * (1 if world.mood.lasting is None else 6)
    failed = [run for run in world.runs.values() if run.status != "SUCCEEDED"]
    for run in failed:
        if dice.random() < 0.5:
            world.spawn(world.redrive(run), dice.random() * 3 * world.mood.seconds)
    world.spawn(world.backfill())
    world.run()
    for run in list(world.runs.values()):
        # What has collected and not run needs somebody; what has not collected is taken over by a later generation.
        if run.status != "SUCCEEDED" and run.generation.manifest_key in world.manifests:
            if world.mood.lasting is None and dice.random() < 0.5:
                world.spawn(world.again(run))
                run.status = "SUCCEEDED"
            else:
                world.spawn(world.redrive(run))
    world.run()


def burst(seed: str, kind: type[World] = World) -> tuple[World, list[str]]:
    """Run a day without faults, clocks that agree and prompt first events: at most one run for each folder and slot."""
    dice = random.Random(seed)  # noqa: S311 - no secrets
    mood = replace(
        Mood.draw(dice), failing=0, outliving=False, redriving=0, stopping=0, deploying=False, crowding=0, lasting=None
    )
    world = kind(seed, mood)
    world.s3_skew = 0
    over = dice.choice([1, mood.seconds, 3 * mood.seconds])
    for number in range(dice.randint(1, 20)):
        world.spawn(world.prompt_upload(f"{dice.choice(FOLDERS)}{number:02}"), dice.random() * over)
    world.run()
    wrong = [*verdict.contradictions(world), *verdict.scattered(world)]
    slots = {(key.rsplit("/", 1)[0], second // mood.seconds) for key, _, second in world.visible}
    if len(world.started) > len(slots):
        wrong.append(f"scattered: {len(world.started)} runs for {len(slots)} folders and slots")
    lost = set(world.visible) - {upload for target in world.started for upload in target.files}
    return world, [*wrong, *(f"lost: {upload}" for upload in lost)]


def explain(world: World) -> str:
    """Return the story of a world, for whoever has to understand a contradiction."""
    lines = [str(world.mood)]
    lines += [f"{name}: started {run.start:.1f}, {run.status}" for name, run in world.runs.items()]
    lines += [f"stored at {at:.1f}: {one.name} {sorted(uploads)}" for one, uploads, at in _by_time(world)]
    lines += [f"visible at {at:.1f}: {upload}" for upload, at in world.visible.items()]
    return "\n".join(lines)


def _by_time(world: World) -> list[tuple[Generation, frozenset[tuple[str, str, int]], float]]:
    return sorted(world.stored, key=lambda one: one[2])
