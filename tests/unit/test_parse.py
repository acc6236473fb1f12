"""Parse: from any payload to what it says, and from an event of either kind to one `ObjectCreated`."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given

from shared.domain.arrival import ObjectCreated, Skip
from shared.domain.errors import MalformedEventError
from shared.domain.parse import parse_announcement, read_announcement
from shared.gates.telemetry import describe
from tests.unit.builders import ACCOUNT, BUCKET, KEY, event
from tests.unit.payloads import json_values, mutated

RECORDED = "cloudtrail-put-object"
# Only what is needed, and what AWS may add.
SLIM = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "account": ACCOUNT,
    "detail": {"bucket": {"name": BUCKET, "new": 1}, "object": {"key": KEY, "new": []}, "reason": "Teleport"},
}
ARRIVALS: list[tuple[object, str, str | None]] = [
    (event(), "native", None),
    (event("object-created-put-versioned"), "native", "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl"),
    (SLIM, "native", None),
    *((event(detail__object={"key": KEY, "version-id": absent}), "native", None) for absent in ("", "null", None)),
    (event("cloudtrail-put-object-console"), "cloudtrail", None),
    (event("cloudtrail-complete-multipart-upload"), "cloudtrail", "QTwUkrZkDoqdlaeDVHfZXEYDijrnfeLT"),
    *(
        (event(RECORDED, detail__eventName=call), "cloudtrail", None)
        for call in ("PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload")
    ),
]


def parse_event(payload: object) -> ObjectCreated | Skip:
    return parse_announcement(read_announcement(payload))


@pytest.mark.parametrize(("payload", "source", "version_id"), ARRIVALS)
def test_an_arrival_is_parsed_from_both_sources(payload: object, source: str, version_id: str | None) -> None:
    """All ways of creating an object come out alike, with the version where the event names one; the log says so."""
    described = describe(read_announcement(payload))

    assert ObjectCreated(BUCKET, KEY, version_id, ACCOUNT) == parse_event(payload)
    assert {"source": source, "bucket": BUCKET, "key": KEY}.items() <= described.items()


HARD = 'input/lab2/eventdriven/dt=2026-11-24/run=05:20/it\'s a "green" + yellow 100%25 (été) 🚕.csv'


@pytest.mark.parametrize("key", [HARD, " green.csv", "green.csv ", " ", "\tgreen.csv\n", "\u00a0green.csv\u3000"])
def test_a_key_is_taken_verbatim(key: str) -> None:
    """Nothing is decoded and nothing stripped: S3 keeps a plus, a %25 and a blank at either end."""
    recorded = event(RECORDED, detail__requestParameters={"bucketName": BUCKET, "key": key})
    found = [getattr(parse_event(one), "key", None) for one in (event(detail__object={"key": key}), recorded)]

    assert [key, key] == found


DENIED = "cloudtrail-put-object-access-denied"
# A key where CloudTrail has it is not the key of a native event's object.
CROSSED = event("malformed-no-key", detail__requestParameters={"bucketName": BUCKET, "key": KEY})
ENVELOPE = "`source` and `detail-type` must be non-empty strings"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        # Other events and failed calls are skips with a reason, in the words of the event.
        (event("object-deleted"), "not_an_arrival: 'Object Deleted' from 'aws.s3' announces no new object"),
        (event(source="my.own"), "not_an_arrival: 'Object Created' from 'my.own'"),
        (event(detail_type="Object Annotation Created"), "not_an_arrival: 'Object Annotation Created' from"),
        (event(RECORDED, detail__eventName="UploadPart"), "not_an_arrival: 'UploadPart' on 's3.amazonaws.com' creates"),
        (event(RECORDED, detail__eventSource="ec2.amazonaws.com"), "not_an_arrival: 'PutObject' on 'ec2.amazonaws"),
        # The code is there only when the call failed, whatever it says; such a call may lack its object.
        (event(DENIED), "failed_call: PutObject failed with 'AccessDenied': nothing was uploaded"),
        (event(DENIED, detail__requestParameters=None), "failed_call: PutObject failed with 'AccessDenied'"),
        (event(RECORDED, detail__errorCode=""), "failed_call: PutObject failed with ''"),
        (event(RECORDED, detail__errorCode=0), "failed_call: PutObject failed with 0"),
        # A guess would start the wrong thing, so it is an error that says which event and which field.
        (None, ENVELOPE),
        (event(source=""), ENVELOPE),
        (event("malformed-no-key", id="e1"), "Event 'e1' (Object Created) can't be acted on. detail.object.key: "),
        (CROSSED, "detail.object.key"),
        (event(detail=...), "detail.bucket.name: Field required; detail.object.key: Field required."),
        (event(detail="text"), "detail.object.key"),
        (event(account=...), "account"),
        (event(account=123456789012), "account"),
        (event(detail__bucket={"name": ""}), "detail.bucket.name"),
        (event(detail__object={"key": ""}), "detail.object.key"),
        (event(detail__object={"key": 7}), "detail.object.key"),
        (event(detail__object={"key": "lone \ud800 surrogate"}), "detail.object.key"),
        (event(detail__object={"key": KEY, "version-id": 3}), "detail.object.version-id"),
        (event(RECORDED, detail__requestParameters=None), "detail.requestParameters.key"),
        (event(RECORDED, detail__eventName=...), "detail.eventName: Field required."),
    ],
)
def test_what_announces_no_object_is_a_skip_or_malformed(payload: object, said: str) -> None:
    try:
        skip = parse_event(payload)
        assert isinstance(skip, Skip), skip
        told = f"{skip.reason.value}: {skip.why}"
    except MalformedEventError as error:
        told = str(error)

    assert said in told


def queued(message: object) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(message)}]}


def published(message: object) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": json.dumps(message)}}]}


S3_RECORDS = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "a+b.csv"}}}]}
HINTED: dict[str, list[object]] = {
    "inside a message of SQS or SNS: let the rule invoke this function itself": [
        queued(event()),
        queued(event(RECORDED)),
        published(event()),
        queued({"Type": "Notification", "Message": json.dumps(event())}),
    ],
    "a classic S3, SNS or SQS notification: turn on EventBridge": [
        S3_RECORDS,
        queued(S3_RECORDS),
        published(S3_RECORDS),
        {"Records": [{"eventSource": "aws:sqs", "body": "no JSON: {"}]},
        {"Records": [{"eventSource": "aws:sqs", "body": "[" * 100_000}]},
        {"Records": []},
    ],
    "the event to send again is its requestPayload": [{"version": "1.0", "requestPayload": event()}],
    "an event's detail alone: take InputPath": [event()["detail"], event(RECORDED)["detail"]],
    "It is a list": [[event()], [{"messageId": "1", "body": json.dumps(event())}], []],
    "It is a text": [json.dumps(event()), ""],
    "Invoke this function from an EventBridge rule": [{}, None, 7],
}


@pytest.mark.parametrize("hint", HINTED)
def test_what_is_no_event_is_told_what_it_looks_like(hint: str) -> None:
    """With what to do: only a classic notification is a reason to turn on EventBridge."""
    for payload in HINTED[hint]:
        with pytest.raises(MalformedEventError, match=hint):
            parse_event(payload)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (event("object-created-put-versioned"), {"version_id": "0jhWJlTPTYpQHbxVSOBaXu24ymxmDmWl"}),
        (event("object-created-replayed"), {"replay_name": "after-the-outage-of-20-november"}),
        (event("malformed-no-key"), {"source": "native", "bucket": BUCKET, "key": None}),
        (event(RECORDED, source="my.own"), {"source": "other", "bucket": BUCKET, "key": KEY}),
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


@given(json_values | mutated())
def test_any_payload_ends_as_arrival_skip_or_malformed(payload: object) -> None:
    """Whatever comes, parsing never fails in another way, and there is always something to log."""
    with contextlib.suppress(MalformedEventError):
        assert isinstance(parse_event(payload), ObjectCreated | Skip)
    assert all(isinstance(value, str) for value in describe(read_announcement(payload)).values())
