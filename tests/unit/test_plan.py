"""Plan: a function of (object, route), and of nothing else."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.arrival import Skip, SkipReason
from shared.domain.choose import screen, screen_object
from shared.domain.errors import ForeignObjectError
from shared.domain.plan import Execution, execution_input, execution_name
from tests.unit.builders import BUCKET, KEY, chosen, created, stack, stored

ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


@given(st.text(min_size=1, max_size=1024))
def test_the_name_is_legal_for_any_key(key: str) -> None:
    """At most 80 characters of the safest kind, the last 32 of them a digest."""
    name = execution_name(stored(key=key), chosen())

    assert len(name) <= 80
    assert not ILLEGAL.search(name)
    assert re.fullmatch(r".+-[0-9a-f]{32}", name)


def test_the_name_can_be_read() -> None:
    """It begins with the file's name, so that the console's list means something."""
    assert execution_name(stored(), chosen()).startswith("green_tripdata-")
    assert execution_name(stored(key="a/Über größe 1.csv"), chosen()).startswith("Uber-groe-1-")
    assert execution_name(stored(key="a/🚕.csv"), chosen()).startswith("object-")


# Computed once, and never again: key below the source prefix, version, label, name.
GOLDEN = [
    ("green_tripdata.csv", "v1", None, "green_tripdata-d89bb8e735de5a39c9d26609df9bafca"),
    ("green_tripdata.csv", "v1", "again", "green_tripdata-d3e7471c890383b11ceb29f0c5494efa"),
    ("green_tripdata.csv", None, None, "green_tripdata-ec1d15a309beb8e3b8e9f543c8368534"),
    ("green_tripdata.csv", None, "again", "green_tripdata-2b60fa7f06b65c6267b18d4b7e7bd0a7"),
    ('dt=2026-11-24/été 🚕 "q".csv', "v1", None, "ete-q-951288efe731836333f7bd0a315871ef"),
    ('dt=2026-11-24/été 🚕 "q".csv', "v1", "again", "ete-q-c1898a4f74bb6945d885429ae4a3785a"),
    ('dt=2026-11-24/été 🚕 "q".csv', None, None, "ete-q-85639ecf5ebd3451f4874b9cafc7759a"),
    ('dt=2026-11-24/été 🚕 "q".csv', None, "again", "ete-q-9a89e5eaccef17da3867bbee846f8d25"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        "v1",
        None,
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-f422abf5dde583db27c9c42385f64ced",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        "v1",
        "again",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-01624ade3ae294bb0c28734b854eb945",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        None,
        None,
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-c4a0c70aeaa9b741ec6ec692a7bc9810",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        None,
        "again",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-3433fda55b2ae21ddddbf733e94b14bc",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        "v1",
        None,
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-e0950724e49235db7acc000311147ecb",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        "v1",
        "again",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-2b8d84b9bf132986d59657411c2618c5",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        None,
        None,
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-33699b8ace06a9294f2db9e2d3b3d092",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.csv",
        None,
        "again",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-1db3265e48863596067633fb57977f82",
    ),
    ("🚕.csv", "v1", None, "object-53a161c0accf6da73eb7ca03ecaca748"),
    ("🚕.csv", "v1", "again", "object-8337981aa45693e73526fbde2700efc4"),
    ("🚕.csv", None, None, "object-9305617ac67e667a59b0f631899370c6"),
    ("🚕.csv", None, "again", "object-5bf39828fdd0ff833ccada2e200a280f"),
    (" a.b .csv", "v1", None, "a-b-4ca91767590e488c9b6a5a9121a1e18e"),
    (" a.b .csv", "v1", "again", "a-b-2c9f90c7c43dc9538dee5dfae2dc06c2"),
    (" a.b .csv", None, None, "a-b-f1f7eed6d308ebcb947ace55586c4827"),
    (" a.b .csv", None, "again", "a-b-6740734d117df72afa5765c5ecf49aff"),
    (" trips.csv ", "v1", None, "trips-314f78fb33d443f68593622bd47f5967"),
    (" trips.csv ", "v1", "again", "trips-e76d9c1d26a5673468fa992cad278ec2"),
    (" trips.csv ", None, None, "trips-b66392ed36175a4a5d3971e4d17e6568"),
    (" trips.csv ", None, "again", "trips-809d5a64e5ecad456cc8ec41c377c1d7"),
]


@pytest.mark.parametrize(("key", "version_id", "label", "name"), GOLDEN)
def test_the_name_never_changes(key: str, version_id: str | None, label: str | None, name: str) -> None:
    """A release that computed other names would start everything again: these are a promise."""
    upload = stored(key=f"input/lab2/eventdriven/{key}", version_id=version_id)

    assert name == execution_name(upload, chosen(), label)
    assert len(name) <= 80


@pytest.mark.parametrize(
    ("key", "written", "version_id", "version"),
    [
        ("green_tripdata.csv", "green_tripdata.csv", "v1", '"v1"'),
        ("green_tripdata.csv", "green_tripdata.csv", None, "null"),
        ('été 🚕 "q".csv', '\\u00e9t\\u00e9 \\ud83d\\ude95 \\"q\\".csv', None, "null"),
        (" trips.csv ", " trips.csv ", "v1", '"v1"'),
    ],
)
def test_the_input_never_changes(key: str, written: str, version_id: str | None, version: str) -> None:
    """Byte for byte: a running execution's name with another input would be an error, not a duplicate."""
    written = f"input/lab2/eventdriven/{written}"

    assert execution_input(stored(key=f"input/lab2/eventdriven/{key}", version_id=version_id), chosen(), stack()) == (
        '{"glue_max_capacity_dpus": 2, "JOB_NAME": "ny-taxi-transformed-console-jb", '
        f'"BUCKET_NAME": "glueworkshop-123456789012-us-east-2", "SRC_PREFIX": "{written}", '
        f'"TRG_PREFIX": "target/event-transformed", "object": {{"key": "{written}", "size": 12, "etag": "e1", '
        f'"version_id": {version}, "last_modified": "2026-11-24T05:20:00Z", "content_type": null, "metadata": {{}}}}}}'
    )


