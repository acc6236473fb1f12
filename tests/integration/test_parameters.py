"""A stack whose every parameter differs from its default, beside the default one."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml

from local import stack as local_stack
from shared.domain.backfill import read_request
from tests.integration.stacks import SECONDS, Arrivals, until
from tests.unit.builders import stack
from tests.unit.resolved import OTHER, leaves, written_out

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


def test_the_schedule_looks_at_nothing_from_before_the_move(other: Arrivals) -> None:
    """Half a day after it the lookback of 14 hours would reach behind it. All other properties are in `follows.yaml`."""
    schedule = other.client("scheduler").get_schedule(Name=other.stack.physical_id("BackfillScheduler"))
    mine = stack(source_bucket_name=BUCKET, source_prefix=OTHER["SourcePrefix"])
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    read = read_request(json.loads(schedule["Target"]["Input"]), mine, now).model_dump(mode="json")

    assert OTHER["BackfillSchedule"] == schedule["ScheduleExpression"]
    assert {
        "bucket": BUCKET,
        "prefix": OTHER["SourcePrefix"],
        "since": "2026-11-01T00:00:00Z",
        "until": "2026-11-01T11:45:00Z",
        "dry_run": False,
        "reprocess": None,
    } == read


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
