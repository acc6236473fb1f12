"""The template's two rules, checked with the files of events/ that they are meant for."""

from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.unit.builders import BUCKET, EVENTS, KEY, event
from tests.unit.resolved import FUNCTIONS, TEMPLATE, stack

RULES = {
    name: one["Properties"]["Pattern"]
    for name, one in FUNCTIONS["StartExecutionFunction"]["Events"].items()
    if one["Type"] == "EventBridgeRule"
}
BROUGHT_BY_NONE = {"object-deleted", "malformed-no-key"}


def deployed(node: Any) -> Any:
    """Resolve the intrinsic functions of a pattern as a deployment without parameters does."""
    if node == ["MakeBucket", "SourceBucket", "SourceBucketName"]:
        return BUCKET
    if node == {"prefix": "SourcePrefix"}:
        return {"prefix": TEMPLATE["Parameters"]["SourcePrefix"]["Default"]}
    if isinstance(node, dict):
        return {name: deployed(value) for name, value in node.items()}
    return [deployed(value) for value in node] if isinstance(node, list) else node


def matches(pattern: Any, payload: Any) -> bool:
    """Return whether a resolved pattern matches an event."""
    matched: bool = EventPattern(None, pattern).matches_event(payload)  # type: ignore[no-untyped-call, unused-ignore]
    return matched


def matching(payload: Any) -> list[str]:
    """Name the rules that would bring an event to the function."""
    return [name for name, pattern in RULES.items() if matches(deployed(pattern), payload)]


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_brought_by_the_rule_of_its_kind(name: str) -> None:
    """A native event comes by one rule, a recorded call by the other, and what is no arrival by none."""
    expected = "ApiCall" if name.startswith("cloudtrail") else "ObjectCreated"

    assert ([] if name in BROUGHT_BY_NONE else [expected]) == matching(event(name))


# File of events/: what its name says of it, by path. Whoever tries one with `sam local invoke` tries that.
SAYS: dict[str, dict[str, object]] = {
    "object-created-put": {"reason": "PutObject"},
    "object-created-put-versioned": {"reason": "PutObject", "object.version-id": str},
    "object-created-complete-multipart-upload": {"reason": "CompleteMultipartUpload"},
    "object-created-copy-object": {"reason": "CopyObject"},
    "object-created-post-object": {"reason": "POST Object"},
    "object-created-folder-marker": {"object.key": "input/lab2/eventdriven/"},
    "object-created-zero-bytes": {"object.size": 0},
    "object-created-key-characters": {
        "object.key": 'input/lab2/eventdriven/dt=2026-11-24/run=05:20/it\'s a "green" + yellow 100%25 (été) 🚕.csv'
    },
    "object-created-replayed": {"reason": "PutObject"},
    "object-created-service-principal": {"requester": "s3.amazonaws.com"},
    "object-deleted": {"reason": "DeleteObject"},
    "malformed-no-key": {"object.key": None},
    "cloudtrail-put-object": {"eventName": "PutObject", "errorCode": None},
    "cloudtrail-put-object-console": {"eventName": "PutObject", "errorCode": None},
    "cloudtrail-put-object-access-denied": {"eventName": "PutObject", "errorCode": "AccessDenied"},
    "cloudtrail-copy-object": {"eventName": "CopyObject", "errorCode": None},
    "cloudtrail-complete-multipart-upload": {"eventName": "CompleteMultipartUpload", "errorCode": None},
}


def test_every_file_of_events_is_in_the_table() -> None:
    """And every row has its file; the replayed one is told by its name alone."""
    assert SAYS.keys() == EVENTS.keys()
    assert {"object-created-replayed"} == {name for name in EVENTS if "replay-name" in event(name)}


@pytest.mark.parametrize("name", SAYS)
def test_an_event_is_what_its_file_is_called(name: str) -> None:
    """Down to the field that makes the difference; None where there must be none."""
    for path, expected in SAYS[name].items():
        found: Any = event(name)["detail"]
        for part in path.split("."):
            found = found.get(part)
        assert isinstance(found, str) if expected is str else expected == found, path


@pytest.mark.parametrize("call", ["PutObject", "PostObject", "CopyObject", "CompleteMultipartUpload"])
def test_all_four_ways_of_creating_an_object_are_brought(call: str) -> None:
    """The workshop's rule knew PutObject alone, and lost every large file."""
    assert ["ApiCall"] == matching(event("cloudtrail-put-object", detail__eventName=call))


@pytest.mark.parametrize(
    "other",
    [
        event(detail__bucket={"name": "other"}),
        event(detail__object={"key": "input/lab3/green_tripdata.csv"}),
        event(detail__object={"key": f"/{KEY}"}),
        event(source="my.own"),
        event(detail_type="Object Annotation Created"),
        event(detail_type="Object Restore Completed"),
        event(detail_type="Object Deleted"),
        event("cloudtrail-put-object", detail__eventName="UploadPart"),
        event("cloudtrail-put-object", detail__eventSource="s3express.amazonaws.com"),
        event("cloudtrail-put-object", detail__requestParameters={"bucketName": "other", "key": KEY}),
        event("cloudtrail-put-object", detail__requestParameters={"bucketName": BUCKET, "key": "input/lab3/x"}),
        # An access point of this bucket: its native event has the bucket's name (docs/decisions.md, known limits).
        event(
            "cloudtrail-put-object",
            detail__requestParameters={"bucketName": "arn:aws:s3:us-east-2:123456789012:accesspoint/in", "key": KEY},
        ),
        event("cloudtrail-put-object", detail__requestParameters=None),
    ],
)
def test_what_is_not_this_stacks_costs_no_invocation(other: dict[str, Any]) -> None:
    """Another bucket, prefix or kind of event is dropped by the rules already."""
    assert [] == matching(other)


@pytest.mark.parametrize("name", EVENTS)
def test_the_archive_keeps_what_the_rules_bring_and_no_more(name: str) -> None:
    """Of either source, so that a replay brings all of it again; what is kept costs by its bytes."""
    pattern = deployed(TEMPLATE["Resources"]["Archive"]["Properties"]["EventPattern"])

    assert bool(matching(event(name))) == matches(pattern, event(name))


def status_change(**changes: str) -> dict[str, Any]:
    """Make what Step Functions tells of an execution, as its page on EventBridge has it."""
    detail = {"executionArn": "arn:e", "stateMachineArn": "Workflow", "name": "e", "status": "FAILED", "input": "{}"}
    return {
        "source": "aws.states",
        "detail-type": changes.pop("detail_type", "Step Functions Execution Status Change"),
        "detail": detail | changes,
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"status": "FAILED"}, True),
        ({"status": "TIMED_OUT"}, True),
        ({"status": "ABORTED"}, True),
        ({"status": "RUNNING"}, False),
        ({"status": "SUCCEEDED"}, False),
        # The waiting for a redrive is no second failure.
        ({"status": "PENDING_REDRIVE"}, False),
        ({"stateMachineArn": "BackfillStateMachine"}, False),
        ({"detail_type": "Step Functions Map Run Status Change"}, False),
    ],
)
def test_a_file_that_was_not_transformed_is_told(change: dict[str, str], *, told: bool) -> None:
    """Whichever way its execution ended, and no other machine's."""
    pattern = stack()["Resources"]["FailureRule"]["Properties"]["EventPattern"]

    assert told == matches(pattern, status_change(**change))
