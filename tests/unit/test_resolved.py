"""The stack that the template becomes: whole, by reviewed files; and, with reasons, what a user would feel."""

import difflib
import json
import re
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from tests.unit.resolved import OTHER, PARAMETERS, REVIEWED, defaults, follows, leaves, stack, written

DAY = 86400


@pytest.mark.parametrize(("name", "content"), [("defaults", defaults()), ("follows", follows())])
def test_the_stack_is_the_reviewed_one(name: str, content: Any) -> None:
    """Any change of the template or a definition shows here as what it does to the stack; meant: `make resolved`."""
    reviewed, now = (REVIEWED / f"{name}.yaml").read_text().splitlines(), written(content).splitlines()
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


# Path, what stands there, and why.
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
    ("GlueJob.Properties.WorkerType", "G.1X", "one DPU a worker, so that GlueMaxCapacityDpus is what it says"),
    # Names last.
    ("*StateMachine.Properties.Type", "STANDARD", "Express has no names that last"),
    ("Workflow.Properties.Type", "STANDARD", "Express has no names that last"),
    # The workflow tells.
    ("FailureRule.Properties.Targets[[]failure-topic].Arn", "FailureTopic", "a failed file is told"),
    (
        "BackfillStateMachine.Properties.Logging.Level",
        "ERROR",
        "one line a listed object would cost more than the backfill",
    ),
    ("*.Properties.Logging.IncludeExecutionData", True, "with the key that it is about"),
    (
        "GlueJobRole*Script].Condition.StringEquals.s3:ResourceAccount",
        "123456789012",
        "a name with a wildcard, but nobody else's bucket",
    ),
    (
        "BackfillSchedulerRole*.AssumeRolePolicyDocument*.Condition.StringEquals.aws:SourceAccount",
        "123456789012",
        "no schedule of another account uses the role",
    ),
    # What is forgotten, and what never is.
    ("SourceBucket*[[]forget-unfinished-uploads]*.DaysAfterInitiation", 7, "a slow upload has a week"),
    ("SourceBucket*[[]forget-old-versions-of-the-output].Prefix", "target/event-transformed/", "not of uploads"),
    ("SourceBucket*[[]forget-old-versions-of-the-output]*.NoncurrentDays", 7, "a week to look at the run before"),
    ("SourceBucket*[[]forget-old-versions-of-the-output].ExpiredObjectDeleteMarker", True, "a listing stays quick"),
    ("BackfillResultsBucket*[[]forget-results].Prefix", "backfill/", "manifests of windows stay for ever"),
    ("BackfillResultsBucket*[[]forget-results].ExpirationInDays", 90, "as long as executions can be read"),
    ("*LifecycleConfiguration.Rules*.Status", "Enabled", "each rule works"),
    # Names that people and other stacks use.
    ("*.Events.ApiCall.Properties.RuleName", "glueworkshop-rule", "the workshop's own name"),
    # The backfill lists what was asked for and leaves live arrivals their rate.
    ("*.Look at every object.MaxConcurrency", 4, "some 100 starts a second: live arrivals keep the rest"),
    ("*.Look at every object.ItemBatcher.MaxItemsPerBatch", 300, "one batch ends inside its function's time"),
    ("*.ResultWriter.WriterConfig.OutputType", "JSONL", "one answer a line, as the report reads it"),
    ("*.ResultWriter.WriterConfig.Transformation", "COMPACT", "the answers alone, as the report reads them"),
    ("*.Did any object fail?.Choices[[]0].NumericGreaterThan", 0, "one is too many"),
    ("*.Look at every object.Label", "batches", "part of the ARN of each child"),
    ("*.Some objects failed.Error", "SomeObjectsFailed", "the runbook's word"),
]


@pytest.mark.parametrize(("path", "expected", "why"), SPECIFICATION, ids=[row[0] for row in SPECIFICATION])
def test_what_a_user_would_feel(path: str, expected: object, why: str) -> None:
    """Everything of that path has that value."""
    resolved = stack()
    found = {
        name: value
        for name, value in leaves({**resolved["Resources"], "Globals": resolved["Globals"]})
        if fnmatchcase(name, path)
    }

    assert found, f"nothing is at {path}"
    assert set(found) == {name for name, value in found.items() if value == expected}, why


