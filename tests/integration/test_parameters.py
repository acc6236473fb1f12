"""A stack whose every parameter differs from its default, beside the default one."""

import json
from typing import Any

import pytest

from local import stack as local_stack
from local.emulator import process
from local.stack import PARAMETERS
from tests.integration.conftest import Arrivals
from tests.unit.resolved import OTHER, written_out

BUCKET = OTHER["SourceBucketName"]
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}


@pytest.fixture(scope="module")
def other(cloud: process.Emulator) -> Arrivals:
    """Deploy it to a bucket and a machine of somebody else's."""
    local_stack.make_bucket(cloud, str(BUCKET))
    states, iam = local_stack.client(cloud, "stepfunctions"), local_stack.client(cloud, "iam")
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = iam.create_role(RoleName="attached", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    machine = states.create_state_machine(name="Attached", definition=json.dumps(PASS), roleArn=role)["stateMachineArn"]
    # What runs here must be built for here; the alias would need a version of its own; with a window
    # the upload would start the window machine, which has tests of its own.
    here = {**OTHER, "WindowSeconds": 0, "StateMachineArn": machine, "Architecture": "x86_64", **PARAMETERS}
    return Arrivals(local_stack.deploy(cloud, "other", {name: written_out(value) for name, value in here.items()}))


def test_what_follows_from_each_parameter_is_there(other: Arrivals) -> None:
    """The function's environment, what is kept for how long, and who is told."""
    logs, events = other.client("logs"), other.client("events")
    function = other.stack.outputs["StartExecutionFunctionName"]
    variables = other.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    groups = [
        group
        for prefix in ("/aws/lambda/other-", "/aws/vendedlogs/states/other")
        for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    ]
    [archive] = [one for one in events.list_archives()["Archives"] if one["ArchiveName"].startswith("other-")]
    target = schedule_of(other)
    subscriptions = other.client("sns").list_subscriptions_by_topic(TopicArn=other.stack.physical_id("AlarmTopic"))

    assert {
        "ACCOUNT_ID": process.ACCOUNT,
        "SOURCE_BUCKET_NAME": BUCKET,
        "SOURCE_PREFIX": OTHER["SourcePrefix"],
        "STATE_MACHINE_ARN": other.machine,
        "JOB_NAME": OTHER["JobName"],
        "TARGET_PREFIX": OTHER["TargetPrefix"],
        "GLUE_MAX_CAPACITY_DPUS": str(OTHER["GlueMaxCapacityDpus"]),
        "POWERTOOLS_SERVICE_NAME": "other",
    }.items() <= variables.items()
    assert (5, {OTHER["LogRetentionDays"]}) == (len(groups), {group.get("retentionInDays") for group in groups})
    assert OTHER["ArchiveRetentionDays"] == archive["RetentionDays"]
    assert OTHER["BackfillSchedule"] == target["ScheduleExpression"]
    assert {
        "since": OTHER["BackfillLookback"],
        "until": "PT15M",
        "not_before": OTHER["BackfillFrom"],
        "dry_run": False,
    } == json.loads(target["Target"]["Input"])
    assert [OTHER["AlarmEmail"]] == [one["Endpoint"] for one in subscriptions["Subscriptions"]]


def schedule_of(other: Arrivals) -> dict[str, Any]:
    """Read the schedule of the backfill."""
    scheduler = other.client("scheduler")
    [name] = [one["Name"] for one in scheduler.list_schedules()["Schedules"] if one["Name"].startswith("other-")]
    found: dict[str, Any] = scheduler.get_schedule(Name=name)
    return found


def test_an_upload_starts_the_attached_machine_with_the_others(other: Arrivals) -> None:
    """Under the other prefix; what only the default stack would take starts nothing here."""
    key = f"{OTHER['SourcePrefix']}green_tripdata.csv"
    other.put("input/lab2/eventdriven/green_tripdata.csv")
    other.put(key)

    assert ["started"] == other.decided(key)
    assert [] == other.log("input/lab2/eventdriven/green_tripdata.csv")
    [execution] = other.executions(key)
    given = json.loads(execution["input"])
    assert {
        "glue_max_capacity_dpus": OTHER["GlueMaxCapacityDpus"],
        "JOB_NAME": OTHER["JobName"],
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": key,
        "TRG_PREFIX": OTHER["TargetPrefix"],
    }.items() <= given.items()
    assert 1 == other.backfill(prefix=key, dry_run=False)["duplicates"]


def test_silence_is_an_alarm_that_the_other_stack_has(other: Arrivals) -> None:
    """For as many hours as it says."""
    name = other.stack.physical_id("NoArrivalAlarm")
    [alarm] = other.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]

    assert OTHER["NoArrivalHours"] == alarm["EvaluationPeriods"]
    assert [{"Name": "service", "Value": "other"}] == alarm["Dimensions"]
