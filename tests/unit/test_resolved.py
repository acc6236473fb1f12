"""The stack that the template becomes: by reviewed files, and by what is true of every stack."""

import difflib
import json
import re
from typing import Any

import pytest

from tests.unit.resolved import OTHER, PARAMETERS, REVIEWED, follows, reviewed, stack, written

CONSOLE = "console.aws.amazon.com"
ARCHIVE = re.compile(r"arrivals-[0-9a-f-]{36}")  # of the stack's id, so no two are alike
# What every resource of a kind says of itself, so that none is left out.
NEEDED = {
    "AWS::S3::Bucket": {"BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls"},
    "AWS::Logs::LogGroup": {"LogGroupName", "RetentionInDays"},
    "AWS::Serverless::Function": {"Handler", "LoggingConfig", "Description"},
    "AWS::Serverless::StateMachine": {"Type", "Tracing", "Logging"},
}


@pytest.mark.parametrize(("name", "content"), [("defaults", reviewed(stack())), ("follows", follows())])
def test_the_stack_is_the_reviewed_one(name: str, content: Any) -> None:
    """Any change of the template shows here as what it does to the stack; if it is meant: `make resolved`."""
    before, now = (REVIEWED / f"{name}.yaml").read_text().splitlines(), written(content).splitlines()
    changes = "\n".join(difflib.unified_diff(before, now, "reviewed", "now", n=2, lineterm=""))

    assert not changes, f"If this is meant, run `make resolved` and review it:\n{changes}"


def test_every_parameter_is_tried_with_another_value() -> None:
    """One that its own constraints allow, and no default; it changes something."""
    assert OTHER.keys() == PARAMETERS.keys()
    assert [] == [change for change, found in follows().items() if not found]
    for name, value in OTHER.items():
        declared = PARAMETERS[name]
        assert str(value) != str(declared["Default"]), name
        for one in value if isinstance(value, list) else [value]:
            assert re.search(declared.get("AllowedPattern", ""), str(one)), name
        assert str(value) in map(str, declared.get("AllowedValues", [value])), name
        assert "MinValue" not in declared or declared["MinValue"] <= int(str(value)), name


@pytest.mark.parametrize(
    ("name", "partition", "words"),
    [
        ("other", "aws", {"glueworkshop": "other"}),
        ("glueworkshop", "aws-cn", {"us-east-2": "cn-north-1", CONSOLE: "console.amazonaws.cn"}),
        ("glueworkshop", "aws-us-gov", {"us-east-2": "us-gov-west-1", CONSOLE: "console.amazonaws-us-gov.com"}),
    ],
)
def test_another_stack_differs_in_its_own_words_alone(name: str, partition: str, words: dict[str, str]) -> None:
    """Nothing of the default stack's name, region and partition is written out."""
    expected = json.dumps(reviewed(stack())).replace("arn:aws:", f"arn:{partition}:")
    for word, own in words.items():
        expected = expected.replace(word, own)
    found = json.dumps(reviewed(stack(name, partition)))

    assert ARCHIVE.sub("", expected) == ARCHIVE.sub("", found)
    assert (name == "glueworkshop") == (ARCHIVE.findall(expected) == ARCHIVE.findall(found))


@pytest.mark.parametrize("kind", NEEDED)
def test_no_resource_of_a_kind_is_left_out(kind: str) -> None:
    """A new one is as private, as bounded and as visible as the others."""
    missing = {
        name: NEEDED[kind] - one["Properties"].keys()
        for name, one in stack()["Resources"].items()
        if one["Type"] == kind
    }

    assert missing
    assert {} == {name: names for name, names in missing.items() if names}