@pytest.mark.parametrize("changes", [{"version_id": "v2"}, {"bucket": "other"}, {"key": KEY + "x"}])
def test_another_upload_has_another_name(changes: dict[str, object]) -> None:
    """Bucket, key and version make the upload."""
    first = {"version_id": "v1"}

    assert execution_name(stored(**first), chosen()) != execution_name(stored(**(first | changes)), chosen())


def test_without_versions_etag_and_last_modified_stand_in() -> None:
    """An overwrite is a new upload even where S3 keeps no versions, also with the same bytes."""
    later = datetime(2026, 11, 24, 5, 20, 1, tzinfo=UTC)

    assert 3 == len(
        {execution_name(one, chosen()) for one in (stored(), stored(etag="e2"), stored(last_modified=later))}
    )
    assert execution_name(stored(version_id="v1"), chosen()) == execution_name(
        stored(version_id="v1", etag="e2"), chosen()
    )


@pytest.mark.parametrize("changes", [{"job_name": "other"}, {"target_prefix": "other"}])
def test_another_route_has_another_name(changes: dict[str, object]) -> None:
    """What the upload is turned into is part of the identity."""
    assert execution_name(stored(), chosen()) != execution_name(stored(), chosen(**changes))


def test_capacity_is_no_part_of_the_name() -> None:
    """Turning the capacity up is no reason to run every file again."""
    assert execution_name(stored(), chosen()) == execution_name(stored(), chosen(glue_max_capacity_dpus=10))


def test_a_label_is_the_way_to_a_second_start() -> None:
    """Each label is a name of its own."""
    assert 3 == len({execution_name(stored(), chosen(), label) for label in (None, "a", "b")})


