"""The stack that the template becomes: by reviewed files, and by what is true of every stack."""

import difflib
import json
import re
from typing import Any

import pytest

from tests.unit.permissions import ANY, MAY, statements
from tests.unit.resolved import OTHER, PARAMETERS, RESOURCES, REVIEWED, follows, reviewed, takes, written
from tools.template import deployed

CONSOLE = "console.aws.amazon.com"
ARCHIVE = re.compile(r"arrivals-[0-9a-f-]{36}")  # of the stack's id, so no two are alike
# What every resource of a kind says of itself, so that none is left out.
NEEDED = {
    "AWS::S3::Bucket": {"BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls"},
    "AWS::Logs::LogGroup": {"LogGroupName", "RetentionInDays"},
    "AWS::Serverless::Function": {"Handler", "LoggingConfig", "Description"},
    "AWS::Serverless::StateMachine": {"Type", "Tracing", "Logging"},
}
HAVE_ROLES = {"AWS::IAM::Role", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"}


@pytest.mark.parametrize(("name", "content"), [("defaults", reviewed(deployed())), ("follows", follows())])
def test_the_stack_is_the_reviewed_one(name: str, content: Any) -> None:
    """Any change of the template shows here as what it does to the stack; if it is meant: `make resolved`."""
    before, now = (REVIEWED / f"{name}.yaml").read_text().splitlines(), written(content).splitlines()
    changes = "\n".join(difflib.unified_diff(before, now, "reviewed", "now", n=2, lineterm=""))

    assert not changes, f"If this is meant, run `make resolved` and review it:\n{changes}"
    assert "${" not in "\n".join(now), "the template does not give what a definition uses"


def test_every_parameter_is_tried_with_another_value() -> None:
    """One that its own constraints allow, and no default; it changes something."""
    assert OTHER.keys() == PARAMETERS.keys()
    assert [] == [change for change, found in follows().items() if not found]
    assert [] == [
        name
        for name, value in OTHER.items()
        if not all(takes(name, str(one)) for one in (value if isinstance(value, list) else [value]))
    ]


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
    expected = json.dumps(reviewed(deployed())).replace("arn:aws:", f"arn:{partition}:")
    for word, own in words.items():
        expected = expected.replace(word, own)
    found = json.dumps(reviewed(deployed(name, partition)))

    assert ARCHIVE.sub("", expected) == ARCHIVE.sub("", found)
    assert (name == "glueworkshop") == (ARCHIVE.findall(expected) == ARCHIVE.findall(found)), "the archive's own name"


@pytest.mark.parametrize("kind", NEEDED)
def test_no_resource_of_a_kind_is_left_out(kind: str) -> None:
    """A new one is as private, as bounded and as visible as the others."""
    missing = {name: NEEDED[kind] - one["Properties"].keys() for name, one in RESOURCES.items() if one["Type"] == kind}

    assert missing
    assert {} == {name: names for name, names in missing.items() if names}


@pytest.mark.parametrize("owner", [name for name, one in RESOURCES.items() if one["Type"] in HAVE_ROLES])
def test_every_granted_action_is_needed(owner: str) -> None:
    """Each has a row in the table; only log delivery and tracing know no narrower resource than all."""
    narrow = [one for one in statements(owner) if one.get("Sid") != "DeliverLogsAndTraces"]
    granted = {
        name for one in narrow for name in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    needed = {action for action, what in MAY[owner].items() if what != [ANY]}

    assert needed == granted - {"glue:GetJobRuns"}
    assert [] == [one for one in narrow if one["Resource"] in (ANY, [ANY])]
    # It would be none of these statements, and AWS's own for Glue allows glue:* on everything.
    assert "ManagedPolicyArns" not in RESOURCES[owner]["Properties"]
