"""Parse: from any payload to what it says, and from an event of either kind to one `ObjectCreated`."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given

from shared.domain.arrival import ObjectCreated, Skip, SkipReason, Source
from shared.domain.errors import MalformedEventError
from shared.domain.parse import parse_announcement, read_announcement
from shared.gates.telemetry import describe
from tests.unit.builders import ACCOUNT, BUCKET, KEY, event
from tests.unit.payloads import json_values, mutated

ARRIVALS = {
    "object-created-put": None,
    "object-created-put-versioned": "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl",
    "object-created-complete-multipart-upload": None,
    "object-created-post-object": None,
    "object-created-copy-object": "VK33xJ8vPmp8mptTRVMsl3igUO1CmU0I",
    "object-created-replayed": None,
    "cloudtrail-put-object": None,
    "cloudtrail-put-object-console": None,
    "cloudtrail-complete-multipart-upload": "QTwUkrZkDoqdlaeDVHfZXEYDijrnfeLT",
    "cloudtrail-copy-object": None,
}


def parse_event(event: object) -> ObjectCreated | Skip:
    """Parse a payload, as the handler does."""
    return parse_announcement(read_announcement(event))


@pytest.mark.parametrize(("name", "version_id"), ARRIVALS.items())
def test_an_arrival_is_parsed_from_both_sources(name: str, version_id: str | None) -> None:
    """All four ways of creating an object come out alike, with the version where the event names one."""
    source = Source.CLOUDTRAIL if name.startswith("cloudtrail") else Source.NATIVE

    assert ObjectCreated(BUCKET, KEY, version_id, ACCOUNT) == parse_event(event(name))
    assert source is read_announcement(event(name)).source


@pytest.mark.parametrize("name", ["PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"])
def test_all_four_calls_arrive(name: str) -> None:
    """The workshop's rule knew one of them."""
    assert parse_event(event("cloudtrail-put-object")) == parse_event(
        event("cloudtrail-put-object", detail__eventName=name)
    )


@pytest.mark.parametrize("code", ["", 0, "NoSuchBucket"])
def test_any_error_code_is_a_failed_call(code: object) -> None:
    """It is there only when the call failed, whatever it says."""
    skip = parse_event(event("cloudtrail-put-object", detail__errorCode=code))

    assert isinstance(skip, Skip)
    assert SkipReason.FAILED_CALL == skip.reason


def test_a_key_is_taken_verbatim() -> None:
    """Nothing is decoded: a plus stays a plus, and %25 stays %25."""
    parsed = parse_event(event("object-created-key-characters"))

    assert isinstance(parsed, ObjectCreated)
    assert 'input/lab2/eventdriven/dt=2026-11-24/run=05:20/it\'s a "green" + yellow 100%25 (été) 🚕.csv' == parsed.key


@pytest.mark.parametrize("absent", ["", "null", None])
def test_absent_and_null_versions_are_one(absent: str | None) -> None:
    """A bucket without versions looks the same however it is said."""
    assert parse_event(event()) == parse_event(event(detail__object={"key": KEY, "version-id": absent}))


