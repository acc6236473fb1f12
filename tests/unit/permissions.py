"""Role by role: what each must be able to do and what it must not, asked by tests/integration/test_roles.py.

Resources are written as the resolver writes them: a resource's name for its `Ref`, `Name.Attribute` for `Fn::GetAtt`.
"""

from collections.abc import Iterator
from typing import Any

from tests.unit.resolved import RESOURCES

STATES = "arn:aws:states:us-east-2:123456789012"
BUCKET = "arn:aws:s3:::SourceBucket"
FILE = f"{BUCKET}/input/lab2/eventdriven/green.csv"
TARGET = f"{BUCKET}/target/event-transformed/part-0.parquet"
MARKER = f"{BUCKET}/target_$folder$"
# What Hadoop and EMRFS ask HEAD for before they write below it; without GetObject S3 answers 403 and not 404.
PARENT = f"{BUCKET}/target"
RESULTS_BUCKET = "BackfillResultsBucket.Arn"
RESULTS = f"{RESULTS_BUCKET}/backfill/run/manifest.json"
MANIFEST = f"{RESULTS_BUCKET}/windows/0123/0.json"
SET = f"{RESULTS_BUCKET}/sets/0123.json"
WINDOWS = f"{STATES}:stateMachine:glueworkshop-windows"
BACKFILL = f"{STATES}:stateMachine:glueworkshop-backfill"
OVERDUE = f"{STATES}:stateMachine:glueworkshop-overdue"
MACHINE = f"{STATES}:stateMachine:Workflow.Name"
EXECUTION = f"{STATES}:execution:Workflow.Name:green-0123"
A_WINDOW = f"{STATES}:execution:glueworkshop-windows:0123-0"
A_BATCH = f"{STATES}:execution:glueworkshop-backfill/batches:1"
JOB = "arn:aws:glue:us-east-2:123456789012:job/GlueJob"
LOGS = "arn:aws:logs:us-east-2:123456789012:log-group:/aws-glue/jobs/error"
LOG = f"{LOGS}:log-stream:jr_0123-driver"
ARTIFACTS = "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-abc"
SCRIPT = f"{ARTIFACTS}/0123"
ANY = "*"
PARTS = ("ListMultipartUploadParts", "AbortMultipartUpload")
# Role, and each action with what it is done to.
type Table = dict[str, dict[str, list[str]]]
DELIVERS = {"logs:CreateLogDelivery": [ANY], "xray:PutTraceSegments": [ANY]}
DECIDES = {
    "states:StartExecution": [MACHINE, WINDOWS],
    "s3:GetObject": [FILE, MANIFEST, SET],
    "s3:GetObjectVersion": [FILE],
    "s3:ListBucket": [BUCKET, RESULTS_BUCKET],
}
MAY: Table = {
    "StartExecutionFunction": DECIDES,
    "WindowStateMachine": {"lambda:InvokeFunction": ["CollectWindowFunction.Arn"], **DELIVERS},
    "CollectWindowFunction": {
        "states:StartExecution": [MACHINE],
        "s3:ListBucket": [BUCKET, RESULTS_BUCKET],
        "s3:PutObject": [MANIFEST, SET],
        "s3:GetObject": [MANIFEST, SET, FILE],
    },
    "BackfillRequestFunction": {"s3:ListBucket": [BUCKET]},
    "BackfillBatchFunction": {**DECIDES, "states:DescribeExecution": [EXECUTION, A_WINDOW]},
    "BackfillReportFunction": {"s3:GetObject": [RESULTS], "s3:ListBucket": [RESULTS_BUCKET]},
    "BackfillStateMachine": {
        "lambda:InvokeFunction": [f"Backfill{name}Function.Arn" for name in ("Request", "Batch", "Report")],
        "s3:ListBucket": [BUCKET],
        **{f"s3:{call}": [RESULTS] for call in ("PutObject", "GetObject", *PARTS)},
        "states:StartExecution": [BACKFILL],
        "states:DescribeExecution": [A_BATCH],
        "states:StopExecution": [A_BATCH],
        "states:RedriveExecution": [A_BATCH, f"{STATES}:execution:glueworkshop-backfill:0123"],
        **DELIVERS,
    },
    "BackfillSchedulerRole": {"states:StartExecution": ["BackfillStateMachine"]},
    "ExpectationSchedulerRole": {"lambda:InvokeFunction": ["CheckExpectationsFunction.Arn"]},
    "CheckExpectationsFunction": {"s3:ListBucket": [BUCKET], "states:StartExecution": [OVERDUE]},
    "LookAgainFunction": {"s3:ListBucket": [BUCKET]},
    "OverdueStateMachine": DELIVERS
    | {"lambda:InvokeFunction": ["LookAgainFunction.Arn"], "sns:Publish": ["AlarmTopic"]},
    "Workflow": {
        **{f"glue:{call}": [JOB] for call in ("StartJobRun", "GetJobRun", "BatchStopJobRun")},
        "sns:Publish": ["SuccessTopic"],
        **DELIVERS,
    },
    "GlueJobRole": {
        # The whole bucket: route files may let it read elsewhere.
        "s3:GetObject": [FILE, TARGET, PARENT, f"{BUCKET}/input", SCRIPT, MANIFEST, SET],
        "s3:PutObject": [TARGET, MARKER],
        **{f"s3:{call}": [TARGET] for call in ("DeleteObject", *PARTS)},
        **{f"s3:{call}": [BUCKET, RESULTS_BUCKET, ARTIFACTS] for call in ("ListBucket", "GetBucketLocation")},
        "logs:CreateLogGroup": [LOGS],
        "logs:CreateLogStream": [LOG],
        "logs:PutLogEvents": [LOG],
    },
}
# Strangers, and what is ours but no role's.
OTHERS: dict[str, list[str]] = {
    "states:StartExecution": [f"{STATES}:stateMachine:somebody-elses"],
    "states:DescribeExecution": [f"{STATES}:execution:somebody-elses:x"],
    "states:StopExecution": [EXECUTION],
    "states:RedriveExecution": [A_WINDOW],
    "lambda:InvokeFunction": ["StartExecutionFunction.Arn"],
    "sns:Publish": ["FailureTopic"],
    "s3:GetObject": [f"{RESULTS_BUCKET}/elsewhere/x"],
    "s3:PutObject": [f"{RESULTS_BUCKET}/elsewhere/x", FILE, PARENT, SCRIPT],
    "s3:DeleteObject": [FILE],
    "s3:AbortMultipartUpload": [FILE],
    "s3:ListBucket": ["arn:aws:s3:::somebody-elses"],
    "s3:DeleteBucket": [BUCKET],
    "glue:StartJobRun": [f"{JOB}-of-somebody-else"],
    "glue:DeleteJob": [JOB],
    "logs:PutLogEvents": ["arn:aws:logs:us-east-2:123456789012:log-group:/aws/lambda/somebody-elses:log-stream:x"],
    "iam:PassRole": [ANY],
}


# Role, action and resource of each line.
MUST = [(owner, action, one) for owner, calls in MAY.items() for action, all_ in calls.items() for one in all_]
# One machine, by its name and by its reference.
SAME = {BACKFILL: "BackfillStateMachine", "BackfillStateMachine": BACKFILL}
NEEDED = {action for _, action, _ in MUST}
# Each does to nothing of another role's, nor of a stranger's, what it does to its own; some actions nobody has.
MUST_NOT = [
    (owner, action, one)
    for action, others in OTHERS.items()
    for one in sorted({*others, *(one for _, known, one in MUST if known == action)})
    for owner, calls in MAY.items()
    if not {one, SAME.get(one)} & {*calls.get(action, ())} and (action in calls or action not in NEEDED)
]


def statements(owner: str) -> Iterator[dict[str, Any]]:
    """Walk the statements of a role, or of the role that SAM makes for a function or a state machine."""
    for policy in RESOURCES[owner].get("Properties", {}).get("Policies", []):
        yield from policy.get("PolicyDocument", policy)["Statement"]
