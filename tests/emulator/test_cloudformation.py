"""A template's resources come out as they are described."""

import json
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.emulator.conftest import Cloud, allow

BUS = {"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"}
PATTERN = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "in/"}]}}}


def _deploy(cloud: Cloud, **resources: dict[str, Any]) -> dict[str, str]:
    """Create or update the stack and return the physical ids of its resources."""
    formation = cloud.client("cloudformation")
    body = json.dumps({"Resources": resources})
    exists = any(stack["StackName"] == "stack" for stack in formation.describe_stacks()["Stacks"])
    act = formation.update_stack if exists else formation.create_stack
    act(StackName="stack", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    waiter = formation.get_waiter("stack_update_complete" if exists else "stack_create_complete")
    waiter.wait(StackName="stack", WaiterConfig={"Delay": 0.1, "MaxAttempts": 50})
    listed = formation.describe_stack_resources(StackName="stack")["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def test_an_archive_is_made_changed_and_removed(cloud: Cloud) -> None:
    """DescribeArchive shows it."""
    events = cloud.client("events")
    archive = _resource("Events::Archive", SourceArn=BUS, EventPattern=PATTERN, RetentionDays=30)
    name = _deploy(cloud, Archive=archive, Topic=_resource("SNS::Topic"))["Archive"]
    described = events.describe_archive(ArchiveName=name)
    assert (30, PATTERN) == (described["RetentionDays"], json.loads(described["EventPattern"]))
    assert described["EventSourceArn"].endswith(":event-bus/default")

    archive["Properties"]["RetentionDays"] = 90
    assert name == _deploy(cloud, Archive=archive, Topic=_resource("SNS::Topic"))["Archive"]
    assert 90 == events.describe_archive(ArchiveName=name)["RetentionDays"]

    _deploy(cloud, Topic=_resource("SNS::Topic"))
    assert [] == events.list_archives()["Archives"]


def test_an_archive_without_a_pattern_takes_everything(cloud: Cloud) -> None:
    """Its pattern is optional."""
    name = _deploy(cloud, Archive=_resource("Events::Archive", SourceArn=BUS))["Archive"]
    cloud.client("events").put_events(Entries=[{"Source": "mine", "DetailType": "any", "Detail": "{}"}])

    assert 1 <= cloud.client("events").describe_archive(ArchiveName=name)["EventCount"]


def test_a_saved_query_is_made_changed_and_removed(cloud: Cloud) -> None:
    """DescribeQueryDefinitions shows it."""
    logs = cloud.client("logs")
    query = _resource("Logs::QueryDefinition", Name="skips", QueryString="fields @message", LogGroupNames=["group"])
    identifier = _deploy(cloud, Query=query, Topic=_resource("SNS::Topic"))["Query"]
    [described] = logs.describe_query_definitions()["queryDefinitions"]
    assert (identifier, "skips", "fields @message", ["group"]) == (
        described["queryDefinitionId"],
        described["name"],
        described["queryString"],
        described["logGroupNames"],
    )

    query["Properties"]["Name"] = "all skips"
    assert identifier == _deploy(cloud, Query=query, Topic=_resource("SNS::Topic"))["Query"]
    assert ["all skips"] == [one["name"] for one in logs.describe_query_definitions()["queryDefinitions"]]

    _deploy(cloud, Topic=_resource("SNS::Topic"))
    assert [] == logs.describe_query_definitions()["queryDefinitions"]


def test_a_rule_keeps_its_dead_letter_queue_and_retry_policy(cloud: Cloud) -> None:
    """ListTargetsByRule shows both."""
    target = {
        "Id": "target",
        "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}},
        "RetryPolicy": {"MaximumRetryAttempts": 8, "MaximumEventAgeInSeconds": 3600},
    }
    rule = _deploy(
        cloud, Queue=_resource("SQS::Queue"), Rule=_resource("Events::Rule", EventPattern=PATTERN, Targets=[target])
    )["Rule"]
    [found] = cloud.client("events").list_targets_by_rule(Rule=rule)["Targets"]

    assert target["RetryPolicy"] == found["RetryPolicy"]
    assert found["Arn"] == found["DeadLetterConfig"]["Arn"]


def test_an_invalid_pattern_fails_the_stack(cloud: Cloud) -> None:
    """As PutRule would refuse it."""
    rule = _resource("Events::Rule", EventPattern={"source": [{"nonesuch": "x"}]})

    with pytest.raises(WaiterError, match="ROLLBACK"):
        _deploy(cloud, Rule=rule)


def test_alarms_are_described_as_they_are_written(cloud: Cloud) -> None:
    """One on a metric, one on metric math."""
    common = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 2, "Threshold": 1}
    dimensions = [{"Name": "QueueName", "Value": "queue"}]
    metric = {"Namespace": "AWS/SQS", "MetricName": "Sent", "Dimensions": dimensions}
    math = [
        {"Id": "ratio", "Expression": "100 * sent", "ReturnData": True},
        {"Id": "sent", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
    ]
    plain = {**common, **metric, "Statistic": "Sum", "Period": 300, "TreatMissingData": "notBreaching"}
    ids = _deploy(
        cloud,
        Plain=_resource("CloudWatch::Alarm", **plain),
        Math=_resource("CloudWatch::Alarm", **common, Metrics=math),
    )
    alarms = {alarm["AlarmName"]: alarm for alarm in cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]}

    assert plain == {name: alarms[ids["Plain"]][name] for name in plain}
    assert math == alarms[ids["Math"]]["Metrics"]
    assert "MetricName" not in alarms[ids["Math"]]


def test_a_bucket_is_as_private_and_durable_as_it_says(cloud: Cloud) -> None:
    """Versions, encryption, events, ownership, lifecycle, public access and policy."""
    rule = {"Id": "old", "Status": "Enabled", "ExpirationInDays": 90}
    rule |= {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    blocked = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    encryption = [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    statement = allow("s3:*", "*") | {"Effect": "Deny", "Principal": "*"}
    statement |= {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    ids = _deploy(
        cloud,
        Bucket=_resource(
            "S3::Bucket",
            VersioningConfiguration={"Status": "Enabled"},
            BucketEncryption={"ServerSideEncryptionConfiguration": encryption},
            NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            LifecycleConfiguration={"Rules": [rule]},
            PublicAccessBlockConfiguration=blocked,
        ),
        Policy=_resource("S3::BucketPolicy", Bucket={"Ref": "Bucket"}, PolicyDocument={"Statement": [statement]}),
    )
    s3, bucket = cloud.client("s3"), ids["Bucket"]

    assert "Enabled" == s3.get_bucket_versioning(Bucket=bucket)["Status"]
    encrypted = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert "AES256" == encrypted[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    owned = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert [{"ObjectOwnership": "BucketOwnerEnforced"}] == owned
    [kept] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert ("old", {"Days": 90}, {"DaysAfterInitiation": 7}) == (
        kept["ID"],
        kept["Expiration"],
        kept["AbortIncompleteMultipartUpload"],
    )
    assert blocked == s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert statement == json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]


def test_what_watches_and_tells_comes_out_right(cloud: Cloud) -> None:
    """A schedule, a dashboard, a subscription, and the limits of a Glue job."""
    machine, role = cloud.machine({"Pass": {"Type": "Pass", "End": True}}), cloud.role()
    target = {"Arn": machine, "RoleArn": role, "Input": '{"a": 1}', "RetryPolicy": {"MaximumRetryAttempts": 2}}
    ids = _deploy(
        cloud,
        Schedule=_resource(
            "Scheduler::Schedule",
            ScheduleExpression="cron(0 5 * * ? *)",
            ScheduleExpressionTimezone="Europe/Berlin",
            State="DISABLED",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=target,
        ),
        Dashboard=_resource("CloudWatch::Dashboard", DashboardName="board", DashboardBody='{"widgets": []}'),
        Topic=_resource("SNS::Topic"),
        Email=_resource("SNS::Subscription", TopicArn={"Ref": "Topic"}, Protocol="email", Endpoint="a@example.com"),
        Job=_resource(
            "Glue::Job",
            Role=role,
            Command={"Name": "glueetl", "ScriptLocation": "s3://b/k"},
            ExecutionProperty={"MaxConcurrentRuns": 7},
            ExecutionClass="STANDARD",
        ),
    )
    schedule = cloud.client("scheduler").get_schedule(Name=ids["Schedule"])
    assert ("cron(0 5 * * ? *)", "Europe/Berlin", "DISABLED") == (
        schedule["ScheduleExpression"],
        schedule["ScheduleExpressionTimezone"],
        schedule["State"],
    )
    assert target == schedule["Target"]
    board = cloud.client("cloudwatch").get_dashboard(DashboardName="board")
    assert {"widgets": []} == json.loads(board["DashboardBody"])
    [email] = cloud.client("sns").list_subscriptions_by_topic(TopicArn=ids["Topic"])["Subscriptions"]
    assert ("email", "a@example.com") == (email["Protocol"], email["Endpoint"])
    job = cloud.client("glue").get_job(JobName=ids["Job"])["Job"]
    assert {"MaxConcurrentRuns": 7} == job["ExecutionProperty"]


def test_the_failure_destination_of_a_function_is_kept(cloud: Cloud) -> None:
    """GetFunctionEventInvokeConfig shows it."""
    function = cloud.function("def handler(event, context): pass")
    options = {
        "FunctionName": function.rsplit(":", 1)[-1],
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 1,
        "MaximumEventAgeInSeconds": 600,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Queue", "Arn"]}}},
    }
    _deploy(cloud, Queue=_resource("SQS::Queue"), Options=_resource("Lambda::EventInvokeConfig", **options))
    found = cloud.client("lambda").get_function_event_invoke_config(FunctionName=function, Qualifier="$LATEST")

    assert (1, 600) == (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"])
    assert found["DestinationConfig"]["OnFailure"]["Destination"].startswith("arn:aws:sqs:")
