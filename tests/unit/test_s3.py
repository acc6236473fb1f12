"""S3 over the wire: what the real client makes of the statuses of a HEAD, which has no body to say it in words."""

import contextlib

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError, SSLError

from shared.domain.arrival import Skip
from shared.domain.errors import Cause, PermanentCallError, RetryableCallError, SettingsError
from shared.gates.aws import ATTEMPTS
from shared.gates.s3 import check_bucket, read_object
from tests.unit.builders import ACCOUNT, BUCKET, KEY, created, stored
from tests.unit.wire import Wire, answer

HEAD = {"ETag": '"e1"', "Last-Modified": "Tue, 24 Nov 2026 05:20:00 GMT", "Content-Length": "12"}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the pauses between attempts instead of taking them."""
    taken: list[float] = []
    monkeypatch.setattr("time.sleep", taken.append)
    return taken


def test_an_object_is_described_as_s3_answers() -> None:
    """ETag without quotes, names of metadata in one spelling; another account's bucket of the name would answer 403."""
    own = {"x-amz-version-id": "v1", "Content-Type": "text/csv", "x-amz-meta-Batch-No": "7"}
    wire = Wire(answer(200, headers=HEAD | own))

    found = read_object(wire.s3, created(version_id="v1"))

    assert stored(version_id="v1", content_type="text/csv", metadata={"batch-no": "7"}) == found
    [request] = wire.requests
    assert request.url.endswith(KEY)
    assert ACCOUNT == request.headers["x-amz-expected-bucket-owner"].decode()


@pytest.mark.parametrize(
    ("announced", "answers", "found", "asked"),
    [
        # The current version is the announced one, or nobody announced one.
        ("v1", ["v1"], "v1", [""]),
        (None, [None], None, [""]),
        (None, ["v2"], "v2", [""]),
        (None, ["null"], None, [""]),
        # Overwritten meanwhile: two versions back to back are two uploads.
        ("v1", ["v2", "v1"], "v1", ["", "?versionId=v1"]),
        ("v1", ["null", "v1"], "v1", ["", "?versionId=v1"]),
        ("v1", ["v2", 404], Skip, ["", "?versionId=v1"]),
        ("v1", ["v2", 405], Skip, ["", "?versionId=v1"]),
        # Deleted, or hidden by a delete marker: one look, and a single attempt, is enough.
        ("v1", [404], Skip, [""]),
        (None, [404], Skip, [""]),
        (None, [405], Skip, [""]),
    ],
)
def test_the_current_object_is_asked_for_first(
    announced: str | None, answers: list[str | int | None], found: object, asked: list[str]
) -> None:
    """Another call is made only for a version that was overwritten before its event was handled."""
    said = [
        answer(one) if isinstance(one, int) else answer(200, headers=HEAD | ({"x-amz-version-id": one} if one else {}))
        for one in answers
    ]
    wire = Wire(*said)

    read = read_object(wire.s3, created(version_id=announced))

    assert found == (read.version_id if read else Skip)
    assert asked == [request.url.partition(KEY)[2] for request in wire.requests]


@pytest.mark.parametrize(
    ("status", "region", "message"),
    [
        (200, "us-east-2", None),
        (200, None, None),
        (200, "eu-west-1", r"^Bucket .* is in eu-west-1, this stack in us-east-2: .* Deploy the stack there\.$"),
        (403, "eu-west-1", "is in eu-west-1, this stack in us-east-2"),
        (301, "eu-west-1", "is in eu-west-1, this stack in us-east-2"),
        (400, "eu-west-1", "is in eu-west-1, this stack in us-east-2"),
        (403, "us-east-2", rf"another account than this stack .{ACCOUNT}.*denies s3:ListBucket\. .*, or allow it\.$"),
        (403, None, "another account"),
        (404, None, rf"^Bucket {BUCKET} does not exist\. Deploy with a SourceBucketName that does\.$"),
    ],
)
def test_a_bucket_out_of_reach_is_named(status: int, region: str | None, message: str | None) -> None:
    """Its events would never come, and nothing would tell."""
    wire = Wire(answer(status, headers={"x-amz-bucket-region": region} if region else {}))

    with pytest.raises(SettingsError, match=message) if message else contextlib.nullcontext():
        check_bucket(wire.s3, BUCKET, ACCOUNT)

    assert ACCOUNT == wire.requests[0].headers["x-amz-expected-bucket-owner"].decode()


