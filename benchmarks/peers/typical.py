"""A typical handler with Powertools: decorators, an envelope, the Tracer (which the benchmark switches off)."""

import json
import os

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import envelopes, event_parser
from aws_lambda_powertools.utilities.parser.models import S3EventNotificationEventBridgeDetailModel

logger, metrics, tracer = Logger(), Metrics(namespace="Typical"), Tracer()
s3 = boto3.client("s3")
sfn = boto3.client("stepfunctions")


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics(capture_cold_start_metric=True)
@event_parser(model=S3EventNotificationEventBridgeDetailModel, envelope=envelopes.EventBridgeEnvelope)
def handler(detail, _context):
    """Look at the object, then start the workflow."""
    bucket, key = detail.bucket.name, detail.object.key
    head = s3.head_object(Bucket=bucket, Key=key)
    started = sfn.start_execution(
        stateMachineArn=os.environ["STATE_MACHINE_ARN"],
        name=head["ETag"].strip('"'),
        input=json.dumps({"BUCKET_NAME": bucket, "SRC_PREFIX": key}),
    )
    logger.info("started", extra={"key": key})
    metrics.add_metric(name="Started", unit=MetricUnit.Count, value=1)
    return {"execution_arn": started["executionArn"]}
