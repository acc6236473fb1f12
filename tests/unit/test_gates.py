"""The gates to S3 and Step Functions: what AWS answers, and what it means here."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from moto import mock_aws

from shared.domain.errors import CallError, Cause, ObjectDeniedError, PermanentCallError, RetryableCallError
from shared.domain.plan import Execution
from shared.domain.windows import Listing
from shared.gates import step_functions
from shared.gates.s3 import get_manifest, list_page, put_manifest, read_map_results, read_object
from shared.gates.step_functions import read_start_date, start_execution
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE, Client, created, refusal

EXECUTION = Execution(MACHINE, "green_tripdata-0123", "{}")
LISTING = Listing(BUCKET, ACCOUNT, "in/", deep=False)
HEAD = {"ETag": '"e1"', "LastModified": datetime(2026, 11, 24, 5, 20, tzinfo=UTC), "ContentLength": 12}


@pytest.fixture
def s3() -> Any:
    """Return moto's S3 with a versioned bucket."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-2")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_an_object_is_read_in_the_version_that_was_announced(s3: Any) -> None:
    """Two versions put back to back are two uploads."""
    first = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"one")["VersionId"]
    second = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"three")["VersionId"]

    found = [read_object(s3, created(version_id=version)) for version in (first, None)]

    assert [(first, 3), (second, 5)] == [(one.version_id, one.size) for one in found if one]


def test_what_the_object_says_of_itself_is_read(s3: Any) -> None:
    """Content type and the object's own metadata, with names in lower case."""
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"one", ContentType="text/csv", Metadata={"Batch-No": "7", "owner": "A"})

    found = read_object(s3, created())

    assert found
    assert ("text/csv", {"batch-no": "7", "owner": "A"}) == (found.content_type, found.metadata)


def test_a_deleted_object_is_gone(s3: Any) -> None:
    """Never there, or hidden by a delete marker: gone."""
    assert read_object(s3, created()) is None
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"one")
    s3.delete_object(Bucket=BUCKET, Key=KEY)

    assert read_object(s3, created()) is None


@pytest.mark.parametrize("version", [None, "null"])
def test_a_null_version_is_no_version(version: str | None) -> None:
    """HEAD says `null` where versioning is suspended."""
    found = read_object(Client(HEAD | ({"VersionId": version} if version else {})), created())  # type: ignore[arg-type]

    assert found
    assert found.version_id is None


def test_a_version_that_is_a_delete_marker_is_gone() -> None:
    """S3 answers 405 for it."""
    assert read_object(Client(refusal("405", 405, "HeadObject")), created()) is None  # type: ignore[arg-type]


@mock_aws
def test_step_functions_itself_refuses_the_second_start() -> None:
    """The name is the key: one start, then duplicates, whatever the input."""
    sfn = boto3.client("stepfunctions", region_name="us-east-2")
    role = "arn:aws:iam::123456789012:role/workflow"
    definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
    machine = sfn.create_state_machine(name="glueworkshop", definition=definition, roleArn=role)["stateMachineArn"]
    execution = Execution(machine, "n", "{}")

    assert read_start_date(sfn, execution) is None
    opened = start_execution(sfn, None, execution)
    assert opened
    assert opened.new
    assert start_execution(sfn, None, Execution(machine, "n", '{"other": 1}')) is None
    assert read_start_date(sfn, execution)


