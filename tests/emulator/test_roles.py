"""Who may do what: callers of the API, and the roles that services assume."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, allow


def test_a_head_needs_its_permission(cloud: Cloud) -> None:
    """A version its own; and S3 tells nobody what is not there who may not list."""
    bucket = cloud.bucket("Enabled")
    version = cloud.client("s3").put_object(Bucket=bucket, Key="key")["VersionId"]
    get, versions = (allow(f"s3:GetObject{kind}", f"arn:aws:s3:::{bucket}/*") for kind in ("", "Version"))
    both, old, none = [get, allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")], {"VersionId": version}, {"Key": "none"}

    def status(statements: list[dict[str, Any]], asked: dict[str, str]) -> str:
        s3 = cloud.client("s3", **cloud.assume(cloud.role(*statements)))
        try:
            s3.head_object(**{"Bucket": bucket, "Key": "key", **asked})
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "200"

    cases = [([get], {}), ([get], old), ([versions], old), ([get], none), (both, none)]
    assert ["200", "403", "200", "403", "404"] == [status(*case) for case in cases]


def test_a_bucket_that_demands_tls_can_be_used(cloud: Cloud) -> None:
    """The local cloud speaks plain HTTP, which counts as encrypted."""
    bucket = cloud.bucket()
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    deny: dict[str, Any] = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns}
    deny |= {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    cloud.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    )

    cloud.client("s3", **cloud.assume(cloud.role(allow("s3:*", "*")))).put_object(Bucket=bucket, Key="key")


@pytest.mark.parametrize(
    ("resource", "parameters", "error", "action"),
    [
        ("glue:startJobRun", {"JobName": "job"}, "Glue.AccessDeniedException", "glue:StartJobRun"),
        ("sns:publish", {"TopicArn": "", "Message": "text"}, "SNS.AuthorizationErrorException", "sns:Publish"),
        ("lambda:invoke", {"FunctionName": ""}, "Lambda.AWSLambdaException", "lambda:InvokeFunction"),
    ],
)
def test_a_task_acts_with_the_machine_s_role(
    cloud: Cloud, resource: str, parameters: dict[str, Any], error: str, action: str
) -> None:
    """Without the permission it fails with the service's error."""
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"})
    made = {
        "TopicArn": cloud.client("sns").create_topic(Name="topic")["TopicArn"],
        "FunctionName": cloud.function("def handler(event, context): return 1"),
    }
    parameters = {name: made.get(name, value) for name, value in parameters.items()}
    states = {"Do": {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, "End": True}}

    denied = cloud.run(cloud.machine(states, allow("s3:GetObject", "*")))
    assert error == denied["error"]
    assert f"is not authorized to perform: {action}" in denied["cause"]
    assert "SUCCEEDED" == cloud.run(cloud.machine(states, allow(action, "*")))["status"]
