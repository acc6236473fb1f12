"""The parameters of the template: where each one arrives, which values it takes, and what the stack tells in return.

Written by hand beside the reviewed files of `resolved/`, which `make resolved` writes again after any change.
"""

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.unit.resolved import OTHER, PARAMETERS, leaves, stack

ENVIRONMENT = "Globals.Function.Environment.Variables."
LIVE, BATCH, JOB_ROLE = ("Resources.StartExecutionFunction", "Resources.BackfillBatchFunction", "Resources.GlueJobRole")
# Parameter: the paths at which another value of it stands, alone or in a text. All of them: it arrives nowhere else.
ARRIVES: dict[str, list[str]] = {
    "SourceBucketName": [
        f"{ENVIRONMENT}SOURCE_BUCKET_NAME",
        f"{LIVE}*.Events.ObjectCreated.Properties.Pattern.detail.bucket.name[[]0]",
        f"{LIVE}*.Events.ApiCall.Properties.Pattern.detail.requestParameters.bucketName[[]0]",
        "Resources.Archive*.bucket.name[[]0]",
        "Resources.Archive*.requestParameters.bucketName[[]0]",
        f"{LIVE}*[[]LookAtTheObject].Resource",
        f"{LIVE}*[[]TellMissingFromForbidden].Resource",
        f"{BATCH}*[[]LookAtTheObject].Resource",
        f"{BATCH}*[[]TellMissingFromForbidden].Resource",
        "Resources.BackfillRequestFunction*[[]TellMissingFromForbidden].Resource",
        "Resources.BackfillStateMachine*[[]TellMissingFromForbidden].Resource",
        "Resources.CollectWindowFunction*[[]ListTheFolder].Resource",
        f"{JOB_ROLE}*[[]ReadTheBucket].Resource",
        f"{JOB_ROLE}*[[]WriteTheTarget].Resource[[]0]",
        f"{JOB_ROLE}*[[]WriteTheTarget].Resource[[]1]",
        f"{JOB_ROLE}*[[]FindTheBuckets].Resource[[]0]",
        f"{JOB_ROLE}*[[]TellMissingFromForbidden].Resource",
        "Outputs.SourceBucketName.Value",
    ],
    "SourceKmsKeyArn": ["Resources.SourceBucket*.KMSMasterKeyID", f"{JOB_ROLE}*[[]UseTheKey].Resource"],
    "SourcePrefix": [
        f"{ENVIRONMENT}SOURCE_PREFIX",
        f"{LIVE}*.Events.ObjectCreated.Properties.Pattern.detail.object.key[[]0].prefix",
        f"{LIVE}*.Events.ApiCall.Properties.Pattern.detail.requestParameters.key[[]0].prefix",
        "Resources.Archive*.object.key[[]0].prefix",
        "Resources.Archive*.requestParameters.key[[]0].prefix",
        f"{LIVE}*[[]LookAtTheObject].Resource",
        f"{BATCH}*[[]LookAtTheObject].Resource",
        "Resources.CollectWindowFunction*[[]ListTheFolder].Condition.StringLike.s3:prefix",
    ],
    "JobName": [f"{ENVIRONMENT}JOB_NAME", "Resources.GlueJob.Properties.Name"],
    "TargetPrefix": [
        f"{ENVIRONMENT}TARGET_PREFIX",
        "Resources.SourceBucket*[[]forget-old-versions-of-the-output].Prefix",
        f"{JOB_ROLE}*[[]WriteTheTarget].Resource[[]0]",
    ],
    "GlueMaxCapacityDpus": [f"{ENVIRONMENT}GLUE_MAX_CAPACITY_DPUS", "Resources.GlueJob.Properties.NumberOfWorkers"],
    "GlueMaxConcurrentRuns": ["Resources.GlueJob.Properties.ExecutionProperty.MaxConcurrentRuns"],
    "WindowSeconds": [f"{ENVIRONMENT}WINDOW_SECONDS"],
    # Its alias too, which the grants leave out: IAM goes by the machine.
    "StateMachineArn": [f"{ENVIRONMENT}STATE_MACHINE_ARN", "Outputs.StateMachineArn.Value"],
    "RouteStateMachineArns": [
        f"{LIVE}*[[]StartTheMachinesOfRoutes].Resource[[]?]",
        f"{BATCH}*[[]StartTheMachinesOfRoutes].Resource[[]?]",
        "Resources.CollectWindowFunction*[[]StartTheMachinesOfRoutes].Resource[[]?]",
    ],
    "RouteJobArns": ["Resources.Workflow*[[]RunTheJobsOfRoutes].Resource[[]?]"],
    "AlarmEmail": ["Resources.AlarmSubscription*.Endpoint", "Resources.FailureSubscription*.Endpoint"],
    "MaxConcurrency": [f"{LIVE}.Properties.ReservedConcurrentExecutions"],
    # Not at the build: what it makes runs on both.
    "Architecture": ["Globals.Function.Architectures[[]0]"],
    "ArtifactBucketName": [f"{JOB_ROLE}*[[]ReadTheScript].Resource", f"{JOB_ROLE}*[[]FindTheScript].Resource"],
    "ArchiveRetentionDays": ["Resources.Archive.Properties.RetentionDays"],
    "BackfillSchedule": ["Resources.BackfillScheduler.Properties.ScheduleExpression"],
    "BackfillFrom": ["Resources.BackfillScheduler.Properties.Target.Input"],
    "BackfillLookback": ["Resources.BackfillScheduler.Properties.Target.Input"],
    "LogRetentionDays": ["Resources.*LogGroup.Properties.RetentionInDays"],
    "NoArrivalHours": ["Resources.NoArrivalAlarm.Properties.EvaluationPeriods"],
}


