"""Every upload is in exactly one manifest, whatever happens; and the simulation notices when it isn't so."""

import re

import pytest

from tests.simulation.windows.plants import PLANTS, Plant
from tests.simulation.windows.trial import bad_days, burst, explain

# Worlds in which a mistake must be found. `make simulate` runs some thousand times as many without one.
ENOUGH = 2_000


def test_bad_days() -> None:
    """Lost answers, kills, clocks that differ, zombies, redrives, stops, deploys, replays, overwrites, names forgotten."""
    for seed in range(250):
        world, wrong = bad_days(f"days-{seed}")
        assert not wrong, f"{wrong}\n{explain(world)}"


def test_a_burst_is_one_run_for_each_folder_and_slot() -> None:
    """On a good day, however many files come and however often they are announced."""
    for seed in range(100):
        world, wrong = burst(f"burst-{seed}")
        assert not wrong, f"{wrong}\n{explain(world)}"


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_mistake_is_found(monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    """Each of the mistakes contradicts the promise in some world."""
    plant.change(monkeypatch)
    found = next((wrong for seed in range(ENOUGH) if (wrong := bad_days(f"{plant.name}-{seed}", plant.kind)[1])), None)
    assert found, f"not found in {ENOUGH} worlds"
    assert re.match(plant.found_as, found[0]), found
