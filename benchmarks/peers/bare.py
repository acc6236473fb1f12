"""The bare handler: boto3 and one call."""

import json
import os

import boto3

sfn = boto3.client("stepfunctions")


def handler(event, _context):
    """Start the workflow with the event's own values."""
    found = event["detail"]["object"]
    started = sfn.start_execution(
        stateMachineArn=os.environ["STATE_MACHINE_ARN"],
        input=json.dumps({"BUCKET_NAME": event["detail"]["bucket"]["name"], "SRC_PREFIX": found["key"]}),
    )
    return {"execution_arn": started["executionArn"]}