def test_fields_nobody_needs_may_be_missing_or_new() -> None:
    """Only bucket, key and account are needed; whatever AWS adds is ignored."""
    slim = {
        "source": "aws.s3",
        "detail-type": "Object Created",
        "account": ACCOUNT,
        "detail": {"bucket": {"name": BUCKET, "new": 1}, "object": {"key": KEY, "new": []}, "reason": "Teleport"},
    }

    assert parse_event(event()) == parse_event(slim)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (event("object-deleted"), SkipReason.NOT_AN_ARRIVAL),
        (event(source="my.own"), SkipReason.NOT_AN_ARRIVAL),
        (event(detail_type="Object Annotation Created"), SkipReason.NOT_AN_ARRIVAL),
        (event("cloudtrail-put-object", detail__eventName="DeleteObject"), SkipReason.NOT_AN_ARRIVAL),
        (event("cloudtrail-put-object", detail__eventName="UploadPart"), SkipReason.NOT_AN_ARRIVAL),
        (event("cloudtrail-put-object", detail__eventSource="ec2.amazonaws.com"), SkipReason.NOT_AN_ARRIVAL),
        (event("cloudtrail-put-object-access-denied"), SkipReason.FAILED_CALL),
        (event("cloudtrail-put-object-access-denied", detail__requestParameters=None), SkipReason.FAILED_CALL),
    ],
)
def test_what_announces_no_object_is_skipped(other: object, reason: SkipReason) -> None:
    """Other events and failed calls are skips with a reason, whatever else they lack."""
    skip = parse_event(other)

    assert isinstance(skip, Skip)
    assert reason == skip.reason


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "text",
        {},
        {"Records": []},
        event("malformed-no-key"),
        event(detail=...),
        event(detail="text"),
        event(account=...),
        event(account=123456789012),
        event(source=""),
        event(detail__bucket=...),
        event(detail__bucket={"name": ""}),
        event(detail__object={"key": ""}),
        event(detail__object={"key": 7}),
        event(detail__object={"key": "lone \ud800 surrogate"}),
        event(detail__object={"key": KEY, "version-id": 3}),
        event("cloudtrail-put-object", detail__requestParameters=None),
        event("cloudtrail-put-object", detail__eventName=...),
    ],
)
def test_what_lacks_a_needed_field_is_malformed(broken: object) -> None:
    """A guess would start the wrong thing, so it is an error that says which field."""
    with pytest.raises(MalformedEventError):
        parse_event(broken)


NO_EVENT = "No EventBridge event: `source` and `detail-type` must be non-empty strings. "


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            event("malformed-no-key", id="e1", account=...),
            "Event 'e1' (Object Created) can't be acted on. account: Field required; detail.object.key: Field required.",
        ),
        (
            event("cloudtrail-put-object", id="e1", detail__eventName=...),
            "Event 'e1' (AWS API Call via CloudTrail) can't be acted on. detail.eventName: Field required.",
        ),
    ],
)
def test_the_message_says_what_to_fix(broken: object, said: str) -> None:
    """Names the event, the fields and, for other notifications, the way out."""
    with pytest.raises(MalformedEventError) as caught:
        parse_event(broken)

    assert said == str(caught.value)


INSIDE = "It looks like an EventBridge event inside a message of SQS or SNS: let the rule invoke this function itself, without the queue or topic."
CLASSIC = "It looks like a classic S3, SNS or SQS notification: turn on EventBridge for the bucket instead."
ALONE = "It looks like an event's detail alone: take InputPath, Input or the input transformer off the rule's target, so that it passes the whole event."
A_LIST = (
    "It is a list, as EventBridge Pipes and batches send it: let a rule invoke this function, with one event at a time."
)
A_TEXT = (
    "It is a text: let the rule pass the whole event, without an input transformer, and encode it as JSON only once."
)
ANYTHING = "Invoke this function from an EventBridge rule, or with a file of events/."
S3_RECORDS = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "a+b.csv"}}}]}


def queued(message: object) -> dict[str, Any]:
    """Wrap a message as SQS hands it to a function."""
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(message)}]}


