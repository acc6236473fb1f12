"""The fakes answer as moto does, wherever moto, somebody else's reading of the documentation, answers as AWS does."""

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.simulation.fakes import RETENTION, FakeS3, FakeStepFunctions, Wire
from tests.unit.builders import ACCOUNT, BUCKET, KEY, MACHINE


def head(client: Any, **version: str) -> object:
    """Describe an object without what is random, or give the error code."""
    try:
        answer = client.head_object(Bucket=BUCKET, Key=KEY, **version)
    except ClientError as error:
        return error.response["Error"]["Code"]
    assert 0 == answer["LastModified"].microsecond
    return answer["ETag"], answer["ContentLength"], answer.get("VersionId") in {None, "null"}


@pytest.mark.parametrize("status", ["", "Enabled"])
def test_head_answers_as_moto_does(status: str) -> None:
    """Missing, there, overwritten, deleted, and in its older version."""
    own, versions = FakeS3(Wire(), BUCKET, ACCOUNT, status), [("", "")]
    with mock_aws():
        moto: Any = boto3.client("s3", region_name="us-east-1")
        moto.create_bucket(Bucket=BUCKET)
        if status:
            moto.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": status})
        assert "404" == head(own) == head(moto)
        for body in (b"a", b"bb"):
            theirs = moto.put_object(Bucket=BUCKET, Key=KEY, Body=body)
            versions.append((own.put(KEY, body).version_id, theirs.get("VersionId")))
            assert head(own) == head(moto)
        own.delete(KEY)
        moto.delete_object(Bucket=BUCKET, Key=KEY)
        assert "404" == head(own) == head(moto)
        if status:
            assert head(own, VersionId=versions[1][0]) == head(moto, VersionId=versions[1][1])
            assert "405" == head(own, VersionId=own.versions[KEY][-1].version_id)


def test_a_name_starts_once_as_in_moto() -> None:
    """Another input is refused; the same one gets the execution while it runs. The name is free after 90 days."""
    own = FakeStepFunctions(Wire(), (MACHINE,))
    same = {"stateMachineArn": MACHINE, "name": "n", "input": "{}"}
    began = own.start_execution(**same)
    with mock_aws():
        client = boto3.client("stepfunctions", region_name="us-east-2")
        definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})
        role = "arn:aws:iam::123456789012:role/workflow"
        assert (
            MACHINE
            == client.create_state_machine(name="glueworkshop", definition=definition, roleArn=role)["stateMachineArn"]
        )
        for sfn in (own, client):
            first = sfn.start_execution(**same)
            with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
                sfn.start_execution(**same | {"input": "[]"})
            with pytest.raises(ClientError, match="ExecutionDoesNotExist"):
                sfn.describe_execution(executionArn=f"{first['executionArn']}-other")
    # What moto does otherwise.
    own.wire.now += 60
    assert began == own.start_execution(**same)
    own.close(own.executions[0])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        own.start_execution(**same)
    own.wire.now += RETENTION + 1
    assert began != own.start_execution(**same)
