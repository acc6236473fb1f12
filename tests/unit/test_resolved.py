"""The stack that the template becomes: whole, by reviewed files; and, with reasons, what a user would feel."""

import difflib
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.unit.resolved import OTHER, PARAMETERS, RESOLVED, defaults, follows, leaves, stack, written

DAY = 86400


@pytest.mark.parametrize(("name", "content"), [("defaults", defaults()), ("follows", follows())])
def test_the_stack_is_the_reviewed_one(name: str, content: Any) -> None:
    """Any change of the template or a definition shows here as what it does to the stack; meant: `make resolved`."""
    reviewed, now = (RESOLVED / f"{name}.yaml").read_text().splitlines(), written(content).splitlines()
    changes = "\n".join(difflib.unified_diff(reviewed, now, "reviewed", "now", n=2, lineterm=""))

    assert not changes, f"If this is meant, run `make resolved` and review it:\n{changes}"


def test_every_parameter_is_tried_with_another_value() -> None:
    """One that its own constraints allow, and no default."""
    assert OTHER.keys() == PARAMETERS.keys()
    for name, value in OTHER.items():
        declared = PARAMETERS[name]
        assert str(value) != str(declared["Default"]), name
        for one in value if isinstance(value, list) else [value]:
            assert re.search(declared.get("AllowedPattern", ""), str(one)), name
        assert str(value) in map(str, declared.get("AllowedValues", [value])), name
        assert "MinValue" not in declared or declared["MinValue"] <= int(str(value)), name


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("SourceBucketName", ["s3://bucket", "Bucket", "a"]),
        ("SourcePrefix", ["/input/", "*", "?"]),
        ("JobName", ["", "a job", "a" * 81]),
        ("TargetPrefix", ["", "/target"]),
        ("StateMachineArn", ["MyStateMachine", "arn:aws:states:us-east-2:123456789012:execution:a:b"]),
        ("AlarmEmail", ["nobody", "two@example.com, three@example.com"]),
        ("BackfillLookback", ["26", "26H", "PT26", "P1W", "PT26S", "P", "PT", "P1DT"]),
        ("BackfillFrom", ["2026-11-01", "P1D", "2026-11-01T00:00:00"]),
        ("SourceKmsKeyArn", ["0123", "arn:aws:kms:us-east-2:123456789012:alias/ours"]),
    ],
)
def test_a_bad_parameter_is_refused_before_anything_is_made(name: str, refused: list[str]) -> None:
    """CloudFormation matches the whole value by AllowedPattern."""
    for value in refused:
        assert not re.fullmatch(PARAMETERS[name]["AllowedPattern"], value), value


@pytest.mark.parametrize(
    ("parameters", "scheduled"),
    [
        ({}, True),
        ({"BackfillSchedule": ""}, False),
        ({"SourceBucketName": "attached"}, False),
        ({"SourceBucketName": "attached", "BackfillFrom": "2026-11-01T00:00:00Z"}, True),
        ({"SourceBucketName": "attached", "BackfillFrom": "2026-11-01T00:00:00Z", "BackfillSchedule": ""}, False),
    ],
)
def test_attaching_to_a_bucket_starts_nothing(parameters: dict[str, str], *, scheduled: bool) -> None:
    """What lies in it since long is left alone until somebody names the time to begin with."""
    resources = stack(parameters=parameters)["Resources"]

    assert scheduled == ("BackfillScheduler" in resources) == ("BackfillSchedulerRole" in resources)


def test_an_attached_machine_has_no_failure_mail() -> None:
    """Its owner has a way of telling; the alarms are the stack's and are mailed in any case."""
    both = {"StateMachineArn": OTHER["StateMachineArn"], "AlarmEmail": OTHER["AlarmEmail"]}
    kinds = [one["Type"] for one in stack(parameters=both)["Resources"].values()]

    assert 1 == kinds.count("AWS::SNS::Subscription")


