"""The template's two rules, checked with the files of events/ that they are meant for."""

from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.unit.builders import BUCKET, EVENTS, KEY, event
from tests.unit.test_template import FUNCTIONS, TEMPLATE

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


def matching(payload: Any) -> list[str]:
    """Name the rules that would bring an event to the function."""
    return [
        name
        for name, pattern in RULES.items()
        if EventPattern(None, deployed(pattern)).matches_event(payload)  # type: ignore[no-untyped-call, unused-ignore]
    ]


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_brought_by_the_rule_of_its_kind(name: str) -> None:
    """A native event comes by one rule, a recorded call by the other, and what is no arrival by none."""
    expected = "ApiCall" if name.startswith("cloudtrail") else "ObjectCreated"

    assert ([] if name in BROUGHT_BY_NONE else [expected]) == matching(event(name))


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
        event("cloudtrail-put-object", detail__eventName="UploadPart"),
        event("cloudtrail-put-object", detail__eventSource="s3express.amazonaws.com"),
        event("cloudtrail-put-object", detail__requestParameters={"bucketName": "other", "key": KEY}),
        event("cloudtrail-put-object", detail__requestParameters={"bucketName": BUCKET, "key": "input/lab3/x"}),
        event("cloudtrail-put-object", detail__requestParameters=None),
    ],
)
def test_what_is_not_this_stacks_costs_no_invocation(other: dict[str, Any]) -> None:
    """Another bucket, prefix or kind of event is dropped by the rules already."""
    assert [] == matching(other)