@pytest.mark.parametrize(("started", "new"), [(-5.0, False), (-0.5, False), (-0.05, True), (1.0, True)])
def test_a_running_execution_answers_with_its_own_start(
    monkeypatch: pytest.MonkeyPatch,
    started: float,
    new: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """While it runs, AWS answers 200 with the first start's date: here in seconds from the request, which takes two."""
    now = 1_800_000_000.0
    date = datetime.fromtimestamp(now + started, UTC)

    def answer(**_: object) -> dict[str, object]:
        nonlocal now
        now += 2
        return {"startDate": date}

    monkeypatch.setattr(step_functions, "time", SimpleNamespace(time=lambda: now))

    assert (date.timestamp(), new) == start_execution(SimpleNamespace(start_execution=answer), None, EXECUTION)  # type: ignore[arg-type]


def test_the_trace_header_is_passed_on() -> None:
    """And left out where there is none, since AWS refuses an empty one."""
    client = Client({"executionArn": EXECUTION.arn, "startDate": datetime.now(UTC)})

    start_execution(client, "Root=1", EXECUTION)  # type: ignore[arg-type]
    start_execution(client, None, EXECUTION)  # type: ignore[arg-type]

    assert ["Root=1", None] == [call.get("traceHeader") for call in client.calls]


FAILURES = [
    (refusal("ThrottlingException"), RetryableCallError, Cause.THROTTLED),
    (refusal("503", 503), RetryableCallError, Cause.THROTTLED),
    (refusal("ExecutionLimitExceeded"), RetryableCallError, Cause.THROTTLED),
    (refusal("403", 403), RetryableCallError, Cause.ACCESS_DENIED),
    (refusal("AccessDeniedException"), RetryableCallError, Cause.ACCESS_DENIED),
    (refusal("500", 500), RetryableCallError, Cause.SERVICE_ERROR),
    (refusal("InternalServerError", 500), RetryableCallError, Cause.SERVICE_ERROR),
    (ReadTimeoutError(endpoint_url="x"), RetryableCallError, Cause.TIMEOUT),
    (ConnectTimeoutError(endpoint_url="x"), RetryableCallError, Cause.TIMEOUT),
    (EndpointConnectionError(endpoint_url="x"), RetryableCallError, Cause.TIMEOUT),
    (NoCredentialsError(), RetryableCallError, Cause.ACCESS_DENIED),
    (refusal("TooManyRequestsException", 429), RetryableCallError, Cause.THROTTLED),
    (refusal("ExpiredTokenException"), RetryableCallError, Cause.ACCESS_DENIED),
    (IncompleteReadError(actual_bytes=1, expected_bytes=2), RetryableCallError, Cause.SERVICE_ERROR),
    (ParamValidationError(report="no"), PermanentCallError, Cause.REFUSED),
    (refusal("400", 400), PermanentCallError, Cause.REFUSED),
    (refusal("StateMachineDoesNotExist"), PermanentCallError, Cause.REFUSED),
]


@pytest.mark.parametrize(("failure", "kind", "cause"), FAILURES)
@pytest.mark.parametrize(
    ("act", "subject"),
    [
        (lambda client: read_object(client, created()), f"HeadObject on s3://{BUCKET}/'{KEY}'"),
        (lambda client: start_execution(client, None, EXECUTION), f"StartExecution on {EXECUTION.arn}"),
        (lambda client: read_start_date(client, EXECUTION), f"DescribeExecution on {EXECUTION.arn}"),
        (lambda client: list_page(client, LISTING, None), f"ListObjectsV2 on s3://{BUCKET}/'in/'"),
        (lambda client: get_manifest(client, "results", "w/0.json"), "GetObject on s3://results/'w/0.json'"),
        (lambda client: put_manifest(client, "results", "w/0.json", b""), "PutObject on s3://results/'w/0.json'"),
    ],
)
def test_a_failed_call_says_what_failed_on_what(
    failure: Exception, kind: type[CallError], cause: Cause, act: Callable[[Any], object], subject: str
) -> None:
    """Each failure is known for whether trying again can help, and names its object."""
    with pytest.raises(kind, match=f"^{re.escape(subject)}: ") as caught:
        act(Client(failure))

    one_object = subject.startswith("HeadObject") and "Check the function's role" in str(caught.value)
    assert (ObjectDeniedError if one_object else kind) is type(caught.value)
    assert cause == caught.value.cause


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (refusal("AccessDenied", 403), "AccessDenied so it is. Check the function's role and the bucket's policy."),
        (refusal("ExpiredToken"), "ExpiredToken so it is. The credentials ran out; Lambda tries again."),
        (refusal("SlowDown", 503), "SlowDown so it is. Too many calls at once; Lambda tries again."),
        (refusal("InternalError", 500), "InternalError so it is. The service has a fault; Lambda tries again."),
        (refusal("NoSuchBucket", 404), "NoSuchBucket so it is. Trying again will not help; see docs/runbook.md."),
        (
            EndpointConnectionError(endpoint_url="x"),
            'no answer (Could not connect to the endpoint URL: "x"). Lambda tries again.',
        ),
        (NoCredentialsError(), "no credentials. Give the function a role, or set AWS_ACCESS_KEY_ID."),
        (ParamValidationError(report="no"), "Parameter validation failed:\nno."),
        (
            IncompleteReadError(actual_bytes=1, expected_bytes=2),
            "1 read, but total bytes expected is 2.. Lambda tries again.",
        ),
    ],
)
def test_a_failed_call_says_what_to_do(failure: Exception, said: str) -> None:
    """After what failed, on what, with the service's own words."""
    with pytest.raises(CallError) as caught:
        get_manifest(Client(failure), "results", "w/0.json")  # type: ignore[arg-type]

    assert f"GetObject on s3://results/'w/0.json': {said}" == str(caught.value)


