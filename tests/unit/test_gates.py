"""The gates to S3 and Step Functions: what AWS answers, on moto or over the wire, and what it means here."""

import contextlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions as botocore
from moto import mock_aws

from shared.domain.arrival import Skip
from shared.domain.errors import ArrivalError, CallError, ObjectDeniedError, PermanentCallError, RetryableCallError
from shared.domain.plan import Execution
from shared.domain.windows import File, Listing
from shared.gates import step_functions
from shared.gates.aws import ATTEMPTS
from shared.gates.s3 import check_bucket, get_manifest, list_page, put_manifest, read_map_results, read_object
from shared.gates.step_functions import read_start_date, start_execution
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE, UPLOADED, Client, created, refusal, stored
from tests.unit.wire import Wire, answer
from tests.unit.world import make_buckets, s3_client

EXECUTION = Execution(MACHINE, "green_tripdata-0123", "{}")
LISTING = Listing(BUCKET, ACCOUNT, "in/", deep=False)
MANIFEST = "backfill/m/manifest.json"
DETAILS = {"MapRunArn": "arn", "ResultWriterDetails": {"Bucket": BUCKET, "Key": MANIFEST}}
HEAD = {"ETag": '"e1"', "Last-Modified": "Tue, 24 Nov 2026 05:20:00 GMT", "Content-Length": "12"}


@pytest.fixture
def s3() -> Any:
    with mock_aws():
        client = s3_client()
        make_buckets(client, BUCKET)
        yield client


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_an_object_is_described_as_s3_answers() -> None:
    """ETag without quotes, names of metadata in one spelling; another account's bucket of the name would answer 403."""
    own = {"x-amz-version-id": "v1", "Content-Type": "text/csv", "x-amz-meta-Batch-No": "7"}
    wire = Wire(answer(200, headers=HEAD | own))
    key = "in//a/../b+c d%25 été 🚕.csv"

    found = read_object(wire.s3, created(key=key, version_id="v1"))

    assert stored(key=key, version_id="v1", content_type="text/csv", metadata={"batch-no": "7"}) == found
    [request] = wire.requests
    # Encoded once, with nothing decoded or tidied up before.
    assert request.url.endswith("/in//a/../b%2Bc%20d%2525%20%C3%A9t%C3%A9%20%F0%9F%9A%95.csv"), request.url
    assert ACCOUNT.encode() == request.headers.get("x-amz-expected-bucket-owner")


@pytest.mark.parametrize(
    ("announced", "answers", "found", "asked"),
    [
        # The current version is the announced one, or nobody announced one.
        ("v1", ["v1"], "v1", [""]),
        (None, ["v2"], "v2", [""]),
        (None, ["null"], None, [""]),
        # Overwritten meanwhile: two versions back to back are two uploads.
        ("v1", ["v2", "v1"], "v1", ["", "?versionId=v1"]),
        ("v1", ["null", "v1"], "v1", ["", "?versionId=v1"]),
        ("v1", ["v2", 405], Skip, ["", "?versionId=v1"]),
        # Deleted, or hidden by a delete marker: one look, and a single attempt, is enough.
        ("v1", [404], Skip, [""]),
        (None, [405], Skip, [""]),
    ],
)
def test_the_current_object_is_asked_for_first(
    announced: str | None, answers: list[str | int], found: object, asked: list[str]
) -> None:
    """Another call is made only for a version that was overwritten before its event was handled."""
    said = [(one, 200) if isinstance(one, str) else ("", one) for one in answers]
    wire = Wire(*(answer(status, headers=HEAD | {"x-amz-version-id": version}) for version, status in said))
    read = read_object(wire.s3, created(version_id=announced))
    assert found == (read.version_id if read else Skip)
    assert asked == [request.url.partition(KEY)[2] for request in wire.requests]


@pytest.mark.parametrize(
    ("status", "region", "message"),
    [
        (200, "us-east-2", None),
        (200, None, None),
        (200, "eu-west-1", r"^Bucket .* is in eu-west-1, this stack in us-east-2: .* Deploy the stack there\.$"),
        (301, "eu-west-1", "is in eu-west-1, this stack in us-east-2"),
        (403, "us-east-2", rf"another account than this stack .{ACCOUNT}.*denies s3:ListBucket\. .*, or allow it\.$"),
        (404, None, rf"^Bucket {BUCKET} does not exist\. Deploy with a SourceBucketName that does\.$"),
        # A throttled call says nothing of the bucket.
        (503, None, f"^HeadBucket on s3://{BUCKET}: 503 "),
    ],
)
def test_a_bucket_out_of_reach_is_named(status: int, region: str | None, message: str | None) -> None:
    """Its events would never come, and nothing would tell."""
    wire = Wire(answer(status, headers={"x-amz-bucket-region": region} if region else {}))
    with pytest.raises(ArrivalError, match=message) if message else contextlib.nullcontext():
        check_bucket(wire.s3, BUCKET, ACCOUNT)
    assert ACCOUNT.encode() == wire.requests[0].headers.get("x-amz-expected-bucket-owner")


