"""A stack whose every parameter differs from its default, beside the default one."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml

from local import stack as local_stack
from local.emulator import process
from shared.domain.backfill import read_request
from tests.integration.stacks import SECONDS, Arrivals, until
from tests.unit.builders import stack
from tests.unit.resolved import OTHER, leaves, written_out
from tools.template import read_template

BUCKET = OTHER["SourceBucketName"]
PASS = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
FOLDER = str(OTHER["SourcePrefix"]).rpartition("/")[0] + "/"


@pytest.fixture(scope="module")
def other(arrivals: Arrivals) -> Arrivals:
    """Deploy it to a bucket and to an alias of a machine of somebody else's, with windows that a test can wait for.

    It was built as any other; the artifact is for both architectures. What concerns the stack's own bucket and job,
    which an attached stack does not make, differs in the stack of duty.py.
    """
    cloud = arrivals.stack.cloud
    local_stack.make_bucket(cloud, str(BUCKET))
    states = arrivals.client("stepfunctions")
    role = states.describe_state_machine(stateMachineArn=arrivals.machine)["roleArn"]
    machine = states.create_state_machine(name="Attached", definition=json.dumps(PASS), roleArn=role)["stateMachineArn"]
    here = {**OTHER, "WindowSeconds": SECONDS, "StateMachineArn": local_stack.make_alias(cloud, machine)}
    given = {name: written_out(value) for name, value in here.items()}
    return Arrivals(local_stack.again(arrivals.stack, "other", given))


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
    target = other.client("scheduler").get_schedule(Name=other.stack.physical_id("BackfillScheduler"))
    subscriptions = other.client("sns").list_subscriptions_by_topic(TopicArn=other.stack.physical_id("AlarmTopic"))

    assert {
        # What is no parameter stands there as it is.
        **{name: value for name, value in declared.items() if isinstance(value, str)},
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
    silence = other.stack.physical_id("NoArrivalAlarm")
    [alarm] = other.client("cloudwatch").describe_alarms(AlarmNames=[silence])["MetricAlarms"]
    assert OTHER["NoArrivalHours"] == alarm["EvaluationPeriods"]
    assert [{"Name": "service", "Value": "other"}] == alarm["Dimensions"]


def test_sam_delete_would_delete_no_other_stacks_files(arrivals: Arrivals) -> None:
    """Zip, definitions and script lie below the stack's own name; `sam delete` deletes whatever the template names."""
    name = arrivals.stack.name
    template = arrivals.client("cloudformation").get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    # As an address, or as a bucket and a key.
    keys = {
        (kind, path): re.sub("^s3://[^/]+/", "", str(value))
        for kind in ("CodeUri", "DefinitionUri", "ScriptLocation")
        for path, value in leaves(yaml.safe_load(template)["Resources"])
        if path.endswith((f".{kind}", f".{kind}.Key"))
    }

    assert {"CodeUri", "DefinitionUri", "ScriptLocation"} == {kind for kind, _ in keys}
    assert [] == [key for key in keys.values() if not re.fullmatch(rf"{name}/[^/]+", key)]


def test_an_upload_starts_the_attached_machine_with_the_others(other: Arrivals) -> None:
    """Under the other prefix, once its window is over; what only the default stack would take starts nothing here."""
    key, machine = f"{OTHER['SourcePrefix']}green_tripdata.csv", other.machine.removesuffix(":live")
    elsewhere = "input/lab2/eventdriven/green_tripdata.csv"
    other.put(elsewhere)
    other.put(key)

    assert {key: ["started"], elsewhere: []} == other.decided({key: ["started"], elsewhere: []})
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
