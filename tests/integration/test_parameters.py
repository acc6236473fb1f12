"""A stack whose every parameter differs from its default, beside the default one."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from local import stack as local_stack
from local.emulator import process
from shared.domain.backfill import read_request
from tests.integration.conftest import Arrivals, until
from tests.unit.builders import stack
from tests.unit.resolved import OTHER, leaves, written_out
from tools.template import read_template

BUCKET = OTHER["SourceBucketName"]
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
# Not a minute, as in the table: a test waits for it.
SECONDS = 2
FOLDER = str(OTHER["SourcePrefix"]).rpartition("/")[0] + "/"


@pytest.fixture(scope="module")
def other(cloud: process.Emulator) -> Arrivals:
    """Deploy it to a bucket and to an alias of a machine of somebody else's.

    It was built as any other; the artifact is for both architectures. What concerns the stack's own bucket and job,
    which an attached stack does not make, differs in the stack of test_routes.py.
    """
    local_stack.make_bucket(cloud, str(BUCKET))
    states, iam = local_stack.client(cloud, "stepfunctions"), local_stack.client(cloud, "iam")
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = iam.create_role(RoleName="attached", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    machine = states.create_state_machine(name="Attached", definition=json.dumps(PASS), roleArn=role)["stateMachineArn"]
    version = states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    route = {"stateMachineVersionArn": version, "weight": 100}
    alias = states.create_state_machine_alias(name="live", routingConfiguration=[route])["stateMachineAliasArn"]
    here = {**OTHER, "WindowSeconds": SECONDS, "StateMachineArn": alias}
    return Arrivals(local_stack.deploy(cloud, "other", {name: written_out(value) for name, value in here.items()}))


def test_what_follows_from_each_parameter_is_there(other: Arrivals) -> None:
    """The function's environment, what is kept for how long, and who is told.

    The reserved concurrency is checked by the template alone: the local cloud deploys without it.
    """
    logs, events = other.client("logs"), other.client("events")
    function = other.stack.outputs["StartExecutionFunctionName"]
    variables = other.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    declared = read_template()["Globals"]["Function"]["Environment"]["Variables"]
    groups = [
        group
        for prefix in ("/aws/lambda/other-", "/aws/vendedlogs/states/other")
        for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    ]
    [archive] = [
        one for one in events.list_archives()["Archives"] if one["ArchiveName"] == other.stack.physical_id("Archive")
    ]
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
        "WINDOW_SECONDS": str(SECONDS),
        "WINDOW_MACHINE_ARN": other.stack.physical_id("WindowStateMachine"),
        "OVERDUE_MACHINE_ARN": other.stack.physical_id("OverdueStateMachine"),
        "RESULTS_BUCKET_NAME": other.stack.physical_id("BackfillResultsBucket"),
        "POWERTOOLS_SERVICE_NAME": "other",
        "AWS_ENDPOINT_URL_S3": "",
        "AWS_ENDPOINT_URL_SFN": "",
    } == {name: value for name, value in variables.items() if name in declared}
    assert other.machine.endswith(":stateMachine:Attached:live")
    assert (7, {OTHER["LogRetentionDays"]}) == (len(groups), {group.get("retentionInDays") for group in groups})
    assert OTHER["ArchiveRetentionDays"] == archive["RetentionDays"]
    assert OTHER["BackfillSchedule"] == target["ScheduleExpression"]
    assert {
        "since": OTHER["BackfillLookback"],
        "until": "PT15M",
        "not_before": OTHER["BackfillFrom"],
        "dry_run": False,
    } == json.loads(target["Target"]["Input"])
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    mine = stack(source_bucket_name=BUCKET, source_prefix=OTHER["SourcePrefix"])
    read = read_request(json.loads(target["Target"]["Input"]), mine, now).model_dump(mode="json")
    # Half a day after the move the lookback of 14 hours would reach behind it.
    assert (BUCKET, OTHER["SourcePrefix"], "2026-11-01T00:00:00Z", "2026-11-01T11:45:00Z", False, None) == tuple(
        read[name] for name in ("bucket", "prefix", "since", "until", "dry_run", "reprocess")
    )
    assert [OTHER["AlarmEmail"]] == [one["Endpoint"] for one in subscriptions["Subscriptions"]]


def test_sam_delete_of_it_would_delete_no_other_stacks_files(other: Arrivals) -> None:
    """Zip, definitions and script lie below the stack's own name; `sam delete` deletes whatever the template names."""
    template = other.client("cloudformation").get_template(StackName="other", TemplateStage="Original")["TemplateBody"]
    resources = (template if isinstance(template, dict) else yaml.safe_load(template))["Resources"]
    # As an address, or as a bucket and a key.
    keys = {
        (kind, path): re.sub("^s3://[^/]+/", "", str(value))
        for kind in ("CodeUri", "DefinitionUri", "ScriptLocation")
        for path, value in leaves(resources)
        if path.endswith((f".{kind}", f".{kind}.Key"))
    }

    assert {"CodeUri", "DefinitionUri", "ScriptLocation"} == {kind for kind, _ in keys}
    assert [] == [key for key in keys.values() if not re.fullmatch(r"other/[^/]+", key)]


def schedule_of(other: Arrivals) -> dict[str, Any]:
    """Read the schedule of the backfill."""
    scheduler = other.client("scheduler")
    found: dict[str, Any] = scheduler.get_schedule(Name=other.stack.physical_id("BackfillScheduler"))
    return found


def test_an_upload_starts_the_attached_machine_with_the_others(other: Arrivals) -> None:
    """Under the other prefix, once its window is over; what only the default stack would take starts nothing here."""
    key, machine = f"{OTHER['SourcePrefix']}green_tripdata.csv", other.machine.removesuffix(":live")
    other.put("input/lab2/eventdriven/green_tripdata.csv")
    other.put(key)

    assert ["started"] == other.decided(key)
    assert [] == other.log("input/lab2/eventdriven/green_tripdata.csv")
    # The role may list what begins with the prefix, which is longer than the folder.
    until(lambda: other.described(machine, "SRC_PREFIX", FOLDER))
    [execution] = other.described(machine, "SRC_PREFIX", FOLDER)
    given = json.loads(execution["input"])
    assert {
        "glue_max_capacity_dpus": OTHER["GlueMaxCapacityDpus"],
        "JOB_NAME": OTHER["JobName"],
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": FOLDER,
        "TRG_PREFIX": OTHER["TargetPrefix"],
    }.items() <= given.items()
    assert (SECONDS, 1) == (given["window"]["seconds"], given["files"])
    assert f"s3://{other.stack.physical_id('BackfillResultsBucket')}/windows/" in given["manifest"]
    assert 1 == other.backfill(prefix=key, dry_run=False)["coalesced"]


def test_silence_is_an_alarm_that_the_other_stack_has(other: Arrivals) -> None:
    """For as many hours as it says."""
    name = other.stack.physical_id("NoArrivalAlarm")
    [alarm] = other.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]

    assert OTHER["NoArrivalHours"] == alarm["EvaluationPeriods"]
    assert [{"Name": "service", "Value": "other"}] == alarm["Dimensions"]