@pytest.mark.parametrize(("status", "kind"), [(503, RetryableCallError), (400, PermanentCallError)])
def test_a_bucket_that_can_not_be_looked_at_is_no_verdict(status: int, kind: type[Exception]) -> None:
    """A throttled call says nothing of the bucket."""
    with pytest.raises(kind, match=f"^HeadBucket on s3://{BUCKET}: {status} "):
        check_bucket(Wire(answer(status)).s3, BUCKET, ACCOUNT)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("input/a+b c%25.csv", "/input/a%2Bb%20c%2525.csv"),
        ("input/été 🚕.csv", "/input/%C3%A9t%C3%A9%20%F0%9F%9A%95.csv"),
        ("input//a/../b.csv", "/input//a/../b.csv"),
    ],
)
def test_the_key_goes_out_as_it_came_in(key: str, path: str) -> None:
    """Encoded once, with nothing decoded or tidied up before."""
    wire = Wire(answer(200, headers=HEAD))

    read_object(wire.s3, created(key=key))

    assert wire.requests[0].url.endswith(path)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "cause", "attempts"),
    [
        # Of these botocore asks HeadBucket whether they mean another region: an operation that the artifact must hold.
        (400, {}, PermanentCallError, Cause.REFUSED, 2),
        (301, {"x-amz-bucket-region": "eu-west-1"}, PermanentCallError, Cause.REFUSED, 2),
        (403, {}, RetryableCallError, Cause.ACCESS_DENIED, 1),
        (429, {}, RetryableCallError, Cause.THROTTLED, ATTEMPTS),
        (500, {}, RetryableCallError, Cause.SERVICE_ERROR, ATTEMPTS),
        (503, {}, RetryableCallError, Cause.THROTTLED, ATTEMPTS),
    ],
)
def test_only_what_may_pass_is_tried_again(
    status: int, headers: dict[str, str], kind: type[Exception], cause: Cause, attempts: int
) -> None:
    """And the error names operation, bucket and key, in one printable line whatever the key."""
    wire = Wire(answer(status, headers=headers))

    with pytest.raises(kind, match=rf"^HeadObject on s3://{BUCKET}/'a\\n\\x1b\[2J\\u2028': {status} ") as caught:
        read_object(wire.s3, created(key="a\n\x1b[2J\u2028"))

    assert (cause, attempts) == (getattr(caught.value, "cause", None), len(wire.requests))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "failure",
    [
        ConnectTimeoutError(endpoint_url="x"),
        EndpointConnectionError(endpoint_url="x"),
        ReadTimeoutError(endpoint_url="x"),
        SSLError(endpoint_url="x", error=OSError("handshake")),
    ],
)
def test_a_broken_connection_is_tried_again(failure: Exception) -> None:
    """One dropped connection costs a pause, not the arrival."""
    wire = Wire(failure, answer(200, headers=HEAD))

    assert stored() == read_object(wire.s3, created())


def test_all_attempts_end_within_the_worst_case(pauses: list[float]) -> None:
    """Three attempts with pauses of at most 1 and 2 seconds: what the function's timeout is made for."""
    wire = Wire(ReadTimeoutError(endpoint_url="x"))

    with pytest.raises(RetryableCallError, match="no answer") as caught:
        read_object(wire.s3, created())

    assert (Cause.TIMEOUT, ATTEMPTS) == (caught.value.cause, len(wire.requests))
    assert [True, True] == [pause <= longest for pause, longest in zip(pauses, (1, 2), strict=True)]