def test_the_input_is_the_contracts() -> None:
    """The workshop's five with their types, and the object."""
    expected = {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": "ny-taxi-transformed-console-jb",
        "BUCKET_NAME": "glueworkshop-123456789012-us-east-2",
        "SRC_PREFIX": KEY,
        "TRG_PREFIX": "target/event-transformed",
        "object": {
            "key": KEY,
            "size": 12,
            "etag": "e1",
            "version_id": None,
            "last_modified": "2026-11-24T05:20:00Z",
            "content_type": "text/csv",
            "metadata": {"batch": "7", "owner": "ünï"},
        },
    }
    found = stored(content_type="text/csv", metadata={"owner": "ünï", "batch": "7"})

    assert expected == json.loads(execution_input(found, chosen(), stack()))


def test_the_input_is_canonical() -> None:
    """The same moment in another time zone, or metadata in another order, is the same input; and neither makes a name."""
    moment = datetime(2026, 11, 24, 7, 20, tzinfo=timezone(timedelta(hours=2)))

    assert execution_input(stored(), chosen(), stack()) == execution_input(
        stored(last_modified=moment), chosen(), stack()
    )
    ways = [{"a": "1", "b": "2"}, {"b": "2", "a": "1"}]
    assert 1 == len({execution_input(stored(metadata=one), chosen(), stack()) for one in ways})
    told = stored(last_modified=moment, content_type="text/csv", metadata=ways[0])
    assert execution_name(stored(), chosen()) == execution_name(told, chosen())


@given(st.text(min_size=1, max_size=200))
def test_the_key_survives_the_input(key: str) -> None:
    """SRC_PREFIX is the key, byte for byte."""
    assert key == json.loads(execution_input(stored(key=key), chosen(), stack()))["SRC_PREFIX"]


LOOP = Skip(SkipReason.TARGET_PREFIX, "under 'target/event-transformed/', where the job writes: starting would loop")
OUTSIDE = Skip(SkipReason.WRONG_PREFIX, "not under 'input/lab2/eventdriven/'")
MARKER = Skip(SkipReason.FOLDER_MARKER, "a folder marker, not a file")


@pytest.mark.parametrize(
    ("key", "skip"),
    [
        ("target/event-transformed/x.parquet", LOOP),
        ("input/lab3/x.csv", OUTSIDE),
        ("target/event-transformed-2/x.parquet", OUTSIDE),
        ("input/lab2/eventdriven/", MARKER),
        ("input/lab2/eventdriven/a_$folder$", MARKER),
    ],
)
def test_the_key_alone_can_be_reason_to_skip(key: str, skip: Skip) -> None:
    """No call to S3 is needed for these."""
    assert skip == screen(created(key=key), stack())


def test_the_target_never_starts_even_inside_the_source() -> None:
    """A target below the source prefix would loop."""
    inside = stack(source_prefix="", target_prefix="out")

    skip = screen(created(key="out/x"), inside)

    assert skip
    assert SkipReason.TARGET_PREFIX == skip.reason
    assert screen(created(key="in/x"), inside) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"bucket": "other"},
            (
                f"Bucket 'other' is not this stack's ({BUCKET}): "
                "deploy a second stack with SourceBucketName, or fix the rule that sent this event."
            ),
        ),
        (
            {"account": "999999999999"},
            (
                "Account '999999999999' is not this stack's (123456789012): "
                "deploy the stack in the account that owns the bucket."
            ),
        ),
    ],
)
def test_a_foreign_object_is_refused(changes: dict[str, object], said: str) -> None:
    """Another bucket or account is an error that names it, with what to do."""
    with pytest.raises(ForeignObjectError) as caught:
        screen(created(**changes), stack())

    assert said == str(caught.value)


def test_an_empty_object_is_skipped() -> None:
    """There is nothing to transform."""
    skip = screen_object(0, chosen())

    assert Skip(SkipReason.EMPTY_OBJECT, "zero bytes: nothing to transform") == skip


@pytest.mark.parametrize("qualifier", ["", ":live", ":3"])
def test_an_execution_knows_its_arn(qualifier: str) -> None:
    """An alias or version of the state machine is no part of the execution's ARN."""
    machine = "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop"
    arn = Execution(machine + qualifier, "n", "{}").arn

    assert "arn:aws:states:us-east-2:123456789012:execution:glueworkshop:n" == arn
