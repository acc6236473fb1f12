"""The parameters of the template: which values they take. Where each arrives is in the reviewed `follows.yaml`."""

import re

import pytest

from artifact import route_files
from shared.domain.windows import LONGEST_WINDOW
from tests.unit.resolved import PARAMETERS, stack

ATTACHED = "arn:aws:states:us-east-2:123456789012:stateMachine:Attached"
JOB = "arn:aws:glue:us-east-2:123456789012:job/sales"
KEY = "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        (
            "SourceBucketName",
            ["", "abc", "a.b-c.1", "a" * 63],
            ["ab", "a" * 64, "-abc", "abc.", "a_bc", "Abc", "s3://abc"],
        ),
        (
            "SourceKmsKeyArn",
            ["", KEY, KEY.replace("aws", "aws-cn")],
            [KEY.replace("key/", "alias/"), "1234abcd", f"{KEY}/*"],
        ),
        # Empty: the whole bucket.
        ("SourcePrefix", ["", "input/", "a", "dt=2026 11/é"], ["/input/", "*", "?a", "-a"]),
        ("JobName", ["a", "a.b_c-D1", "a" * 255], ["", "-a", "a b", "a/b", "a" * 256]),
        ("TargetPrefix", ["target", "target/a b"], ["", "/target", "-target"]),
        (
            "StateMachineArn",
            ["", ATTACHED, f"{ATTACHED}:3", f"{ATTACHED}:live", ATTACHED.replace("aws", "aws-us-gov")],
            ["Attached", ATTACHED.replace("stateMachine", "execution"), f"{ATTACHED}:a:b", f"{ATTACHED}*"],
        ),
        # Each of a list is matched alone.
        ("RouteStateMachineArns", ["", ATTACHED], ["Attached", f"{ATTACHED}:live", f"{ATTACHED}*", f"{ATTACHED}?"]),
        (
            "RouteJobArns",
            ["", JOB, f"{JOB} of today"],
            ["sales", f"{JOB}*", f"{JOB}?", JOB.replace("job/", "trigger/")],
        ),
        ("AlarmEmail", ["", "on-call@example.com"], ["on-call", "a@b, c@d", "a b@example.com", "a@b@c"]),
        (
            "BackfillFrom",
            ["", "2026-11-24T05:20Z", "2026-11-24T05:20:01+05:30"],
            ["2026-11-24", "PT1H", "2026-11-24T05:20:00"],
        ),
        (
            "BackfillLookback",
            ["P2D", "PT26H", "PT90M", "P1DT2H3M", "P1DT5M", "PT1H1M"],
            ["", "26", "P1W", "PT26S", "P1DT", "P", "PT"],
        ),
    ],
)
def test_a_parameter_takes_what_it_means_and_nothing_else(parameter: str, good: list[str], bad: list[str]) -> None:
    """CloudFormation matches the whole value before it makes anything."""
    pattern = PARAMETERS[parameter]["AllowedPattern"]

    assert [] == [value for value in good if not re.fullmatch(pattern, value)]
    assert [] == [value for value in bad if re.fullmatch(pattern, value)]
    assert re.fullmatch(pattern, PARAMETERS[parameter]["Default"])


def test_every_parameter_has_its_values_checked() -> None:
    """By a pattern, by bounds or by a list; a name of a bucket with wildcards and an expression are AWS's to check."""
    unchecked = {
        name for name, one in PARAMETERS.items() if not {"AllowedPattern", "MinValue", "AllowedValues"} & one.keys()
    }

    assert {"ArtifactBucketName", "BackfillSchedule"} == unchecked


def test_bounds_are_those_of_the_code() -> None:
    """What a route file may say, the template may; each default is within, and no archive is kept for ever."""
    bounds = {name: (one["MinValue"], one.get("MaxValue")) for name, one in PARAMETERS.items() if "MinValue" in one}

    assert (route_files.FEWEST_DPUS, route_files.MOST_DPUS) == bounds["GlueMaxCapacityDpus"]
    assert (0, LONGEST_WINDOW) == bounds["WindowSeconds"]
    assert 1 == bounds["ArchiveRetentionDays"][0] == bounds["GlueMaxConcurrentRuns"][0]
    for name, (least, most) in bounds.items():
        assert least <= PARAMETERS[name]["Default"] <= (most or PARAMETERS[name]["Default"]), name


@pytest.mark.parametrize("target", ["curated/sales", "curated/sales/"])
def test_a_targets_folder_is_the_same_with_and_without_a_slash(target: str) -> None:
    """Old versions expire of exactly what lies in it."""
    bucket = stack(parameters={"TargetPrefix": target})["Resources"]["SourceBucket"]["Properties"]
    rules = bucket["LifecycleConfiguration"]["Rules"]

    assert ["curated/sales/"] == [one["Prefix"] for one in rules if "NoncurrentVersionExpiration" in one]