SPECIFICATION: list[tuple[str, object, str]] = [
    # Nothing is lost.
    ("StartExecutionFunction.Properties.EventInvokeConfig.MaximumRetryAttempts", 2, "three tries in all"),
    ("StartExecutionFunction.Properties.EventInvokeConfig.MaximumEventAgeInSeconds", 21600, "throttled for six hours"),
    (
        "StartExecutionFunction.Properties.EventInvokeConfig.DestinationConfig.OnFailure.Destination",
        "FailureQueue.Arn",
        "what failed for good is kept",
    ),
    (
        "StartExecutionFunction.Properties.Events.*.Properties.DeadLetterConfig.Arn",
        "FailureQueue.Arn",
        "what could not be delivered is kept, of both rules",
    ),
    ("StartExecutionFunction.Properties.Events.*.Properties.RetryPolicy.MaximumEventAgeInSeconds", DAY, "AWS's most"),
    ("StartExecutionFunction.Properties.Events.*.Properties.RetryPolicy.MaximumRetryAttempts", 185, "AWS's most"),
    (
        "FailureRule.Properties.Targets[[]failure-topic].DeadLetterConfig.Arn",
        "FailureQueue.Arn",
        "a mail that could not be sent is kept",
    ),
    ("FailureQueue.Properties.MessageRetentionPeriod", 14 * DAY, "SQS's most: time to come back from a holiday"),
    ("SourceBucket.Properties.NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True, "events"),
    ("SourceBucket.Properties.VersioningConfiguration.Status", "Enabled", "two puts back to back are two uploads"),
    # Nothing leaks.
    ("*Bucket.Properties.PublicAccessBlockConfiguration.*", True, "no bucket is public, by any of four ways"),
    ("*Bucket.Properties.OwnershipControls.Rules[[]0].ObjectOwnership", "BucketOwnerEnforced", "no ACLs"),
    (
        "*Bucket.Properties.BucketEncryption.*.SSEAlgorithm",
        "AES256",
        "encrypted at rest",
    ),
    ("FailureQueue.Properties.SqsManagedSseEnabled", True, "the queue holds keys of files"),
    # Nobody's data is deleted with the stack.
    ("*Bucket.DeletionPolicy", "RetainExceptOnCreate", "files stay when the stack goes"),
    ("*Bucket.UpdateReplacePolicy", "Retain", "and when the bucket is replaced"),
    # Costs are bounded.
    ("*LogGroup.Properties.RetentionInDays", 30, "no log grows for ever"),
    ("GlueJob.Properties.Timeout", 120, "minutes; Glue's own default is two days"),
    ("GlueJob.Properties.MaxRetries", 0, "the workflow retries, and knows what is worth it"),
    ("GlueJob.Properties.ExecutionProperty.MaxConcurrentRuns", 3, "not the default of one at a time"),
    ("GlueJob.Properties.WorkerType", "G.1X", "one DPU a worker, so that GlueMaxCapacityDpus is what it says"),
    # Names last.
    ("*StateMachine.Properties.Type", "STANDARD", "Express has no names that last"),
    ("Workflow.Properties.Type", "STANDARD", "Express has no names that last"),
    # The workflow tells.
    ("FailureRule.Properties.Targets[[]failure-topic].Arn", "FailureTopic", "a failed file is told"),
    ("Workflow.Properties.Logging.Level", "ALL", "the story of one key can be read"),
    (
        "BackfillStateMachine.Properties.Logging.Level",
        "ERROR",
        "one line a listed object would cost more than the backfill",
    ),
    # The schedule does what a backfill is for.
    (
        "BackfillScheduler.Properties.Target.Input",
        '{"since": "PT26H", "until": "PT15M", "dry_run": false}',
        "for real, two hours longer than its period, and the newest minutes are left to live delivery",
    ),
]


@pytest.mark.parametrize(("path", "expected", "why"), SPECIFICATION, ids=[row[0] for row in SPECIFICATION])
def test_what_a_user_would_feel(path: str, expected: object, why: str) -> None:
    """Everything of that path has that value."""
    found = {name: value for name, value in leaves(stack()["Resources"]) if fnmatchcase(name, path)}

    assert found, f"nothing is at {path}"
    assert set(found) == {name for name, value in found.items() if value == expected}, why


@pytest.mark.parametrize(
    ("kind", "least"),
    [("AWS::S3::Bucket", 2), ("AWS::Logs::LogGroup", 4), ("AWS::Serverless::Function", 4)],
)
def test_no_resource_of_a_kind_is_left_out(kind: str, least: int) -> None:
    """What the table above says of all of a kind, each of them says of itself."""
    resources = {name: one for name, one in stack()["Resources"].items() if one["Type"] == kind}
    needed = {
        "AWS::S3::Bucket": {"BucketEncryption", "PublicAccessBlockConfiguration", "OwnershipControls"},
        "AWS::Logs::LogGroup": {"LogGroupName", "RetentionInDays"},
        "AWS::Serverless::Function": {"Handler", "LoggingConfig", "Description"},
    }[kind]

    assert least <= len(resources)
    for name, one in resources.items():
        assert needed <= one["Properties"].keys(), name


# Errors that pass, so that a retry helps. Lambda's: https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
LAMBDA_PASSES = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    "RetryableCallError",
}
GLUE_IS_BUSY = {"Glue.ConcurrentRunsExceededException", "Glue.ResourceNumberLimitExceededException"}
GLUE_PASSES = {
    "Glue.ThrottlingException",
    "Glue.OperationTimeoutException",
    "Glue.InternalServiceException",
    "Glue.AWSGlueException",
}
# Machine, task, errors, and how many hours it waits at the least before it gives up, on average of the jitter.
PATIENCE: list[tuple[str, str, set[str], float]] = [
    ("Workflow", "Run the Glue job", GLUE_IS_BUSY, 50.0),
    ("Workflow", "Run the Glue job", GLUE_PASSES, 0.9),
    ("Workflow", "Notify success", {"States.TaskFailed"}, 0.03),
    ("WindowStateMachine", "Collect", {"States.ALL"}, 6.0),
    ("BackfillStateMachine", "Read the request", LAMBDA_PASSES, 0.1),
    ("BackfillStateMachine", "Decide on a batch", LAMBDA_PASSES, 0.1),
    ("BackfillStateMachine", "Report", LAMBDA_PASSES, 0.1),
]