def test_a_folder_is_listed_page_by_page() -> None:
    """Keys come encoded, and the token leads to the next page."""
    page = (
        "<ListBucketResult><EncodingType>url</EncodingType>{}<Contents><Key>in/a%2Bb+c.csv</Key><Size>12</Size>"
        "<ETag>&quot;e1&quot;</ETag><LastModified>2026-11-24T05:20:00.000Z</LastModified></Contents></ListBucketResult>"
    )
    more = "<NextContinuationToken>more=</NextContinuationToken>"
    wire = Wire(answer(200, page.format(more)), answer(200, page.format("")))
    files = [File("in/a+b c.csv", 12, "e1", int(UPLOADED.timestamp()))]

    assert (files, "more=") == list_page(wire.s3, LISTING, None)
    assert (files, None) == list_page(wire.s3, LISTING, "more=")
    assert ["continuation-token=more%3D" in request.url for request in wire.requests] == [False, True]


LISTED = {"Bucket": BUCKET, "Prefix": "in/", "ExpectedBucketOwner": ACCOUNT}
ASKED = {"stateMachineArn": MACHINE, "name": EXECUTION.name, "input": "{}"}


@pytest.mark.parametrize(
    ("act", "asked"),
    [
        # Without its folders' own folders, unless they count.
        (lambda client: list_page(client, LISTING, None), LISTED | {"Delimiter": "/"}),
        (lambda client: list_page(client, LISTING._replace(deep=True), None), LISTED),
        # Without the input, so that no right is needed to decrypt what the workflow was given.
        (
            lambda client: read_start_date(client, EXECUTION),
            {"executionArn": EXECUTION.arn, "includedData": "METADATA_ONLY"},
        ),
        # AWS refuses an empty trace.
        (lambda client: start_execution(client, "Root=1", EXECUTION), ASKED | {"traceHeader": "Root=1"}),
        (lambda client: start_execution(client, None, EXECUTION), ASKED),
    ],
)
def test_a_call_asks_for_no_more_than_it_needs(act: Callable[[Any], object], asked: dict[str, object]) -> None:
    client = Client({"startDate": UPLOADED})
    act(client)
    assert [asked] == client.calls