def test_nothing_of_the_default_stack_is_written_out() -> None:
    """Another name, region and partition are all that is different in another stack of another partition."""
    text = json.dumps(stack("other", "aws-cn"))

    assert [] == [word for word in ("glueworkshop", "us-east-2", "arn:aws:", "amazonaws.com/") if word in text]


def test_a_collect_is_given_up_after_its_function_is() -> None:
    """Two of them at once would be safe, but cost; the task waits for Lambda's own end, and not much longer."""
    task = states_of("WindowStateMachine")["Collect"]

    assert 900 < task["TimeoutSeconds"] <= 960


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
# A full job and a throttled start: one storm makes both, so one budget waits for both.
GLUE_IS_BUSY = {
    "Glue.ConcurrentRunsExceededException",
    "Glue.ResourceNumberLimitExceededException",
    "Glue.ThrottlingException",
    "Glue.AWSGlueException",
}
GLUE_PASSES = {"Glue.OperationTimeoutException", "Glue.InternalServiceException"}
# No retry helps, so nobody may wait for two days to hear of it.
GLUE_REFUSES = {"EntityNotFoundException", "InvalidInputException", "AccessDeniedException", "ValidationException"}
# Machine, task, errors, how many hours it waits at the least before it gives up (on average of the jitter, and less than
# twice as many), and its first and its longest pause in seconds.
PATIENCE: list[tuple[str, str, set[str], float, tuple[int, int]]] = [
    ("Workflow", "Run the Glue job", GLUE_IS_BUSY, 50.0, (15, 900)),
    ("Workflow", "Run the Glue job", GLUE_PASSES, 0.9, (5, 300)),
    ("Workflow", "Notify success", {"States.TaskFailed"}, 0.03, (2, 60)),
    ("WindowStateMachine", "Collect", {"States.ALL"}, 6.0, (2, 600)),
    ("BackfillStateMachine", "Read the request", LAMBDA_PASSES, 0.1, (5, 300)),
    ("BackfillStateMachine", "Decide on a batch", LAMBDA_PASSES, 0.1, (5, 300)),
    ("BackfillStateMachine", "Report", LAMBDA_PASSES, 0.1, (5, 300)),
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


@pytest.mark.parametrize(("machine", "state", "errors", "hours", "pauses"), PATIENCE)
def test_what_passes_is_waited_for(
    machine: str, state: str, errors: set[str], hours: float, pauses: tuple[int, int]
) -> None:
    """Each task retries what passes, with full jitter, long enough; nothing else is retried."""
    retries = states_of(machine)[state]["Retry"]
    [retry] = [one for one in retries if set(one["ErrorEquals"]) & errors]
    longest = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** attempt, retry["MaxDelaySeconds"])
        for attempt in range(retry["MaxAttempts"])
    ]

    assert errors == set(retry["ErrorEquals"])
    assert "FULL" == retry["JitterStrategy"]
    assert hours <= sum(longest) / 2 / 3600 < 2 * hours
    assert pauses == (longest[0], longest[-1])


def test_every_task_has_its_patience() -> None:
    """No task is left without a row in the table above, and no retry either."""
    for machine in {machine for machine, *_ in PATIENCE}:
        tasks = {name: one for name, one in states_of(machine).items() if one["Type"] == "Task"}
        assert set() == {name for name, one in tasks.items() if "Catch" in one}
        assert tasks.keys() == {state for one, state, *_ in PATIENCE if one == machine}
        for name, one in tasks.items():
            assert len(one["Retry"]) == len([row for row in PATIENCE if row[1] == name]), name


def test_what_no_retry_helps_fails_at_once() -> None:
    """A wrong job name, a denied start: heard in seconds. All that Glue's API names is on one of the lists above."""
    model = botocore.session.get_session().get_service_model("glue")
    named = {error.name for error in model.operation_model("StartJobRun").error_shapes}
    retried = {
        error.removeprefix("Glue.")
        for one in states_of("Workflow")["Run the Glue job"]["Retry"]
        for error in one["ErrorEquals"]
    }

    assert named <= retried | GLUE_REFUSES
    assert not retried & GLUE_REFUSES
    # Such a wildcard takes the refusals too, and repeats a run that failed.
    assert [] == [error for error in retried if error.startswith("States.")]
    # By Glue's own model: an error that its SDK has no name for is an AWSGlueException.
    assert set(model.shape_names) >= GLUE_REFUSES
