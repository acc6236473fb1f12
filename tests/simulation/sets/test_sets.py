"""Each content that has settled runs exactly once, whatever happens; and the simulation notices when it isn't so."""

import re

import pytest

from tests.simulation.sets.plants import PLANTS, Plant
from tests.simulation.sets.world import bad_days

# Worlds in which a mistake must be found. `make simulate` runs more than that without one.
ENOUGH = 2_000


def test_bad_days() -> None:
    """Lost answers, kills, zombies, stops, clocks that differ, deletions and restores, late and doubled events, names forgotten."""
    for seed in range(400):
        assert not bad_days(f"sets-{seed}"), seed


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_mistake_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    """Each of the mistakes contradicts the promise in some world."""
    plant.change(monkeypatch)
    worlds = (bad_days(f"{plant.name}-{seed}", plant.kind) for seed in range(ENOUGH))
    found = next(filter(None, worlds), None)
    assert found, f"not found in {ENOUGH} worlds"
    assert re.match(plant.found_as, found[0]), found