@pytest.mark.parametrize(("started", "new"), [(-5.0, False), (-0.5, False), (-0.05, True), (1.0, True)])
def test_a_running_execution_answers_with_its_own_start(
    monkeypatch: pytest.MonkeyPatch,
    started: float,
    new: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """While it runs, AWS answers 200 with the first start's date: here in seconds from the request, which takes two."""
    date = UPLOADED + timedelta(seconds=started)
    client = Client({"startDate": date})
    now = SimpleNamespace(time=lambda: UPLOADED.timestamp() + 2 * len(client.calls))
    monkeypatch.setattr(step_functions, "time", now)
    assert (date.timestamp(), new) == start_execution(client, None, EXECUTION)  # type: ignore[arg-type]


def test_a_manifest_that_is_there_stays(s3: Any) -> None:
    for body in (b"first", b"second"):
        put_manifest(s3, BUCKET, "windows/x/0.json", body)
    assert [b"first", None] == [get_manifest(s3, BUCKET, f"windows/x/{number}.json") for number in (0, 1)]


def test_results_are_read_from_every_file_line_by_line(s3: Any) -> None:
    """Large runs have several; a line may be longer than what is read at once, and hold any character of a key."""
    results: list[object] = [{"found": 1}, {"started": ["x" * 200_000, "a\u2028b\x85é"]}, {"found": 3}]
    files = {"backfill/m/SUCCEEDED_0.jsonl": results[:2], "backfill/m/SUCCEEDED_1.jsonl": results[2:]}
    for key, found in files.items():
        lines = [json.dumps(one, ensure_ascii=False) for one in found]
        s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())
    listed = {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": key, "Size": 1} for key in files]}
    s3.put_object(Bucket=BUCKET, Key=MANIFEST, Body=json.dumps({"ResultFiles": listed}).encode())
    assert results == list(read_map_results(s3, DETAILS))

    s3.delete_object(Bucket=BUCKET, Key="backfill/m/SUCCEEDED_1.jsonl")
    with pytest.raises(PermanentCallError, match=rf"^GetObject on s3://{BUCKET}/'backfill/m/SUCCEEDED_1\.jsonl': NoS"):
        list(read_map_results(s3, DETAILS))
    # Never zeros for a bucket that is missing.
    with pytest.raises(PermanentCallError, match=f"^GetObject on s3://gone/'{MANIFEST}': NoSuchBucket"):
        list(read_map_results(s3, {"ResultWriterDetails": {"Bucket": "gone", "Key": MANIFEST}}))


@pytest.mark.parametrize("nothing", [None, {}, [], {"MapRunArn": "arn"}, {"ResultWriterDetails": None}, DETAILS])
def test_a_map_over_nothing_has_no_results(s3: Any, nothing: object) -> None:
    """Whatever it returns, also the name of a manifest that was never written."""
    assert [] == list(read_map_results(s3, nothing))


# ---- How a call fails; test_error_codes.py has all codes and statuses ----


@pytest.mark.parametrize(
    ("act", "subject"),
    [
        (lambda client: read_object(client, created()), f"HeadObject on s3://{BUCKET}/'{KEY}'"),
        (lambda client: start_execution(client, None, EXECUTION), f"StartExecution on {EXECUTION.arn}"),
        (lambda client: read_start_date(client, EXECUTION), f"DescribeExecution on {EXECUTION.arn}"),
        (lambda client: list_page(client, LISTING, None), f"ListObjectsV2 on s3://{BUCKET}/'in/'"),
        (lambda client: get_manifest(client, "results", "w/0.json"), "GetObject on s3://results/'w/0.json'"),
        (lambda client: put_manifest(client, "results", "w/0.json", b""), "PutObject on s3://results/'w/0.json'"),
        (lambda client: list(read_map_results(client, DETAILS)), f"GetObject on s3://{BUCKET}/'{MANIFEST}'"),
    ],
)
def test_a_failed_call_says_what_failed_on_what(act: Callable[[Any], object], subject: str) -> None:
    """A denied HEAD is the one object's; whatever else is denied would be so for all."""
    said = f"^{re.escape(subject)}: AccessDenied so it is. Check the func"
    with pytest.raises(RetryableCallError, match=said) as caught:
        act(Client(refusal("AccessDenied", 403)))
    assert ("HeadObject" in subject) == isinstance(caught.value, ObjectDeniedError)


@pytest.mark.parametrize(
    ("failure", "cause", "said"),
    [
        (botocore.EndpointConnectionError(endpoint_url="x"), "timeout", "no answer (Could not connect to"),
        (botocore.ReadTimeoutError(endpoint_url="x"), "timeout", "no answer (Read timeout on endpoint"),
        (botocore.NoCredentialsError(), "access_denied", "no credentials. Give the function a role, or set AWS_"),
        (botocore.ParamValidationError(report="no"), "refused", "Parameter validation failed:\nno."),
        (botocore.IncompleteReadError(actual_bytes=1, expected_bytes=2), "service_error", "1 read, but"),
    ],
)
def test_no_answer_at_all_is_told_with_what_to_do(failure: Exception, cause: str, said: str) -> None:
    with pytest.raises(CallError) as caught:
        get_manifest(Client(failure), "results", "w/0.json")  # type: ignore[arg-type]
    told = str(caught.value).removeprefix("GetObject on s3://results/'w/0.json': ")
    kind = PermanentCallError if cause == "refused" else RetryableCallError
    assert (said, kind, cause) == (told[: len(said)], type(caught.value), caught.value.cause.value)


# Of 400 botocore asks HeadBucket whether it means another region: an operation that the artifact must hold.
TRIED = {301: 2, 400: 2, 403: 1, 429: ATTEMPTS, 503: ATTEMPTS}


@pytest.mark.parametrize("status", TRIED)
def test_only_what_may_pass_is_tried_again(status: int) -> None:
    """And the error names operation, bucket and key, in one printable line whatever the key."""
    wire = Wire(answer(status, headers={"x-amz-bucket-region": "eu-west-1"} if status == 301 else {}))
    with pytest.raises(CallError, match=rf"^HeadObject on s3://{BUCKET}/'a\\n\\x1b\[2J\\u2028': {status} ") as caught:
        read_object(wire.s3, created(key="a\n\x1b[2J\u2028"))
    assert (TRIED[status], True) == (len(wire.requests), str(caught.value).isprintable()), caught.value


def test_a_dropped_connection_costs_a_pause_not_the_arrival() -> None:
    wire = Wire(botocore.ReadTimeoutError(endpoint_url="x"), answer(200, headers=HEAD))
    assert stored() == read_object(wire.s3, created())
