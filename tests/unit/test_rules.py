"""What the template's rules and its archive match, by the files of events/ that they are meant for."""

from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.unit.builders import BUCKET, EVENTS, KEY, event
from tools.template import deployed

RESOURCES = deployed(SourceBucketName=BUCKET)["Resources"]
RULES = {
    name: one["Properties"]["Pattern"]
    for name, one in RESOURCES["StartExecutionFunction"]["Properties"]["Events"].items()
}
BROUGHT_BY_NONE = {"object-deleted", "malformed-no-key"}
CALL = "cloudtrail-put-object"


def matches(pattern: Any, payload: Any) -> bool:
    """Return whether a pattern matches an event."""
    matched: bool = EventPattern(None, pattern).matches_event(payload)  # type: ignore[no-untyped-call, unused-ignore]
    return matched


def matching(payload: Any) -> list[str]:
    """Name the rules that would bring an event to the function."""
    return [name for name, pattern in RULES.items() if matches(pattern, payload)]


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_brought_by_the_rule_of_its_kind(name: str) -> None:
    """A native event by one rule, a recorded call by the other, what is no arrival by none; the archive keeps the same."""
    expected = "ApiCall" if name.startswith("cloudtrail") else "ObjectCreated"
    archived = matches(RESOURCES["Archive"]["Properties"]["EventPattern"], event(name))

    assert ([] if name in BROUGHT_BY_NONE else [expected]) == matching(event(name))
    # A replay brings all of it again; what is kept costs by its bytes.
    assert archived == (name not in BROUGHT_BY_NONE)


@pytest.mark.parametrize(
    "other",
    [
        event(detail__bucket={"name": "other"}),
        event(detail__object={"key": "input/lab3/green_tripdata.csv"}),
        event(detail__object={"key": f"/{KEY}"}),
        event(source="my.own"),
        *(event(detail_type=f"Object {what}") for what in ("Annotation Created", "Restore Completed", "Deleted")),
        event(CALL, detail__eventName="UploadPart"),
        event(CALL, detail__eventSource="s3express.amazonaws.com"),
        event(CALL, detail__requestParameters={"bucketName": "other", "key": KEY}),
        event(CALL, detail__requestParameters={"bucketName": BUCKET, "key": "input/lab3/x"}),
        # An access point of this bucket: its native event has the bucket's name (docs/decisions.md, known limits).
        event(CALL, detail__requestParameters={"bucketName": "arn:aws:s3:us-east-2:1:accesspoint/in", "key": KEY}),
        event(CALL, detail__requestParameters=None),
    ],
)
def test_what_is_not_this_stacks_costs_no_invocation(other: dict[str, Any]) -> None:
    """Another bucket, prefix or kind of event is dropped by the rules already."""
    assert [] == matching(other)
