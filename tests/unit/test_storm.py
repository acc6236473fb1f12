"""The simulation of a storm keeps its books, and shows what it is cited for."""

from collections import Counter

import pytest

from benchmarks.storm import Bucket, Limits, simulate


@pytest.mark.parametrize("limits", [Limits(), Limits(environments=20), Limits(0, 1, 5), Limits(10, 5, 1)], ids=str)
def test_every_file_ends_in_exactly_one_place(limits: Limits) -> None:
    """Started or in the failure queue, no more starts than the bucket let through; the same seed is the same storm."""
    storm = simulate(700, limits, seed=7)
    ends = Counter(storm.ends)
    assert (700, set()) == (ends.total(), ends.keys() - {"started", "failure queue"})
    assert ends["started"] <= limits.bucket + limits.refill * storm.seconds + 1
    assert storm.lost == ends["failure queue"] / 700
    assert storm == simulate(700, limits, seed=7)


def test_the_bucket_refills_up_to_its_size() -> None:
    """At once what it holds, then what came since, and never more than it holds."""
    bucket = Bucket(Limits(800, 150))
    assert [800, 150, 800] == [sum(bucket.take(second) for _ in range(1_000)) for second in (0, 1, 1_000)]


def test_few_environments_lose_nothing() -> None:
    """Waiting for an environment costs no try; calling too often does."""
    lost = {environments: simulate(2_000, Limits(80, 15, environments)).lost for environments in (2, 1_000)}
    assert 0 == lost[2] < 0.2 < lost[1_000], lost
