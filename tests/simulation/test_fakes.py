"""The fakes answer as moto does, wherever moto answers as AWS does.

Only moto can show how somebody else reads AWS's documentation.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.simulation.fakes import RETENTION, FakeS3, FakeStepFunctions, Wire
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE


@pytest.fixture
def moto() -> Iterator[Any]:
    """Return moto's S3 with an empty bucket."""
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def fake() -> FakeS3:
    """Return the fake S3."""
    return FakeS3(Wire(), BUCKET, ACCOUNT)


def head(client: Any, **version: str) -> object:
    """Describe an object without what is random, or give the error code."""
    try:
        answer = client.head_object(Bucket=BUCKET, Key=KEY, **version)
    except ClientError as error:
        return error.response["Error"]["Code"]
    assert 0 == answer["LastModified"].microsecond
    return answer["ETag"], answer["ContentLength"], answer.get("VersionId") in {None, "null"}


@pytest.mark.parametrize("status", ["", "Enabled"])
def test_head_answers_as_moto_does(moto: Any, status: str) -> None:
    """Missing, there, overwritten, deleted, and in its older version."""
    own = fake()
    own.versioning = status
    if status:
        moto.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})
    assert "404" == head(own) == head(moto)
    versions = []
    for body in (b"a", b"bb"):
        versions.append(
            (own.put(KEY, body).version_id, moto.put_object(Bucket=BUCKET, Key=KEY, Body=body).get("VersionId"))
        )
        assert head(own) == head(moto)
    own.delete(KEY)
    moto.delete_object(Bucket=BUCKET, Key=KEY)
    assert "404" == head(own) == head(moto)
    if status:
        assert head(own, VersionId=versions[0][0]) == head(moto, VersionId=str(versions[0][1]))
        assert "405" == head(own, VersionId=own.versions[KEY][-1].version_id)


def test_a_name_starts_once_as_in_moto() -> None:
    """A second input for a name is refused, running or not."""
    own = FakeStepFunctions(Wire(), (MACHINE,))
    with mock_aws():
        client = boto3.client("stepfunctions", region_name="us-east-2")
        definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
        role = "arn:aws:iam::123456789012:role/workflow"
        machine = client.create_state_machine(name="glueworkshop", definition=definition, roleArn=role)
        for sfn, arn in ((own, MACHINE), (client, machine["stateMachineArn"])):
            sfn.start_execution(stateMachineArn=arn, name="n", input="{}")
            with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
                sfn.start_execution(stateMachineArn=arn, name="n", input="[]")
            with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
                sfn.describe_execution(executionArn=arn.replace(":stateMachine:", ":execution:") + ":other")


def test_a_running_duplicate_is_answered_and_a_closed_one_refused() -> None:
    """With the first start date; after 90 days the name is free."""
    sfn = FakeStepFunctions(Wire(), (MACHINE,))
    first = sfn.start_execution(stateMachineArn=MACHINE, name="n", input="{}")
    sfn.wire.now += 60
    assert first == sfn.start_execution(stateMachineArn=MACHINE, name="n", input="{}")
    sfn.close(sfn.executions[0])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        sfn.start_execution(stateMachineArn=MACHINE, name="n", input="{}")
    sfn.wire.now += RETENTION + 1
    assert first != sfn.start_execution(stateMachineArn=MACHINE, name="n", input="{}")
