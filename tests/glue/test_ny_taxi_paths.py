"""Where the Glue job reads and writes; needs neither Spark nor Glue."""

import re

import pytest

from glue.ny_taxi_transformed import source_path, target_path

KEY = "input/lab2/eventdriven/green_tripdata.csv"
KEYS = (KEY, "sp ace+plus%20%.csv", "q'uo\"te.csv", "😀/é.csv", r"*?[1]{a,b}\.csv", "co:lon/12:30.csv", "a/.hidden/..b")


def target_of(key: str) -> str:
    """Return the target of a key in the bucket and under the prefix of these tests."""
    return target_path("bucket", "target/event-transformed", key)


def test_source_is_the_key_verbatim() -> None:
    """No character of a key is encoded, escaped or dropped; a folder may have a slash at its end, or not."""
    assert [f"s3://bucket/{key}" for key in KEYS] == [source_path("bucket", key) for key in KEYS]
    assert source_path("bucket", "input/lab2") == source_path("bucket", "input/lab2/")
    assert target_of("input/lab2") == target_of("input/lab2/")


@pytest.mark.parametrize("key", ["", "/", "/a.csv", "a//b.csv", "a/./b.csv", "a/../b.csv", "..", "a//"])
def test_key_that_hadoop_would_rewrite(key: str) -> None:
    """A key that Hadoop would resolve to another one is refused, by name."""
    refused = re.escape(f"can't address the key {key.removesuffix('/')!r}")
    with pytest.raises(ValueError, match=refused):
        source_path("bucket", key)
    with pytest.raises(ValueError, match=refused):
        target_of(key)


def test_target_is_a_readable_folder_of_the_source() -> None:
    """The folder says which file it came from, and is the same each time; it is short and plain ASCII for any key."""
    folder = "source_id=green_tripdata.csv-9a1b1eeeea2eda9ac8ea1a10f9c0bd7c"

    assert f"s3://bucket/target/event-transformed/{folder}" == target_of(KEY)
    assert target_of(KEY) == target_path("bucket", "target/event-transformed/", KEY)
    for key in (*KEYS, "targ", "n" * 1024, "é" * 512, " ", "\n"):
        assert re.fullmatch(r"source_id=[A-Za-z0-9._-]{1,64}-[0-9a-f]{32}", target_of(key).rpartition("/")[2]), key


def test_no_two_sources_share_a_target() -> None:
    """Keys that look alike once made readable still have folders of their own."""
    keys = ["a/x.csv", "b/x.csv", "a/x csv", "a/x+csv", "a/x%20csv", "a/X.csv", "n" * 100, "n" * 101]

    assert len(keys) == len({target_of(key) for key in keys}), "some keys share a folder"


@pytest.mark.parametrize("prefix", ["target", "target/", "target/event-transformed"])
def test_target_in_source(prefix: str) -> None:
    """A folder that holds the target is refused as a source: the second run would read the first one's output."""
    with pytest.raises(ValueError, match="read its own output"):
        target_of(prefix)