@pytest.mark.parametrize(
    ("deep", "token", "how"),
    [(False, None, {"Delimiter": "/"}), (True, None, {}), (True, "t", {"ContinuationToken": "t"})],
)
def test_a_listing_asks_for_no_more_than_it_needs(
    deep: bool,  # noqa: FBT001 - a row of the table
    token: str | None,
    how: dict[str, str],
) -> None:
    """Of this account's bucket alone; and without its folders' own folders, unless they count."""
    client: Any = Client({})

    assert ([], None) == list_page(client, LISTING._replace(deep=deep), token)
    assert [{"Bucket": BUCKET, "Prefix": "in/", "ExpectedBucketOwner": ACCOUNT} | how] == client.calls


def test_a_lookup_asks_for_the_metadata_alone() -> None:
    """Which needs no right to decrypt what the workflow was given."""
    client: Any = Client({"startDate": datetime.fromtimestamp(5, UTC)})

    assert 5 == read_start_date(client, EXECUTION)
    assert [{"executionArn": EXECUTION.arn, "includedData": "METADATA_ONLY"}] == client.calls


MANIFEST = "backfill/m/manifest.json"
DETAILS = {"MapRunArn": "arn", "ResultWriterDetails": {"Bucket": BUCKET, "Key": MANIFEST}}


def leave(s3: Any, files: dict[str, list[object]], **others: object) -> None:
    """Store what a Map Run's ResultWriter leaves: a manifest, and its files as JSON Lines."""
    for key, results in files.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(map(json.dumps, results)).encode())
    listed = {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": key, "Size": 1} for key in files]} | others
    s3.put_object(Bucket=BUCKET, Key=MANIFEST, Body=json.dumps({"ResultFiles": listed}).encode())


def test_results_are_read_from_every_file_line_by_line(s3: Any) -> None:
    """Large runs have several; a line may be longer than what is read at once, and hold any character of a key."""
    results: list[object] = [{"found": 1}, {"started": ["x" * 200_000, "a\u2028b\x85é"]}, {"found": 3}]
    leave(s3, {"backfill/m/SUCCEEDED_0.jsonl": results[:2], "backfill/m/SUCCEEDED_1.jsonl": results[2:]})

    assert results == list(read_map_results(s3, DETAILS))


@pytest.mark.parametrize("nothing", [None, {}, [], {"MapRunArn": "arn"}, {"ResultWriterDetails": None}, DETAILS])
def test_a_map_over_nothing_has_no_results(s3: Any, nothing: object) -> None:
    """Whatever it returns, also the name of a manifest that was never written."""
    assert [] == list(read_map_results(s3, nothing))

    leave(s3, {})
    assert [] == list(read_map_results(s3, nothing))


def test_results_that_are_lost_are_an_error(s3: Any) -> None:
    """A file that the manifest names, a bucket or a permission that is missing: never zeros."""
    leave(s3, {}, SUCCEEDED=[{"Key": "backfill/m/SUCCEEDED_0.jsonl"}])
    with pytest.raises(
        PermanentCallError, match=rf"^GetObject on s3://{BUCKET}/'backfill/m/SUCCEEDED_0\.jsonl': NoSuchKey"
    ):
        list(read_map_results(s3, DETAILS))
    with pytest.raises(PermanentCallError, match=rf"^GetObject on s3://no-such-bucket/'{MANIFEST}': NoSuchBucket"):
        list(read_map_results(s3, {"ResultWriterDetails": {"Bucket": "no-such-bucket", "Key": MANIFEST}}))
    with pytest.raises(RetryableCallError, match=rf"^GetObject on s3://{BUCKET}/'{MANIFEST}': AccessDenied"):
        list(read_map_results(Client(refusal("AccessDenied", 403, "GetObject")), DETAILS))  # type: ignore[arg-type]
