"""The simulation of a storm keeps its books, and shows what it is cited for."""

from collections import Counter

import pytest

from benchmarks.storm import Bucket, Limits, simulate


@pytest.mark.parametrize("limits", [Limits(), Limits(environments=20), Limits(0, 1, 5), Limits(10, 5, 1)], ids=str)
@pytest.mark.parametrize("files", [1, 700, 3_000])
def test_every_file_ends_in_exactly_one_place(files: int, limits: Limits) -> None:
    """Started or in the failure queue, and no more starts than the bucket let through."""
    storm = simulate(files, limits)
    ends = Counter(storm.ends)

    assert {"started", "failure queue"} >= ends.keys()
    assert files == ends.total()
    assert ends["started"] <= limits.bucket + limits.refill * storm.seconds + 1
    assert storm.lost == ends["failure queue"] / files


def test_the_bucket_refills_up_to_its_size() -> None:
    """800 at once, then 150 a second, and never more than 800 again."""
    bucket = Bucket(Limits())

    assert 800 == sum(bucket.take(0) for _ in range(1_000))
    assert 150 == sum(bucket.take(1) for _ in range(1_000))
    assert 800 == sum(bucket.take(1_000) for _ in range(1_000))


def test_few_environments_lose_nothing() -> None:
    """Waiting for an environment costs no try; calling too often does."""
    small = {"bucket": 80, "refill": 15}

    assert simulate(5_000, Limits(**small, environments=2)).lost == 0
    assert simulate(5_000, Limits(**small, environments=1_000)).lost > 0.2


def test_the_same_seed_is_the_same_storm() -> None:
    """So the table can be made again."""
    assert simulate(2_000, Limits(), seed=7) == simulate(2_000, Limits(), seed=7)