def test_every_parameter_arrives_somewhere() -> None:
    """One that nothing reads would be a promise that nobody keeps."""
    assert PARAMETERS.keys() == ARRIVES.keys()


@pytest.mark.parametrize("parameter", ARRIVES)
def test_a_parameter_arrives_where_it_must_and_nowhere_else(parameter: str) -> None:
    """A value that is written out, or another parameter's, would be noticed by the first stack that isn't the default."""
    other_value = OTHER[parameter]
    values = other_value if isinstance(other_value, list) else [other_value]
    plain, other = dict(leaves(stack())), dict(leaves(stack(parameters={parameter: other_value})))
    found = {
        path
        for path, leaf in other.items()
        if plain.get(path) != leaf
        if any(leaf == value or (isinstance(value, str) and value in str(leaf)) for value in values)
    }

    assert [] == [row for row in ARRIVES[parameter] if not any(fnmatchcase(path, row) for path in found)]
    assert set() == {path for path in found if not any(fnmatchcase(path, row) for row in ARRIVES[parameter])}


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
            ["", "26", "P1W", "PT26S", "P1DT", "P"],
        ),
    ],
)
def test_a_parameter_takes_what_it_means_and_nothing_else(parameter: str, good: list[str], bad: list[str]) -> None:
    """CloudFormation matches the whole value before it makes anything."""
    pattern = PARAMETERS[parameter]["AllowedPattern"]

    assert [] == [value for value in good if not re.fullmatch(pattern, value)]
    assert [] == [value for value in bad if re.fullmatch(pattern, value)]
    assert re.fullmatch(pattern, PARAMETERS[parameter]["Default"])


@pytest.mark.parametrize(
    ("parameter", "least", "most"),
    [
        # https://docs.aws.amazon.com/glue/latest/webapi/API_CreateJob.html: G.1X from 2 workers, at most 299.
        ("GlueMaxCapacityDpus", 2, 299),
        ("GlueMaxConcurrentRuns", 1, 1000),
        ("WindowSeconds", 0, 3600),
        ("MaxConcurrency", 0, 1000),
        # 0 would keep them for ever.
        ("ArchiveRetentionDays", 1, None),
        # A week: CloudWatch's most for periods of an hour.
        ("NoArrivalHours", 0, 168),
    ],
)
def test_a_number_has_its_bounds(parameter: str, least: int, most: int | None) -> None:
    """And its default is one of them or between."""
    declared = PARAMETERS[parameter]

    assert (least, most) == (declared["MinValue"], declared.get("MaxValue"))
    assert least <= declared["Default"] <= (most or declared["Default"])


def test_every_parameter_has_its_values_checked() -> None:
    """By a pattern, by bounds or by a list; a name of a bucket with wildcards and an expression are AWS's to check."""
    unchecked = {
        name for name, one in PARAMETERS.items() if not {"AllowedPattern", "MinValue", "AllowedValues"} & one.keys()
    }

    assert {"ArtifactBucketName", "BackfillSchedule"} == unchecked


