"""Role by role: what each must be able to do, and what it must not, by the policies of the resolved stack.

tests/integration/test_roles.py asks the same of the deployed roles.
Resources are written as the resolver writes them: the name of a resource for its `Ref`, `Name.Attribute` for `Fn::GetAtt`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.unit.resolved import stack

STATES = "arn:aws:states:us-east-2:123456789012"
FILE = "arn:aws:s3:::SourceBucket/input/lab2/eventdriven/green.csv"
ELSEWHERE = "arn:aws:s3:::SourceBucket/private/salaries.csv"
TARGET = "arn:aws:s3:::SourceBucket/target/event-transformed/part-0.parquet"
MARKER = "arn:aws:s3:::SourceBucket/target_$folder$"
# What Hadoop and EMRFS ask HEAD for before they write below it; without GetObject S3 answers 403 and not 404.
PARENT = "arn:aws:s3:::SourceBucket/target"
BUCKET = "arn:aws:s3:::SourceBucket"
RESULTS = "BackfillResultsBucket.Arn/backfill/run/manifest.json"
MANIFEST = "BackfillResultsBucket.Arn/windows/0123/0.json"
SET = "BackfillResultsBucket.Arn/sets/0123.json"
WINDOWS = f"{STATES}:stateMachine:glueworkshop-windows"
BACKFILL = f"{STATES}:stateMachine:glueworkshop-backfill"
LOG = "arn:aws:logs:us-east-2:123456789012:log-group:/aws-glue/jobs/error:log-stream:jr_0123-driver"
ARTIFACTS = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-abc"
OVERDUE = f"{STATES}:stateMachine:glueworkshop-overdue"
SCRIPT = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-abc/0123"
MACHINE = f"{STATES}:stateMachine:Workflow.Name"
JOB = "arn:aws:glue:us-east-2:123456789012:job/GlueJob"
ANY = "*"

MUST: list[tuple[str, str, str]] = [
    ("StartExecutionFunction", "states:StartExecution", MACHINE),
    ("StartExecutionFunction", "s3:GetObject", FILE),
    ("StartExecutionFunction", "s3:GetObjectVersion", FILE),
    ("StartExecutionFunction", "s3:ListBucket", BUCKET),
    ("StartExecutionFunction", "states:StartExecution", WINDOWS),
    ("StartExecutionFunction", "s3:GetObject", MANIFEST),
    ("StartExecutionFunction", "s3:ListBucket", "BackfillResultsBucket.Arn"),
    ("WindowStateMachine", "lambda:InvokeFunction", "CollectWindowFunction.Arn"),
    ("WindowStateMachine", "logs:CreateLogDelivery", ANY),
    ("WindowStateMachine", "xray:PutTraceSegments", ANY),
    ("CollectWindowFunction", "states:StartExecution", MACHINE),
    ("CollectWindowFunction", "s3:ListBucket", BUCKET),
    ("CollectWindowFunction", "s3:PutObject", MANIFEST),
    ("CollectWindowFunction", "s3:GetObject", MANIFEST),
    ("CollectWindowFunction", "s3:PutObject", SET),
    ("CollectWindowFunction", "s3:GetObject", SET),
    ("CollectWindowFunction", "s3:GetObject", FILE),
    ("StartExecutionFunction", "s3:GetObject", SET),
    ("BackfillBatchFunction", "s3:GetObject", SET),
    ("GlueJobRole", "s3:GetObject", SET),
    ("CollectWindowFunction", "s3:ListBucket", "BackfillResultsBucket.Arn"),
    ("BackfillRequestFunction", "s3:ListBucket", BUCKET),
    ("BackfillBatchFunction", "states:StartExecution", WINDOWS),
    ("BackfillBatchFunction", "states:DescribeExecution", f"{STATES}:execution:glueworkshop-windows:0123-0"),
    ("BackfillBatchFunction", "s3:GetObject", MANIFEST),
    ("BackfillBatchFunction", "s3:ListBucket", "BackfillResultsBucket.Arn"),
    ("BackfillBatchFunction", "states:StartExecution", MACHINE),
    ("BackfillBatchFunction", "states:DescribeExecution", f"{STATES}:execution:Workflow.Name:green-0123"),
    ("BackfillBatchFunction", "s3:GetObject", FILE),
    ("BackfillBatchFunction", "s3:GetObjectVersion", FILE),
    ("BackfillBatchFunction", "s3:ListBucket", BUCKET),
    ("BackfillReportFunction", "s3:GetObject", RESULTS),
    ("BackfillReportFunction", "s3:ListBucket", "BackfillResultsBucket.Arn"),
    ("BackfillStateMachine", "lambda:InvokeFunction", "BackfillRequestFunction.Arn"),
    ("BackfillStateMachine", "lambda:InvokeFunction", "BackfillBatchFunction.Arn"),
    ("BackfillStateMachine", "lambda:InvokeFunction", "BackfillReportFunction.Arn"),
    ("BackfillStateMachine", "s3:ListBucket", BUCKET),
    ("BackfillStateMachine", "s3:PutObject", RESULTS),
    ("BackfillStateMachine", "s3:GetObject", RESULTS),
    ("BackfillStateMachine", "s3:ListMultipartUploadParts", RESULTS),
    ("BackfillStateMachine", "s3:AbortMultipartUpload", RESULTS),
    ("BackfillStateMachine", "states:StartExecution", BACKFILL),
    ("BackfillStateMachine", "states:DescribeExecution", f"{STATES}:execution:glueworkshop-backfill/batches:1"),
    ("BackfillStateMachine", "states:StopExecution", f"{STATES}:execution:glueworkshop-backfill/batches:1"),
    ("BackfillStateMachine", "states:RedriveExecution", f"{STATES}:execution:glueworkshop-backfill/batches:1"),
    ("BackfillStateMachine", "states:RedriveExecution", f"{STATES}:execution:glueworkshop-backfill:0123"),
    ("BackfillStateMachine", "logs:CreateLogDelivery", ANY),
    ("BackfillStateMachine", "xray:PutTraceSegments", ANY),
    ("BackfillSchedulerRole", "states:StartExecution", "BackfillStateMachine"),
    ("ExpectationSchedulerRole", "lambda:InvokeFunction", "CheckExpectationsFunction.Arn"),
    ("CheckExpectationsFunction", "s3:ListBucket", BUCKET),
    ("CheckExpectationsFunction", "states:StartExecution", OVERDUE),
    ("LookAgainFunction", "s3:ListBucket", BUCKET),
    ("OverdueStateMachine", "lambda:InvokeFunction", "LookAgainFunction.Arn"),
    ("OverdueStateMachine", "sns:Publish", "AlarmTopic"),
    ("OverdueStateMachine", "logs:CreateLogDelivery", ANY),
    ("OverdueStateMachine", "xray:PutTraceSegments", ANY),
    ("Workflow", "glue:StartJobRun", JOB),
    ("Workflow", "glue:GetJobRun", JOB),
    ("Workflow", "glue:BatchStopJobRun", JOB),
    ("Workflow", "sns:Publish", "SuccessTopic"),
    ("Workflow", "logs:CreateLogDelivery", ANY),
    ("Workflow", "xray:PutTraceSegments", ANY),
    ("GlueJobRole", "s3:GetObject", FILE),
    ("GlueJobRole", "s3:ListBucket", BUCKET),
    ("GlueJobRole", "s3:GetBucketLocation", BUCKET),
    ("GlueJobRole", "s3:GetObject", TARGET),
    ("GlueJobRole", "s3:GetObject", PARENT),
    ("GlueJobRole", "s3:GetObject", "arn:aws:s3:::SourceBucket/input"),
    ("GlueJobRole", "s3:AbortMultipartUpload", TARGET),
    ("GlueJobRole", "s3:ListMultipartUploadParts", TARGET),
    ("GlueJobRole", "s3:ListBucket", "BackfillResultsBucket.Arn"),
    ("GlueJobRole", "s3:GetBucketLocation", "BackfillResultsBucket.Arn"),
    ("GlueJobRole", "s3:ListBucket", ARTIFACTS),
    ("GlueJobRole", "s3:GetBucketLocation", ARTIFACTS),
    ("GlueJobRole", "logs:CreateLogGroup", "arn:aws:logs:us-east-2:123456789012:log-group:/aws-glue/jobs/error"),
    ("GlueJobRole", "logs:CreateLogStream", LOG),
    ("GlueJobRole", "logs:PutLogEvents", LOG),
    ("GlueJobRole", "s3:PutObject", TARGET),
    ("GlueJobRole", "s3:DeleteObject", TARGET),
    ("GlueJobRole", "s3:PutObject", MARKER),
    ("GlueJobRole", "s3:GetObject", MANIFEST),
    ("GlueJobRole", "s3:GetObject", SCRIPT),
]
MUST_NOT: list[tuple[str, str, str]] = [
    ("StartExecutionFunction", "states:StartExecution", f"{STATES}:stateMachine:somebody-elses"),
    ("StartExecutionFunction", "states:StopExecution", f"{STATES}:execution:Workflow.Name:green-0123"),
    ("StartExecutionFunction", "s3:PutObject", FILE),
    ("StartExecutionFunction", "s3:DeleteObject", FILE),
    ("StartExecutionFunction", "s3:GetObject", ELSEWHERE),
    ("StartExecutionFunction", "s3:GetObject", RESULTS),
    ("StartExecutionFunction", "s3:PutObject", MANIFEST),
    ("WindowStateMachine", "lambda:InvokeFunction", "StartExecutionFunction.Arn"),
    ("WindowStateMachine", "states:StartExecution", MACHINE),
    ("WindowStateMachine", "lambda:InvokeFunction", "BackfillBatchFunction.Arn"),
    ("CollectWindowFunction", "states:StartExecution", WINDOWS),
    ("CollectWindowFunction", "s3:DeleteObject", MANIFEST),
    ("CollectWindowFunction", "s3:PutObject", RESULTS),
    ("CollectWindowFunction", "s3:GetObject", ELSEWHERE),
    ("CollectWindowFunction", "s3:GetObjectVersion", FILE),
    ("StartExecutionFunction", "s3:PutObject", SET),
    ("BackfillBatchFunction", "s3:PutObject", MANIFEST),
    ("BackfillRequestFunction", "states:StartExecution", MACHINE),
    ("BackfillRequestFunction", "s3:GetObject", FILE),
    ("BackfillBatchFunction", "states:StartExecution", BACKFILL),
    ("BackfillBatchFunction", "states:DescribeExecution", f"{STATES}:execution:somebody-elses:x"),
    ("BackfillBatchFunction", "s3:PutObject", FILE),
    ("BackfillBatchFunction", "s3:GetObject", ELSEWHERE),
    ("BackfillReportFunction", "s3:PutObject", RESULTS),
    ("BackfillReportFunction", "s3:GetObject", FILE),
    ("BackfillReportFunction", "s3:GetObject", MANIFEST),
    ("BackfillReportFunction", "states:StartExecution", MACHINE),
    ("BackfillStateMachine", "lambda:InvokeFunction", "StartExecutionFunction.Arn"),
    ("BackfillStateMachine", "states:StartExecution", MACHINE),
    ("BackfillStateMachine", "s3:GetObject", FILE),
    ("BackfillStateMachine", "s3:PutObject", "BackfillResultsBucket.Arn/elsewhere/x"),
    ("BackfillStateMachine", "s3:DeleteObject", RESULTS),
    ("BackfillStateMachine", "states:StopExecution", f"{STATES}:execution:Workflow.Name:green-0123"),
    ("BackfillStateMachine", "states:RedriveExecution", f"{STATES}:execution:glueworkshop-windows:0123-0"),
    ("BackfillSchedulerRole", "states:StartExecution", MACHINE),
    ("ExpectationSchedulerRole", "lambda:InvokeFunction", "StartExecutionFunction.Arn"),
    ("CheckExpectationsFunction", "states:StartExecution", MACHINE),
    ("CheckExpectationsFunction", "s3:GetObject", FILE),
    ("CheckExpectationsFunction", "sns:Publish", "AlarmTopic"),
    ("LookAgainFunction", "states:StartExecution", OVERDUE),
    ("LookAgainFunction", "s3:GetObject", FILE),
    ("OverdueStateMachine", "lambda:InvokeFunction", "CheckExpectationsFunction.Arn"),
    ("OverdueStateMachine", "sns:Publish", "FailureTopic"),
    ("BackfillSchedulerRole", "states:StopExecution", "BackfillStateMachine"),
    ("Workflow", "glue:StartJobRun", "arn:aws:glue:us-east-2:123456789012:job/somebody-elses"),
    ("Workflow", "glue:DeleteJob", JOB),
    ("Workflow", "sns:Publish", "AlarmTopic"),
    ("Workflow", "s3:GetObject", FILE),
    ("GlueJobRole", "s3:PutObject", FILE),
    ("GlueJobRole", "s3:DeleteObject", FILE),
    ("GlueJobRole", "s3:PutObject", PARENT),
    ("GlueJobRole", "s3:PutObject", ELSEWHERE),
    ("GlueJobRole", "s3:AbortMultipartUpload", FILE),
    ("GlueJobRole", "s3:ListBucket", "arn:aws:s3:::somebody-elses"),
    ("GlueJobRole", "s3:ListAllMyBuckets", ANY),
    ("GlueJobRole", "glue:StartJobRun", JOB),
    ("GlueJobRole", "glue:GetTables", "arn:aws:glue:us-east-2:123456789012:catalog"),
    ("GlueJobRole", "logs:PutLogEvents", LOG.replace("/aws-glue/jobs/error", "/aws/lambda/somebody-elses")),
    ("GlueJobRole", "s3:PutObject", SCRIPT),
    ("GlueJobRole", "s3:GetObject", RESULTS),
    ("GlueJobRole", "s3:PutObject", MANIFEST),
    ("GlueJobRole", "s3:DeleteBucket", BUCKET),
    ("GlueJobRole", "iam:PassRole", ANY),
]
# With route files: other machines and jobs, and no further ones.
OTHERS = [f"{STATES}:stateMachine:{name}" for name in ("Sales", "Trips")]
JOBS = [f"arn:aws:glue:us-east-2:123456789012:job/{name}" for name in ("sales", "trips")]
ROUTED: list[tuple[str, str, list[str]]] = [
    ("StartExecutionFunction", "states:StartExecution", OTHERS),
    ("CollectWindowFunction", "states:StartExecution", OTHERS),
    ("BackfillBatchFunction", "states:StartExecution", OTHERS),
    (
        *("BackfillBatchFunction", "states:DescribeExecution"),
        [f"{one.replace(':stateMachine:', ':execution:')}:green-0123" for one in OTHERS],
    ),
    *(("Workflow", f"glue:{call}", JOBS) for call in ("StartJobRun", "GetJobRun", "BatchStopJobRun")),
]
# https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html and .../concepts-xray-tracing.html
DELIVERY = [
    *(f"logs:{call}LogDelivery" for call in ("Create", "Get", "Update", "Delete")),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
]
# What a request says of itself, where a statement asks.
REQUEST = {"s3:prefix": "input/lab2/eventdriven/2026/", "s3:ResourceAccount": "123456789012"}
# The same call with other words.
REFUSED: list[tuple[str, str, str, dict[str, str]]] = [
    ("CheckExpectationsFunction", "s3:ListBucket", BUCKET, {"s3:prefix": "private/"}),
    ("LookAgainFunction", "s3:ListBucket", BUCKET, {"s3:prefix": "private/"}),
    ("GlueJobRole", "s3:GetObject", SCRIPT, {"s3:ResourceAccount": "999999999999"}),
    ("GlueJobRole", "s3:ListBucket", ARTIFACTS, {"s3:ResourceAccount": "999999999999"}),
]
# Which service may assume a role that the template writes out; SAM writes those of functions and state machines.
TRUST = {
    "GlueJobRole": "glue.amazonaws.com",
    **dict.fromkeys(("BackfillSchedulerRole", "ExpectationSchedulerRole"), "scheduler.amazonaws.com"),
}
RESOURCES = stack()["Resources"]


def statements(owner: str, resources: dict[str, Any] = RESOURCES) -> Iterator[dict[str, Any]]:
    """Walk the statements of a role, or of the role that SAM makes for a function or a state machine."""
    for policy in resources[owner].get("Properties", {}).get("Policies", []):
        yield from policy.get("PolicyDocument", policy)["Statement"]


def listed(value: Any) -> list[Any]:
    """Return a list, whether there is one or a single value."""
    return value if isinstance(value, list) else [value]


def matches(pattern: str, value: str) -> bool:
    """Match as IAM does: `*` and `?` are wild, actions in any case."""
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL))


def fulfilled(statement: dict[str, Any], request: Mapping[str, str]) -> bool:
    """Tell whether a request is what a statement's conditions ask for."""
    conditions: dict[str, dict[str, str]] = statement.get("Condition", {})
    assert conditions.keys() <= {"StringLike", "StringLikeIfExists", "StringEquals"}
    return all(
        matches(value, request[key]) if key in request else operator.endswith("IfExists")
        for operator, one in conditions.items()
        for key, value in one.items()
    )


def allowed(
    owner: str,
    action: str,
    resource: str,
    request: Mapping[str, str] = REQUEST,
    resources: dict[str, Any] = RESOURCES,
) -> bool:
    """Tell whether a role may do that."""
    found = {
        statement["Effect"]
        for statement in statements(owner, resources)
        if any(matches(one.lower(), action.lower()) for one in listed(statement["Action"]))
        if any(matches(one, resource) for one in listed(statement["Resource"]))
        if fulfilled(statement, request)
    }
    return found == {"Allow"}
