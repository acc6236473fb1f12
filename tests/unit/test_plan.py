"""Plan: a function of (object, route), and of nothing else."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.arrival import SkipReason
from shared.domain.choose import screen
from shared.domain.errors import ForeignObjectError
from shared.domain.plan import Execution, execution_input, execution_name
from tests.unit.builders import BUCKET, KEY, MACHINE, PREFIX, chosen, created, stack, stored


@given(st.text(min_size=1, max_size=1024))
def test_the_name_is_legal_for_any_key(key: str) -> None:
    """At most 80 characters of the safest kind, the last 32 of them a digest."""
    name = execution_name(stored(key=key), chosen())

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,47}-[0-9a-f]{32}", name)


# Computed once, and never again. Key below the source prefix: the readable part; digests of v1 without a label and with
# one, and without a version.
GOLDEN = {
    "green_tripdata.csv": ("green_tripdata", """
        d89bb8e735de5a39c9d26609df9bafca d3e7471c890383b11ceb29f0c5494efa
        ec1d15a309beb8e3b8e9f543c8368534 2b60fa7f06b65c6267b18d4b7e7bd0a7"""),
    'dt=2026-11-24/été 🚕 "q".csv': ("ete-q", """
        951288efe731836333f7bd0a315871ef c1898a4f74bb6945d885429ae4a3785a
        85639ecf5ebd3451f4874b9cafc7759a 9a89e5eaccef17da3867bbee846f8d25"""),
    "x" * 47 + ".csv": ("x" * 47, """
        f422abf5dde583db27c9c42385f64ced 01624ade3ae294bb0c28734b854eb945
        c4a0c70aeaa9b741ec6ec692a7bc9810 3433fda55b2ae21ddddbf733e94b14bc"""),
    "x" * 48 + ".csv": ("x" * 47, """
        e0950724e49235db7acc000311147ecb 2b8d84b9bf132986d59657411c2618c5
        33699b8ace06a9294f2db9e2d3b3d092 1db3265e48863596067633fb57977f82"""),
    "🚕.csv": ("object", """
        53a161c0accf6da73eb7ca03ecaca748 8337981aa45693e73526fbde2700efc4
        9305617ac67e667a59b0f631899370c6 5bf39828fdd0ff833ccada2e200a280f"""),
    " a.b .csv": ("a-b", """
        4ca91767590e488c9b6a5a9121a1e18e 2c9f90c7c43dc9538dee5dfae2dc06c2
        f1f7eed6d308ebcb947ace55586c4827 6740734d117df72afa5765c5ecf49aff"""),
    " trips.csv ": ("trips", """
        314f78fb33d443f68593622bd47f5967 e76d9c1d26a5673468fa992cad278ec2
        b66392ed36175a4a5d3971e4d17e6568 809d5a64e5ecad456cc8ec41c377c1d7"""),
}  # fmt: skip
UPLOADS = [("v1", None), ("v1", "again"), (None, None), (None, "again")]


@pytest.mark.parametrize("key", GOLDEN)
def test_the_name_never_changes(key: str) -> None:
    """A release that computed other names would start everything again: these are a promise."""
    readable, digests = GOLDEN[key]
    names = [execution_name(stored(key=PREFIX + key, version_id=one), chosen(), label) for one, label in UPLOADS]

    assert [f"{readable}-{digest}" for digest in digests.split()] == names


@pytest.mark.parametrize(
    ("key", "written", "version_id", "version"),
    [
        ("green_tripdata.csv", "green_tripdata.csv", "v1", '"v1"'),
        ('été 🚕 "q".csv', '\\u00e9t\\u00e9 \\ud83d\\ude95 \\"q\\".csv', None, "null"),
        (" trips.csv ", " trips.csv ", "v1", '"v1"'),
    ],
)
def test_the_input_never_changes(key: str, written: str, version_id: str | None, version: str) -> None:
    """Byte for byte, whatever the time zone and the order of metadata: the same name with another input is an error."""
    moment = datetime(2026, 11, 24, 7, 20, tzinfo=timezone(timedelta(hours=2)))
    ways: list[dict[str, Any]] = [
        {"metadata": {"a": "1", "b": "ünï"}},
        {"metadata": {"b": "ünï", "a": "1"}, "last_modified": moment},
    ]
    expected = (
        '{"glue_max_capacity_dpus": 2, "JOB_NAME": "ny-taxi-transformed-console-jb", '
        f'"BUCKET_NAME": "{BUCKET}", "SRC_PREFIX": "{PREFIX}{written}", '
        f'"TRG_PREFIX": "target/event-transformed", "object": {{"key": "{PREFIX}{written}", "size": 12, "etag": "e1", '
        f'"version_id": {version}, "last_modified": "2026-11-24T05:20:00Z", "content_type": "text/csv", '
        '"metadata": {"a": "1", "b": "\\u00fcn\\u00ef"}}}'
    )
    plain = {"key": PREFIX + key, "version_id": version_id, "content_type": "text/csv"}

    assert [expected] * 2 == [execution_input(stored(**plain, **way), chosen(), stack()) for way in ways]


LATER = datetime(2026, 11, 24, 5, 20, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("upload", "other", "settings", "is_another"),
    [
        # Bucket, key and version make the upload; without a version ETag and last-modified stand in.
        ({"version_id": "v1"}, {"version_id": "v2"}, {}, True),
        ({}, {"bucket": "other"}, {}, True),
        ({}, {"key": KEY + "x"}, {}, True),
        ({}, {"etag": "e2"}, {}, True),
        ({}, {"last_modified": LATER}, {}, True),
        ({"version_id": "v1"}, {"etag": "e2", "last_modified": LATER}, {}, False),
        ({}, {"content_type": "text/csv", "metadata": {"a": "1"}}, {}, False),
        # What the upload is turned into is part of the identity, and turning the capacity up no reason to run again.
        ({}, {}, {"job_name": "other"}, True),
        ({}, {}, {"target_prefix": "other"}, True),
        ({}, {}, {"glue_max_capacity_dpus": 10}, False),
    ],
)
def test_what_makes_another_name(
    upload: dict[str, object], other: dict[str, object], settings: dict[str, object], *, is_another: bool
) -> None:
    """The name is the identity of upload and route."""
    names = {execution_name(stored(**upload), chosen()), execution_name(stored(**upload | other), chosen(**settings))}

    assert is_another == (len(names) == 2)


@pytest.mark.parametrize(
    ("key", "settings", "reason"),
    [
        ("target/event-transformed/x.parquet", {}, "target_prefix"),
        ("target/event-transformed-2/x.parquet", {}, "wrong_prefix"),
        ("input/lab3/x.csv", {}, "wrong_prefix"),
        (PREFIX, {}, "folder_marker"),
        (PREFIX + "a_$folder$", {}, "folder_marker"),
        # A target below the source prefix would loop.
        ("out/x", {"source_prefix": "", "target_prefix": "out"}, "target_prefix"),
        ("in/x", {"source_prefix": "", "target_prefix": "out/"}, None),
    ],
)
def test_the_key_alone_can_be_reason_to_skip(key: str, settings: dict[str, str], reason: str | None) -> None:
    """No call to S3 is needed for these."""
    skip = screen(created(key=key), stack(**settings))

    assert (reason and SkipReason(reason)) == (skip and skip.reason)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bucket": "other"}, rf"^Bucket 'other' is not this stack's \({BUCKET}\): deploy a second stack with Source"),
        ({"account": "999999999999"}, r"^Account '999999999999' is not this stack's \(123456789012\): deploy the stack in"),
    ],
)  # fmt: skip
def test_a_foreign_object_is_refused(changes: dict[str, object], said: str) -> None:
    """Another bucket or account is an error that names it, with what to do."""
    with pytest.raises(ForeignObjectError, match=said):
        screen(created(**changes), stack())


@pytest.mark.parametrize("qualifier", ["", ":live", ":3"])
def test_an_execution_knows_its_arn(qualifier: str) -> None:
    """An alias or version of the state machine is no part of the execution's ARN."""
    assert MACHINE.replace("stateMachine", "execution") + ":n" == Execution(MACHINE + qualifier, "n", "{}").arn
