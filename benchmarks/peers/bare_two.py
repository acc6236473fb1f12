"""The bare handler with the two calls that ours makes."""

import json
import os

import boto3

s3 = boto3.client("s3")
sfn = boto3.client("stepfunctions")


def handler(event, _context):
    """Look at the object, then start the workflow."""
    bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
    head = s3.head_object(Bucket=bucket, Key=key)
    started = sfn.start_execution(
        stateMachineArn=os.environ["STATE_MACHINE_ARN"],
        name=head["ETag"].strip('"'),
        input=json.dumps({"BUCKET_NAME": bucket, "SRC_PREFIX": key}),
    )
    return {"execution_arn": started["executionArn"]}