def published(message: object) -> dict[str, Any]:
    """Wrap a message as SNS hands it to a function."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": json.dumps(message)}}]}


HINTED: list[tuple[object, str]] = [
    (queued(event()), INSIDE),
    (queued(event("cloudtrail-put-object")), INSIDE),
    (published(event()), INSIDE),
    (queued({"Type": "Notification", "Message": json.dumps(event())}), INSIDE),
    (S3_RECORDS, CLASSIC),
    (queued(S3_RECORDS), CLASSIC),
    (published(S3_RECORDS), CLASSIC),
    ({"Records": [{"eventSource": "aws:sqs", "body": "no JSON: {"}]}, CLASSIC),
    ({"Records": [{"eventSource": "aws:sqs", "body": "[" * 100_000}]}, CLASSIC),
    ({"Records": []}, CLASSIC),
    ({"version": "1.0", "requestPayload": event()}, "It looks like a record of the failure queue: the event to send again is its requestPayload."),
    (event()["detail"], ALONE),
    (event("cloudtrail-put-object")["detail"], ALONE),
    ([event()], A_LIST),
    ([{"messageId": "1", "body": json.dumps(event())}], A_LIST),
    ([], A_LIST),
    (json.dumps(event()), A_TEXT),
    ("", A_TEXT),
    ({}, ANYTHING),
    (None, ANYTHING),
    (7, ANYTHING),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "hint"), HINTED)
def test_what_is_no_event_is_told_what_it_looks_like(payload: object, hint: str) -> None:
    """With what to do: only a classic notification is a reason to turn on EventBridge."""
    with pytest.raises(MalformedEventError) as caught:
        parse_event(payload)

    assert NO_EVENT + hint == str(caught.value)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (event("object-deleted"), "'Object Deleted' from 'aws.s3' announces no new object"),
        (event("cloudtrail-put-object", detail__eventName="UploadPart"), "'UploadPart' on 's3.amazonaws.com' creates no object"),
        (event("cloudtrail-put-object-access-denied"), "PutObject failed with 'AccessDenied': nothing was uploaded"),
    ],
)  # fmt: skip
def test_a_skip_says_why(other: object, why: str) -> None:
    """In the words of the event."""
    assert why == getattr(parse_event(other), "why", None)


NAMED = {"bucket": BUCKET, "key": KEY}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (event(), {"source": "native", **NAMED}),
        (event("cloudtrail-put-object"), {"source": "cloudtrail", **NAMED}),
        (event("object-created-put-versioned"), {"version_id": "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl"}),
        (event("cloudtrail-complete-multipart-upload"), {"version_id": "QTwUkrZkDoqdlaeDVHfZXEYDijrnfeLT"}),
        (event("object-created-replayed"), {"replay_name": "after-the-outage-of-20-november"}),
        (event("object-deleted"), {"source": "other", **NAMED}),
        (event("malformed-no-key"), {"source": "native", "bucket": BUCKET, "key": None}),
        (event("cloudtrail-put-object", source="my.own"), {"source": "other", **NAMED}),
        (event(id="e", time="t"), {"event_id": "e", "event_time": "t"}),
        (event(id=7, time=None, detail="text"), {"event_id": None, "event_time": None, "bucket": None}),
        (event(detail__object={"key": ""}), {"key": None}),
        ("text", {"source": "other", "event_id": None}),
    ],
)
def test_any_payload_is_described_as_far_as_it_goes(payload: object, said: dict[str, str | None]) -> None:
    """For the log, whether it can be parsed or not; what is no text is left out."""
    described = describe(read_announcement(payload))

    assert said == {name: described.get(name) for name in said}


def test_a_field_of_the_other_kind_of_event_is_no_substitute() -> None:
    """A key that a native event has where CloudTrail has it is not the key of its object."""
    both = event("malformed-no-key")
    both["detail"]["requestParameters"] = {"bucketName": BUCKET, "key": KEY}

    with pytest.raises(MalformedEventError, match=r"detail\.object\.key"):
        parse_event(both)


@pytest.mark.parametrize("key", [" green.csv", "green.csv ", " ", "\tgreen.csv\n", "\u00a0green.csv\u3000"])
def test_a_blank_at_either_end_belongs_to_the_key(key: str) -> None:
    """S3 keeps it, so nothing may strip it."""
    native, recorded = event(detail__object={"key": key}), event("cloudtrail-put-object")
    recorded["detail"]["requestParameters"]["key"] = key

    assert [key, key] == [getattr(parse_event(one), "key", None) for one in (native, recorded)]


@given(json_values | mutated())
def test_any_payload_ends_as_arrival_skip_or_malformed(payload: object) -> None:
    """Whatever comes, parsing never fails in another way, and there is always something to log."""
    with contextlib.suppress(MalformedEventError):
        assert isinstance(parse_event(payload), ObjectCreated | Skip)
    assert all(isinstance(value, str) for value in describe(read_announcement(payload)).values())