def test_a_choice_is_one_of_awss() -> None:
    """Both processors, and every retention that CloudWatch Logs knows up to ten years."""
    # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
    days = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]

    assert (["x86_64", "arm64"], days) == (
        PARAMETERS["Architecture"]["AllowedValues"],
        PARAMETERS["LogRetentionDays"]["AllowedValues"],
    )


# What a stack without parameters takes for each: names and prices that people rely on.
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("SourceBucketName", "SourceKmsKeyArn", "StateMachineArn", "AlarmEmail", "BackfillFrom"), ""),
    **dict.fromkeys(("RouteStateMachineArns", "RouteJobArns"), ""),
    "SourcePrefix": "input/lab2/eventdriven/",
    "JobName": "ny-taxi-transformed-console-jb",
    "TargetPrefix": "target/event-transformed",
    "GlueMaxCapacityDpus": 2,
    "GlueMaxConcurrentRuns": 3,
    **dict.fromkeys(("WindowSeconds", "MaxConcurrency", "NoArrivalHours"), 0),
    "Architecture": "x86_64",
    "ArtifactBucketName": "aws-sam-cli-managed-default-samclisourcebucket-*",
    **dict.fromkeys(("ArchiveRetentionDays", "LogRetentionDays"), 30),
    "BackfillSchedule": "rate(1 day)",
    # Longer than the schedule's period by more than its flexible window.
    "BackfillLookback": "PT26H",
}


def test_a_default_is_a_promise() -> None:
    """Whoever deploys without parameters, and again with the next release, gets the same stack."""
    assert {name: one["Default"] for name, one in PARAMETERS.items()} == DEFAULTS


# Output: what it is with no parameters; and, where that differs, of a stack that is attached.
OUTPUTS = {
    "SourceBucketName": ("SourceBucket", "attached-bucket"),
    # As it was given, with its alias.
    "StateMachineArn": ("Workflow", f"{ATTACHED}:live"),
    "StartExecutionFunctionName": ("StartExecutionFunction", "StartExecutionFunction"),
    "FailureQueueUrl": ("FailureQueue", "FailureQueue"),
    "SuccessTopicArn": ("SuccessTopic", None),
    "FailureTopicArn": ("FailureTopic", None),
    "AlarmTopicArn": ("AlarmTopic", "AlarmTopic"),
    "BackfillStateMachineArn": ("BackfillStateMachine", "BackfillStateMachine"),
    "DashboardUrl": (
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/Dashboard",
    )
    * 2,
}


@pytest.mark.parametrize("attached", [False, True])
def test_an_output_is_what_its_name_says(*, attached: bool) -> None:
    """A `Ref` of a queue is its URL, of a function its name, of a topic or a machine its ARN."""
    given = {name: OTHER[name] for name in ("SourceBucketName", "StateMachineArn")} if attached else {}
    told = {name: one["Value"] for name, one in stack(parameters=given)["Outputs"].items()}
    region = {name: value.replace("us-east-2", "eu-west-1") for name, value in told.items() if name == "DashboardUrl"}

    assert {name: row[attached] for name, row in OUTPUTS.items() if row[attached]} == told | region


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ACCOUNT_ID", "123456789012"),
        ("SOURCE_BUCKET_NAME", "SourceBucket"),
        ("STATE_MACHINE_ARN", "Workflow"),
        ("WINDOW_MACHINE_ARN", "arn:aws:states:us-east-2:123456789012:stateMachine:glueworkshop-windows"),
        ("RESULTS_BUCKET_NAME", "BackfillResultsBucket"),
        # The dimension of every metric of ours.
        ("POWERTOOLS_SERVICE_NAME", "glueworkshop"),
        ("AWS_ENDPOINT_URL_S3", ""),
        ("AWS_ENDPOINT_URL_SFN", ""),
    ],
)
def test_the_functions_know_their_stack(variable: str, value: str) -> None:
    """What no parameter says; the rest is in the table above."""
    resolved = stack()

    assert value == resolved["Globals"]["Function"]["Environment"]["Variables"][variable]
    assert variable != "WINDOW_MACHINE_ARN" or value.endswith(
        f":{resolved['Resources']['WindowStateMachine']['Properties']['Name']}"
    )
