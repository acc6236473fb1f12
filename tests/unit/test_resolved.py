"""The stack that the template becomes: whole, by reviewed files; and, with reasons, what a user would feel."""

import difflib
import json
import re
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
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
        ("JobName", ["", "a job", "a" * 256]),
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


MAIL = (
    "States.Format('s3://{}/{} was transformed by {} and written under s3://{}/{}. Glue run: {}. Execution: {}', "
    "$.BUCKET_NAME, $.SRC_PREFIX, $.JOB_NAME, $.BUCKET_NAME, $.TRG_PREFIX, $.run.Id, $$.Execution.Id)"
)
ARGUMENTS = (
    "{% $merge([{'--JOB_NAME': $states.input.JOB_NAME, '--BUCKET_NAME': $states.input.BUCKET_NAME, "
    "'--SRC_PREFIX': $states.input.SRC_PREFIX, '--TRG_PREFIX': $states.input.TRG_PREFIX}, "
    "$exists($states.input.manifest) ? {'--MANIFEST': $states.input.manifest} : {}, "
    "$each($states.input.parameters, function($value, $name) { {'--' & $name: $value} })]) %}"
)
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
    (
        "WindowStateMachine.Properties.Logging.Level",
        "ERROR",
        "a window that fails says why; one that does not is told by its manifest",
    ),
    ("*.Properties.Logging.IncludeExecutionData", True, "with the key that it is about"),
    ("Workflow.Properties.Logging.Destinations[[]0]*", "WorkflowLogGroup.Arn", "each in its own group"),
    ("WindowStateMachine.Properties.Logging.Destinations[[]0]*", "WindowLogGroup.Arn", "each in its own group"),
    ("BackfillStateMachine.Properties.Logging.Destinations[[]0]*", "BackfillLogGroup.Arn", "each in its own group"),
    ("StartExecutionFunction.Properties.LoggingConfig.LogGroup", "StartExecutionLogGroup", "the saved queries read it"),
    ("CollectWindowFunction.Properties.LoggingConfig.LogGroup", "CollectWindowLogGroup", "the saved queries read it"),
    ("Backfill*Function.Properties.LoggingConfig.LogGroup", "BackfillFunctionsLogGroup", "one for the three"),
    ("*.Properties.Tracing.Enabled", True, "a trace goes from the event to the job"),
    ("Globals.Function.Tracing", "Active", "and begins at the function"),
    # Who does what.
    ("StartExecutionFunction.Properties.Handler", "handlers.start_execution.handler", "the live decision"),
    ("CollectWindowFunction.Properties.Handler", "handlers.collect_window.handler", "closes a window"),
    ("BackfillRequestFunction.Properties.Handler", "handlers.backfill_request.handler", "reads what was asked"),
    ("BackfillBatchFunction.Properties.Handler", "handlers.backfill_batch.handler", "the decision on what was listed"),
    ("BackfillReportFunction.Properties.Handler", "handlers.backfill_report.handler", "adds up"),
    ("Workflow.Properties.DefinitionSubstitutions.SuccessTopicArn", "SuccessTopic", "successes are told there"),
    (
        "WindowStateMachine.Properties.DefinitionSubstitutions.CollectFunctionArn",
        "CollectWindowFunction.Arn",
        "what closes a window",
    ),
    (
        "BackfillStateMachine.Properties.DefinitionSubstitutions.RequestFunctionArn",
        "BackfillRequestFunction.Arn",
        "first what was asked",
    ),
    (
        "BackfillStateMachine.Properties.DefinitionSubstitutions.BatchFunctionArn",
        "BackfillBatchFunction.Arn",
        "then each batch",
    ),
    (
        "BackfillStateMachine.Properties.DefinitionSubstitutions.ReportFunctionArn",
        "BackfillReportFunction.Arn",
        "then the report",
    ),
    (
        "BackfillStateMachine.Properties.DefinitionSubstitutions.ResultsBucketName",
        "BackfillResultsBucket",
        "never into the bucket that it lists",
    ),
    # What a function needs to be done in time.
    ("Globals.Function.Runtime", "python3.13", "what the wheels are for"),
    ("Globals.Function.MemorySize", 512, "a cold start of a second; less memory is less CPU"),
    ("Globals.Function.Timeout", 120, "four calls at worst: test_time_limits.py"),
    ("CollectWindowFunction.Properties.MemorySize", 2048, "millions of names in one listing"),
    ("CollectWindowFunction.Properties.Timeout", 900, "Lambda's most"),
    ("BackfillBatchFunction.Properties.Timeout", 900, "300 objects, each tried eight times"),
    ("BackfillReportFunction.Properties.Timeout", 900, "the results of a million objects"),
    # The job.
    ("GlueJob.Properties.GlueVersion", "5.0", "Spark 3.5, which the script is tested with"),
    ("GlueJob.Properties.Command.Name", "glueetl", "Spark, not a Python shell"),
    ("GlueJob.Properties.Command.PythonVersion", "3", "as Glue 5.0 has it"),
    ("GlueJob.Properties.DefaultArguments.*", "python", "and no bookmarks: each run reads what it is told to"),
    ("GlueJob.Properties.JobRunQueuingEnabled", False, "the workflow waits, and knows why"),
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
    (
        "Archive.Properties.SourceArn",
        "arn:aws:events:us-east-2:123456789012:event-bus/default",
        "the bus that S3 and CloudTrail tell",
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
    ("Workflow.Properties.Name", "glueworkshop", "and so the ARN can be known beforehand"),
    ("WindowStateMachine.Properties.Name", "glueworkshop-windows", "the functions know it by its name"),
    ("BackfillStateMachine.Properties.Name", "glueworkshop-backfill", "its own role knows it by its name"),
    ("Dashboard.Properties.DashboardName", "glueworkshop", "the output leads there"),
    ("*.Events.ObjectCreated.Properties.RuleName", "glueworkshop-object-created", "to turn it off by"),
    ("*.Events.ApiCall.Properties.RuleName", "glueworkshop-rule", "the workshop's own name"),
    ("StartExecutionLogGroup.Properties.LogGroupName", "/aws/lambda/glueworkshop-start-execution", "README reads it"),
    ("CollectWindowLogGroup.Properties.LogGroupName", "/aws/lambda/glueworkshop-windows", "the runbook reads it"),
    ("BackfillFunctionsLogGroup.Properties.LogGroupName", "/aws/lambda/glueworkshop-backfill", "the runbook reads it"),
    # Without /aws/vendedlogs/ each group grows a resource policy that is limited in size.
    # https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
    ("WorkflowLogGroup.Properties.LogGroupName", "/aws/vendedlogs/states/glueworkshop", "no resource policy"),
    ("WindowLogGroup.Properties.LogGroupName", "/aws/vendedlogs/states/glueworkshop-windows", "no resource policy"),
    ("BackfillLogGroup.Properties.LogGroupName", "/aws/vendedlogs/states/glueworkshop-backfill", "no resource policy"),
    # The backfill lists what was asked for and leaves live arrivals their rate.
    ("*.Look at every object.ItemReader.Parameters.Bucket.$", "$.request.bucket", "the bucket that was checked"),
    ("*.Look at every object.ItemReader.Parameters.Prefix.$", "$.request.prefix", "and no more than was asked for"),
    ("*.Look at every object.ItemSelector.Key.$", "$$.Map.Item.Value.Key", "what the batch decides on"),
    ("*.Look at every object.ItemSelector.LastModified.$", "$$.Map.Item.Value.LastModified", "for since and until"),
    ("*.Look at every object.ItemSelector.request.$", "$.request", "each batch knows what was asked"),
    ("*.Look at every object.MaxConcurrency", 4, "some 100 starts a second: live arrivals keep the rest"),
    ("*.Look at every object.ItemBatcher.MaxItemsPerBatch", 300, "one batch ends inside its function's time"),
    ("*.Look at every object.ItemBatcher.MaxInputBytesPerBatch", 131072, "half of what an input may have"),
    ("*.ResultWriter.Parameters.Bucket", "BackfillResultsBucket", "never into the bucket that is listed"),
    ("*.ResultWriter.Parameters.Prefix", "backfill", "where the role may write and the lifecycle forgets"),
    ("*.ResultWriter.WriterConfig.OutputType", "JSONL", "one answer a line, as the report reads it"),
    ("*.ResultWriter.WriterConfig.Transformation", "COMPACT", "the answers alone, as the report reads them"),
    ("*.Look at every object.ResultPath", "$.batches", "beside the request; the report reads both"),
    ("*.Decide on a batch.OutputPath", "$.Payload", "the answer alone, as the report reads it"),
    ("*.Did any object fail?.Choices[[]0].NumericGreaterThan", 0, "one is too many"),
    ("*.Look at every object.Label", "batches", "part of the ARN of each child"),
    ("*.Some objects failed.Error", "SomeObjectsFailed", "the runbook's word"),
    ("*.Some objects failed.CausePath", "$.cause", "with the numbers and the first keys"),
    # The window is over when arrivals were told it would be, and a redrive waits no second time.
    (
        "*.Wait until the window is over.Timestamp",
        "{% $fromMillis($toMillis($states.context.Execution.StartTime) + 1000 * ($states.input.seconds + 2 + 1)) %}",
        "from the start date, with two seconds for clocks and one for a date without fractions",
    ),
    ("*.Collect.Arguments.Payload", "{% $states.input %}", "the whole window"),
    (
        "*.Collect.Output",
        "{% $states.result.Payload %}",
        "what was stored and started, and no more: States.ALL misses size",
    ),
    # The job gets what the execution was started with.
    (
        "*.Run the Glue job.Resource",
        "arn:aws:states:::glue:startJobRun.sync",
        "its end is the end of the run",
    ),
    ("*.Run the Glue job.Arguments.JobName", "{% $states.input.JOB_NAME %}", "a route's own job too"),
    ("*.Run the Glue job.Arguments.WorkerType", "G.1X", "one DPU a worker"),
    (
        "*.Run the Glue job.Arguments.NumberOfWorkers",
        "{% $states.input.glue_max_capacity_dpus %}",
        "the parameter's, or the rung of a route's ladder",
    ),
    (
        "*.Run the Glue job.Arguments.Arguments",
        ARGUMENTS,
        "each byte for byte; a manifest and parameters where there are",
    ),
    ("*.Run the Glue job.Output", "{% $merge([$states.input, {'run': $states.result}]) %}", "the mail names both"),
    (
        "*.Notify success.Parameters.Message.$",
        MAIL,
        "what, by what, to where, and where to look",
    ),
    ("*.Notify success.ResultPath", None, "the output is the input and the run"),
    ("*.Notify success.Parameters.TopicArn", "SuccessTopic", "and no other"),
    # The schedule does what a backfill is for.
    ("BackfillScheduler.Properties.Target.Arn", "BackfillStateMachine", "the backfill, no other machine"),
    ("BackfillScheduler.Properties.Target.RoleArn", "BackfillSchedulerRole.Arn", "by its own role"),
    ("BackfillScheduler.Properties.FlexibleTimeWindow.Mode", "FLEXIBLE", "not all stacks at midnight"),
    ("BackfillScheduler.Properties.FlexibleTimeWindow.MaximumWindowInMinutes", 30, "within the lookback's two hours"),
    (
        "BackfillScheduler.Properties.Target.Input",
        '{"since": "PT26H", "until": "PT15M", "dry_run": false}',
        "for real, two hours longer than its period, and the newest minutes are left to live delivery",
    ),
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


# Resource: the properties it has, so that nobody adds one that undoes the others, such as State: DISABLED or a delay.
ONLY = {
    "FailureQueue.Properties": {"MessageRetentionPeriod", "SqsManagedSseEnabled"},
    "FailureRule.Properties": {"Description", "EventPattern", "Targets"},
    # The whole event is the mail: no input path, no transformer that breaks at a quote.
    "FailureRule.Properties.Targets.0": {"Id", "Arn", "DeadLetterConfig"},
    "StartExecutionFunction.Properties.Events.ObjectCreated.Properties": {
        *("RuleName", "Pattern", "RetryPolicy", "DeadLetterConfig"),
    },
    "StartExecutionFunction.Properties.Events.ApiCall.Properties": {
        *("RuleName", "Pattern", "RetryPolicy", "DeadLetterConfig"),
    },
    "BackfillScheduler.Properties": {"Description", "ScheduleExpression", "FlexibleTimeWindow", "Target"},
    "BackfillScheduler.Properties.Target": {"Arn", "RoleArn", "Input"},
    "GlueJob.Properties.DefaultArguments": {"--job-language"},
    # As the runbook's first step of a redrive expects them: nothing is caught, nothing times out before the job does.
    "Workflow.Properties.Definition": {"Comment", "StartAt", "States"},
    "Workflow.Properties.Definition.States.Run the Glue job": {
        *("Comment", "Type", "QueryLanguage", "Resource", "Arguments", "Output", "Retry", "Next"),
    },
    "Workflow.Properties.Definition.States.Notify success": {
        *("Comment", "Type", "Resource", "Parameters", "ResultPath", "Retry", "End"),
    },
    "BackfillStateMachine.Properties.Definition.States.Look at every object": {
        *("Comment", "Type", "Label", "ItemReader", "ItemSelector", "ItemBatcher", "MaxConcurrency", "ItemProcessor"),
        *("ResultWriter", "ResultPath", "Next"),
    },
}


@pytest.mark.parametrize("path", ONLY)
def test_nothing_undoes_what_is_promised(path: str) -> None:
    """Each of these has its properties and no more."""
    found: Any = stack()["Resources"]
    for name in path.split("."):
        found = found[int(name)] if isinstance(found, list) else found[name]

    assert ONLY[path] == set(found)


def test_nothing_of_the_default_stack_is_written_out() -> None:
    """Another name, region and partition are all that is different in another stack of another partition."""
    text = json.dumps(stack("other", "aws-cn"))

    assert [] == [word for word in ("glueworkshop", "us-east-2", "arn:aws:", "amazonaws.com/") if word in text]


def test_a_collect_is_given_up_after_its_function_is() -> None:
    """Two of them at once would be safe, but cost; the task waits for Lambda's own end, and not much longer."""
    task = states_of("WindowStateMachine")["Collect"]

    assert 900 < task["TimeoutSeconds"] <= 960


# Machine: each state, and where it goes; None where it ends.
WAYS: dict[str, dict[str, str | None]] = {
    "Workflow": {"Run the Glue job": "Notify success", "Notify success": None},
    "WindowStateMachine": {"Wait until the window is over": "Collect", "Collect": None},
    "BackfillStateMachine": {
        "Read the request": "Look at every object",
        "Look at every object": "Report",
        "Decide on a batch": None,
        "Report": "Did any object fail?",
        # Where none did; otherwise to what follows it here.
        "Did any object fail?": "Done",
        "Say what failed": "Some objects failed",
        "Some objects failed": None,
        "Done": None,
    },
}


@pytest.mark.parametrize("machine", WAYS)
def test_a_machine_goes_its_way(machine: str) -> None:
    """From the first state of the table; a success is told only after a run, a report follows all batches."""
    definition = stack()["Resources"][machine]["Properties"]["Definition"]

    assert next(iter(WAYS[machine])) == definition["StartAt"]
    assert WAYS[machine] == {name: one.get("Next", one.get("Default")) for name, one in states_of(machine).items()}


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
