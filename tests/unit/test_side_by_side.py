"""The stacks of samconfig.toml live side by side in one account: no two want the same name."""

import re
import shlex
from collections import Counter
from typing import Any

import pytest

from tests.integration import account
from tests.unit.builders import BUCKET, MACHINE, REPOSITORY
from tests.unit.resolved import CONFIGURATIONS, PARAMETERS, overrides, stack

# Properties that name a resource for the whole account and region.
NAMES = ("DashboardName", "LogGroupName", "Name", "RuleName", "ArchiveName")
# The most characters that AWS allows in the names that the template gives.
LONGEST = {
    "EventBridgeRule": 64,
    "AWS::CloudWatch::Dashboard": 255,
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html
    "AWS::Events::Archive": 48,
    "AWS::Glue::Job": 255,
    "AWS::Logs::LogGroup": 512,
    "AWS::Logs::QueryDefinition": 255,
    "AWS::Serverless::StateMachine": 80,
}


def names(resolved: dict[str, Any]) -> list[tuple[str, str]]:
    """Return kind and name of all that the template names itself; CloudFormation makes up the others."""
    resources = list(resolved["Resources"].values())
    rules = [rule for one in resources for rule in one["Properties"].get("Events", {}).values()]
    return [
        (one["Type"], one["Properties"][name])
        for one in [*resources, *rules]
        for name in NAMES
        if name in one["Properties"]
    ]


@pytest.mark.parametrize(("characters", "fits"), [(49, True), (50, False)])
def test_a_stacks_name_may_have_49_characters(characters: int, *, fits: bool) -> None:
    """All names that are made from it are legal then, and docs/deploy.md says so."""
    found = names(stack("s" * characters))

    assert LONGEST.keys() == {kind for kind, _ in found}
    assert fits == ([] == [one for one in found if len(one[1]) > LONGEST[one[0]]])
    assert "49 characters" in (REPOSITORY / "docs" / "deploy.md").read_text()


def test_no_two_stacks_share_a_name() -> None:
    """A second stack that wants the name of the first one's Glue job, rule or log group can't be made."""
    found = Counter(
        name
        for configuration, one in CONFIGURATIONS.items()
        for name in names(stack(one["global"]["parameters"]["stack_name"], parameters=overrides(configuration)))
    )

    assert {"default", "dev", "prod", "e2e"} == CONFIGURATIONS.keys()
    assert [] == [name for name, count in found.items() if count > 1]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_tells_no_more(configuration: str) -> None:
    """No region, bucket or profile of somebody's own, nothing that keeps half a stack; values that may be."""
    one = CONFIGURATIONS[configuration]
    stack_name = one["global"]["parameters"]["stack_name"]
    # The tag lets `make e2e` in.
    more: dict[str, dict[str, object]] = {"prod": {"confirm_changeset": True}, "e2e": {"tags": "=".join(account.TAG)}}
    always: dict[str, object] = {"resolve_s3": True, "capabilities": "CAPABILITY_IAM", "fail_on_empty_changeset": False}

    assert one.keys() <= {"global", "deploy", "local_invoke"}
    assert {"stack_name": stack_name} == one["global"]["parameters"]
    # `sam delete` deletes what lies under the prefix, and the script that a job of another stack would read there.
    assert always | {"s3_prefix": stack_name} | more.get(configuration, {}) == {
        name: value for name, value in one["deploy"]["parameters"].items() if name != "parameter_overrides"
    }
    for name, value in overrides(configuration).items():
        declared = PARAMETERS[name]
        assert re.fullmatch(declared.get("AllowedPattern", ".*"), value), name
        assert value in map(str, declared.get("AllowedValues", [value])), name


def test_sam_local_pretends_to_be_the_stack_of_the_events() -> None:
    """Its bucket and machine are those that the files of events/ and the tests name."""
    given = CONFIGURATIONS["default"]["local_invoke"]["parameters"]["parameter_overrides"]

    assert {"SourceBucketName": BUCKET, "StateMachineArn": MACHINE} == dict(
        one.split("=", 1) for one in shlex.split(given)
    )
