"""The parameters of the template and the stacks of samconfig.toml; `follows.yaml` has where each value arrives."""

import shlex
from collections import Counter
from typing import Any

import pytest

from artifact import route_files
from shared.domain.windows import LONGEST_WINDOW
from tests.integration import account
from tests.unit.builders import BUCKET, MACHINE, REPOSITORY
from tests.unit.resolved import CONFIGURATIONS, PARAMETERS, overrides, takes
from tools.template import deployed

ATTACHED = "arn:aws:states:us-east-2:123456789012:stateMachine:Attached"
JOB = "arn:aws:glue:us-east-2:123456789012:job/sales"
KEY = "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
TAKEN: dict[str, list[str]] = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    "SourceBucketName": ["", "abc", "a.b-c.1", "a" * 63],
    "SourceKmsKeyArn": ["", KEY, KEY.replace("aws", "aws-cn")],
    # Empty: the whole bucket.
    "SourcePrefix": ["", "input/", "a", "dt=2026 11/é"],
    "JobName": ["a", "a.b_c-D1", "a" * 255],
    "TargetPrefix": ["target", "target/a b"],
    "StateMachineArn": ["", ATTACHED, f"{ATTACHED}:3", f"{ATTACHED}:live", ATTACHED.replace("aws", "aws-us-gov")],
    # Each of a list is matched alone.
    "RouteStateMachineArns": ["", ATTACHED],
    "RouteJobArns": ["", JOB, f"{JOB} of today"],
    "AlarmEmail": ["", "on-call@example.com"],
    "BackfillFrom": ["", "2026-11-24T05:20Z", "2026-11-24T05:20:01+05:30"],
    "BackfillLookback": ["P2D", "PT26H", "PT90M", "P1DT2H3M", "P1DT5M", "PT1H1M"],
    "ExpectationSchedule": ["", "rate(1 minute)", "rate(10 minutes)"],
}
REFUSED: dict[str, list[str]] = {
    "SourceBucketName": ["ab", "a" * 64, "-abc", "abc.", "a_bc", "Abc", "s3://abc"],
    "SourceKmsKeyArn": [KEY.replace("key/", "alias/"), "1234abcd", f"{KEY}/*"],
    "SourcePrefix": ["/input/", "*", "?a", "-a"],
    "JobName": ["", "-a", "a b", "a/b", "a" * 256],
    "TargetPrefix": ["", "/target", "-target"],
    "StateMachineArn": ["Attached", ATTACHED.replace("stateMachine", "execution"), f"{ATTACHED}:a:b", f"{ATTACHED}*"],
    "RouteStateMachineArns": ["Attached", f"{ATTACHED}:live", f"{ATTACHED}*", f"{ATTACHED}?"],
    "RouteJobArns": ["sales", f"{JOB}*", f"{JOB}?", JOB.replace("job/", "trigger/")],
    "AlarmEmail": ["on-call", "a@b, c@d", "a b@example.com", "a@b@c"],
    "BackfillFrom": ["2026-11-24", "PT1H", "2026-11-24T05:20:00"],
    "BackfillLookback": ["", "26", "P1W", "PT26S", "P1DT", "P", "PT"],
    # OverdueAlarm would miss a datapoint.
    "ExpectationSchedule": ["rate(15 minutes)", "rate(1 hour)", "cron(0 6 * * ? *)"],
}
# What a route file may say, the template may; no archive is kept for ever.
BOUNDS = {
    "GlueMaxCapacityDpus": (route_files.FEWEST_DPUS, route_files.MOST_DPUS),
    "WindowSeconds": (0, LONGEST_WINDOW),
    "ArchiveRetentionDays": (1, None),
    "GlueMaxConcurrentRuns": (1, 1000),
}
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


def test_a_parameter_takes_what_it_means_and_nothing_else() -> None:
    """A default that its own parameter refuses is cfn-lint's to find."""
    assert [] == [(name, value) for name, values in TAKEN.items() for value in values if not takes(name, value)]
    assert [] == [(name, value) for name, values in REFUSED.items() for value in values if takes(name, value)]


def test_every_parameter_has_its_values_checked() -> None:
    """By a pattern, by bounds or by a list; a name of a bucket with wildcards and an expression are AWS's to check."""
    checks = {"AllowedPattern", "MinValue", "AllowedValues"}

    unchecked = {name for name, one in PARAMETERS.items() if not checks & one.keys()}
    assert {"ArtifactBucketName", "BackfillSchedule"} == unchecked
    assert BOUNDS == {name: (PARAMETERS[name]["MinValue"], PARAMETERS[name].get("MaxValue")) for name in BOUNDS}
    assert {name for name, one in PARAMETERS.items() if "AllowedPattern" in one} == TAKEN.keys()


@pytest.mark.parametrize("target", ["curated/sales", "curated/sales/"])
def test_a_targets_folder_is_the_same_with_and_without_a_slash(target: str) -> None:
    """Old versions expire of exactly what lies in it."""
    bucket = deployed(TargetPrefix=target)["Resources"]["SourceBucket"]["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]

    assert ["curated/sales/"] == [one["Prefix"] for one in rules if "NoncurrentVersionExpiration" in one]


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
    found = names(deployed("s" * characters))

    assert LONGEST.keys() == {kind for kind, _ in found}
    too_long = [name for kind, name in found if len(name) > LONGEST[kind]]
    assert fits == (not too_long), too_long
    assert "49 characters" in (REPOSITORY / "docs" / "deploy.md").read_text()


def test_no_two_stacks_share_a_name() -> None:
    """A second stack that wants the name of the first one's Glue job, rule or log group can't be made."""
    found = Counter(
        name
        for configuration, one in CONFIGURATIONS.items()
        for name in names(deployed(one["global"]["parameters"]["stack_name"], **overrides(configuration)))
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
    assert [] == [one for one in overrides(configuration).items() if not takes(*one)]


def test_sam_local_pretends_to_be_the_stack_of_the_events() -> None:
    """Its bucket and machine are those that the files of events/ and the tests name."""
    given = CONFIGURATIONS["default"]["local_invoke"]["parameters"]["parameter_overrides"]

    assert {"SourceBucketName": BUCKET, "StateMachineArn": MACHINE} == dict(
        one.split("=", 1) for one in shlex.split(given)
    )
