"""Plan: a function of (object, route), and of nothing else."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.arrival import Skip, SkipReason
from shared.errors import ForeignObjectError
from shared.plan import Execution, execution_input, execution_name, plan, screen
from tests.unit.builders import KEY, created, route, stored

ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


@given(st.text(min_size=1, max_size=1024))
def test_the_name_is_legal_for_any_key(key: str) -> None:
    """At most 80 characters of the safest kind, the last 32 of them a digest."""
    name = execution_name(stored(key=key), route())

    assert len(name) <= 80
    assert not ILLEGAL.search(name)
    assert re.fullmatch(r".+-[0-9a-f]{32}", name)


def test_the_name_can_be_read() -> None:
    """It begins with the file's name, so that the console's list means something."""
    assert execution_name(stored(), route()).startswith("green_tripdata-")
    assert execution_name(stored(key="a/Über größe 1.csv"), route()).startswith("Uber-groe-1-")
    assert execution_name(stored(key="a/🚕.csv"), route()).startswith("object-")


def test_the_name_never_changes() -> None:
    """A release that computed other names would start everything again: this one is a promise."""
    assert NAME == execution_name(stored(version_id="v1"), route())


NAME = "green_tripdata-d89bb8e735de5a39c9d26609df9bafca"


@pytest.mark.parametrize("changes", [{"version_id": "v2"}, {"bucket": "other"}, {"key": KEY + "x"}])
def test_another_upload_has_another_name(changes: dict[str, object]) -> None:
    """Bucket, key and version make the upload."""
    first = {"version_id": "v1"}

    assert execution_name(stored(**first), route()) != execution_name(stored(**(first | changes)), route())


def test_without_versions_etag_and_last_modified_stand_in() -> None:
    """An overwrite is a new upload even where S3 keeps no versions, also with the same bytes."""
    later = datetime(2026, 11, 24, 5, 20, 1, tzinfo=UTC)

    assert 3 == len(
        {execution_name(one, route()) for one in (stored(), stored(etag="e2"), stored(last_modified=later))}
    )
    assert execution_name(stored(version_id="v1"), route()) == execution_name(
        stored(version_id="v1", etag="e2"), route()
    )


@pytest.mark.parametrize("changes", [{"job_name": "other"}, {"target_prefix": "other"}])
def test_another_route_has_another_name(changes: dict[str, object]) -> None:
    """What the upload is turned into is part of the identity."""
    assert execution_name(stored(), route()) != execution_name(stored(), route(**changes))


def test_capacity_is_no_part_of_the_name() -> None:
    """Turning the capacity up is no reason to run every file again."""
    assert execution_name(stored(), route()) == execution_name(stored(), route(glue_max_capacity_dpus=10))


def test_a_label_is_the_way_to_a_second_start() -> None:
    """Each label is a name of its own."""
    assert 3 == len({execution_name(stored(), route(), label) for label in (None, "a", "b")})


def test_the_input_is_the_contracts() -> None:
    """The workshop's five with their types, and the object."""
    expected = {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": "ny-taxi-transformed-console-jb",
        "BUCKET_NAME": "glueworkshop-123456789012-us-east-2",
        "SRC_PREFIX": KEY,
        "TRG_PREFIX": "target/event-transformed",
        "object": {"key": KEY, "size": 12, "etag": "e1", "version_id": None, "last_modified": "2026-11-24T05:20:00Z"},
    }

    assert expected == json.loads(execution_input(stored(), route()))


def test_the_input_is_canonical() -> None:
    """The same moment in another time zone is the same input and name."""
    moment = datetime(2026, 11, 24, 7, 20, tzinfo=timezone(timedelta(hours=2)))

    assert execution_input(stored(), route()) == execution_input(stored(last_modified=moment), route())
    assert execution_name(stored(), route()) == execution_name(stored(last_modified=moment), route())


@given(st.text(min_size=1, max_size=200))
def test_the_key_survives_the_input(key: str) -> None:
    """SRC_PREFIX is the key, byte for byte."""
    assert key == json.loads(execution_input(stored(key=key), route()))["SRC_PREFIX"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("target/event-transformed/x.parquet", SkipReason.TARGET_PREFIX),
        ("input/lab3/x.csv", SkipReason.WRONG_PREFIX),
        ("target/event-transformed-2/x.parquet", SkipReason.WRONG_PREFIX),
        ("input/lab2/eventdriven/", SkipReason.FOLDER_MARKER),
        ("input/lab2/eventdriven/a_$folder$", SkipReason.FOLDER_MARKER),
    ],
)
def test_the_key_alone_can_be_reason_to_skip(key: str, reason: SkipReason) -> None:
    """No call to S3 is needed for these."""
    skip = screen(created(key=key), route())

    assert skip
    assert reason == skip.reason


def test_the_target_never_starts_even_inside_the_source() -> None:
    """A target below the source prefix would loop."""
    inside = route(source_prefix="", target_prefix="out")

    skip = screen(created(key="out/x"), inside)

    assert skip
    assert SkipReason.TARGET_PREFIX == skip.reason
    assert screen(created(key="in/x"), inside) is None


@pytest.mark.parametrize(
    ("changes", "word"), [({"bucket": "other"}, "other"), ({"account": "999999999999"}, "999999999999")]
)
def test_a_foreign_object_is_refused(changes: dict[str, object], word: str) -> None:
    """Another bucket or account is an error that names it."""
    with pytest.raises(ForeignObjectError, match=word):
        screen(created(**changes), route())


def test_an_empty_object_is_skipped() -> None:
    """There is nothing to transform."""
    skip = plan(stored(size=0), route())

    assert isinstance(skip, Skip)
    assert SkipReason.EMPTY_OBJECT == skip.reason


@pytest.mark.parametrize("qualifier", ["", ":live"])
def test_an_execution_knows_its_arn(qualifier: str) -> None:
    """An alias or version of the state machine is no part of the execution's ARN."""
    machine = "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop"
    arn = Execution(machine + qualifier, "n", "{}").arn

    assert "arn:aws:states:us-east-2:123456789012:execution:glueworkshop:n" == arn
