"""The promises hold whatever happens; and the simulation notices when they don't."""

import itertools

import pytest

from tests.simulation.arrivals import Arrivals
from tests.simulation.plants import PLANTS, Plant
from tests.simulation.sets import Interrupted, Sets
from tests.simulation.windows import Windows
from tests.simulation.world import World, bad_days, explain

# Worlds in which a mistake must be found. `make simulate` runs some hundred times as many without one.
ENOUGH = 300


@pytest.mark.parametrize(("kind", "worlds"), [(Arrivals, 100), (Windows, 70), (Sets, 50), (Interrupted, 30)])
def test_bad_days(kind: type[World], worlds: int) -> None:
    """Whatever is late, lost, doubled, refused, killed, stopped, overwritten, restored or forgotten."""
    for seed in range(worlds):
        world = bad_days(kind, f"{kind.__name__}-{seed}")
        assert not world.wrong, explain(world)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.kind.__name__}: {plant.name}")
def test_a_planted_mistake_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    """Each contradicts the promise in some world, and only what is raised is noticed by a failure."""
    plant.make(monkeypatch)
    # The world in which it was found the last time comes first: every other change of the code makes it another world.
    seeds = itertools.chain([plant.world], range(ENOUGH))
    worlds = (bad_days(plant.kind, f"{plant.kind.__name__}-{seed}").wrong for seed in seeds)
    found = next(filter(None, worlds), None)
    assert found, f"not found in {ENOUGH} worlds"
    assert plant.name.endswith("raised") == found[0].startswith("failed without a fault"), found
