"""The gates to S3 and Step Functions: what AWS answers, and what it means here."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

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
from moto.s3.models import s3_backends

from shared.domain.errors import CallError, ObjectDeniedError, PermanentCallError, RetryableCallError
from shared.domain.plan import Execution
from shared.domain.windows import File, Listing
from shared.gates import step_functions
from shared.gates.s3 import get_manifest, list_page, put_manifest, read_map_results, read_object
from shared.gates.step_functions import read_start_date, start_execution
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE, Client, created, refusal
from tests.unit.world import make_buckets, s3_client

EXECUTION = Execution(MACHINE, "green_tripdata-0123", "{}")
LISTING = Listing(BUCKET, ACCOUNT, "in/", deep=False)
MANIFEST = "backfill/m/manifest.json"
DETAILS = {"MapRunArn": "arn", "ResultWriterDetails": {"Bucket": BUCKET, "Key": MANIFEST}}


@pytest.fixture
def s3() -> Any:
    """Return moto's S3 with the bucket."""
    with mock_aws():
        client = s3_client()
        make_buckets(client, BUCKET)
        yield client


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


@pytest.mark.parametrize(
    ("act", "subject", "kind"),
    [
        (lambda client: read_object(client, created()), f"HeadObject on s3://{BUCKET}/'{KEY}'", ObjectDeniedError),
        (lambda client: start_execution(client, None, EXECUTION), f"StartExecution on {EXECUTION.arn}", None),
        (lambda client: read_start_date(client, EXECUTION), f"DescribeExecution on {EXECUTION.arn}", None),
        (lambda client: list_page(client, LISTING, None), f"ListObjectsV2 on s3://{BUCKET}/'in/'", None),
        (lambda client: get_manifest(client, "results", "w/0.json"), "GetObject on s3://results/'w/0.json'", None),
        (lambda client: put_manifest(client, "results", "w/0.json", b""), "PutObject on s3://results/'w/0.json'", None),
        (lambda client: list(read_map_results(client, DETAILS)), f"GetObject on s3://{BUCKET}/'{MANIFEST}'", None),
    ],
)
def test_a_failed_call_says_what_failed_on_what(
    act: Callable[[Any], object], subject: str, kind: type[CallError] | None
) -> None:
    """A denied HEAD is the one object's; whatever else is denied would be so for all."""
    with pytest.raises(
        RetryableCallError, match=f"^{re.escape(subject)}: AccessDenied so it is. Check the func"
    ) as caught:
        act(Client(refusal("AccessDenied", 403)))

    assert (kind or RetryableCallError) is type(caught.value)


MAY_PASS, FOR_GOOD = RetryableCallError, PermanentCallError
TOO_MANY = "Too many calls at once; a later try can succeed."
TIMEOUT = 'no answer (Could not connect to the endpoint URL: "x"); a later try can succeed.'


@pytest.mark.parametrize(
    ("failure", "kind", "cause", "said"),
    [
        (refusal("ExpiredToken"), MAY_PASS, "access_denied", "ExpiredToken so it is. The credentials ran out; a later try"),
        (refusal("SlowDown", 503), MAY_PASS, "throttled", f"SlowDown so it is. {TOO_MANY}"),
        (refusal("TooManyRequestsException", 429), MAY_PASS, "throttled", f"TooManyRequestsException so it is. {TOO_MANY}"),
        (refusal("InternalError", 500), MAY_PASS, "service_error", "InternalError so it is. The service has a fault;"),
        (refusal("NoSuchBucket", 404), FOR_GOOD, "refused", "NoSuchBucket so it is. Trying again will not help; see"),
        (EndpointConnectionError(endpoint_url="x"), MAY_PASS, "timeout", TIMEOUT),
        (ReadTimeoutError(endpoint_url="x"), MAY_PASS, "timeout", "no answer (Read timeout on endpoint"),
        (ConnectTimeoutError(endpoint_url="x"), MAY_PASS, "timeout", "no answer (Connect timeout on endpoint"),
        (NoCredentialsError(), MAY_PASS, "access_denied", "no credentials. Give the function a role, or set AWS_ACCESS_KEY_ID."),
        (ParamValidationError(report="no"), FOR_GOOD, "refused", "Parameter validation failed:\nno."),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), MAY_PASS, "service_error", "1 read, but total bytes expected"),
    ],
)  # fmt: skip
def test_a_failed_call_says_what_to_do(failure: Exception, kind: type[CallError], cause: str, said: str) -> None:
    """In the service's own words, and whether trying again can help; tests/unit/test_error_codes.py has all codes."""
    with pytest.raises(CallError) as caught:
        get_manifest(Client(failure), "results", "w/0.json")  # type: ignore[arg-type]

    assert str(caught.value).startswith(f"GetObject on s3://results/'w/0.json': {said}")
    assert (kind, cause) == (type(caught.value), caught.value.cause.value)


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


def leave(s3: Any, files: dict[str, list[object]], **others: object) -> None:
    """Store what a Map Run's ResultWriter leaves: a manifest, and its files as JSON Lines."""
    for key, results in files.items():
        lines = [json.dumps(one, ensure_ascii=False) for one in results]
        s3.put_object(Bucket=BUCKET, Key=key, Body="\n".join(lines).encode())
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


@pytest.mark.parametrize(
    ("bucket", "lost"),
    [
        (BUCKET, rf"s3://{BUCKET}/'backfill/m/SUCCEEDED_0\.jsonl': NoSuchKey"),
        ("no-such-bucket", rf"s3://no-such-bucket/'{MANIFEST}': NoSuchBucket"),
    ],
)
def test_results_that_are_lost_are_an_error(s3: Any, bucket: str, lost: str) -> None:
    """A file that the manifest names, or a bucket that is missing: never zeros."""
    leave(s3, {}, SUCCEEDED=[{"Key": "backfill/m/SUCCEEDED_0.jsonl"}])

    with pytest.raises(PermanentCallError, match=f"^GetObject on {lost}"):
        list(read_map_results(s3, {"ResultWriterDetails": {"Bucket": bucket, "Key": MANIFEST}}))


def test_a_manifest_that_is_there_stays(s3: Any) -> None:
    """S3 itself refuses to store a second one."""
    for body in (b"first", b"second"):
        put_manifest(s3, BUCKET, "windows/x/0.json", body)

    assert (b"first", None) == (
        get_manifest(s3, BUCKET, "windows/x/0.json"),
        get_manifest(s3, BUCKET, "windows/x/1.json"),
    )


def test_a_folder_is_listed_page_by_page(s3: Any) -> None:
    """A thousand names a page, without what lies deeper."""
    for number in range(1001):
        s3_backends[ACCOUNT]["aws"].put_object(BUCKET, f"in/{number:04}.csv", b"x")
    s3.put_object(Bucket=BUCKET, Key="in/deep/x.csv", Body=b"x")
    first, token = list_page(s3, LISTING, None)
    rest, end = list_page(s3, LISTING, token)

    assert (1000, 1, None) == (len(first), len(rest), end)
    moment = s3.head_object(Bucket=BUCKET, Key="in/1000.csv")["LastModified"].timestamp()
    assert [File("in/1000.csv", 1, "9dd4e461268c8034f5c8564e155c67a6", moment)] == rest