def states_of(machine: str) -> dict[str, Any]:
    """Collect a machine's states, those inside a Map too, by name."""
    found: dict[str, Any] = {}

    def collect(states: dict[str, Any]) -> None:
        found.update(states)
        for one in states.values():
            collect(one.get("ItemProcessor", {}).get("States", {}))

    collect(stack()["Resources"][machine]["Properties"]["Definition"]["States"])
    return found


@pytest.mark.parametrize(("machine", "state", "errors", "hours"), PATIENCE)
def test_what_passes_is_waited_for(machine: str, state: str, errors: set[str], hours: float) -> None:
    """Each task retries what passes, with full jitter, long enough; nothing else is retried."""
    retries = states_of(machine)[state]["Retry"]
    [retry] = [one for one in retries if set(one["ErrorEquals"]) & errors]
    pauses = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
        for attempt in range(retry["MaxAttempts"])
    ]

    assert errors == set(retry["ErrorEquals"])
    assert "FULL" == retry["JitterStrategy"]
    assert hours * 3600 <= sum(pauses) / 2


def test_every_task_has_its_patience() -> None:
    """No task is left without a row in the table above, and no retry either."""
    for machine in {machine for machine, *_ in PATIENCE}:
        tasks = {name: one for name, one in states_of(machine).items() if one["Type"] == "Task"}
        assert tasks.keys() == {state for one, state, *_ in PATIENCE if one == machine}
        for name, one in tasks.items():
            assert len(one["Retry"]) == len([row for row in PATIENCE if row[1] == name]), name
