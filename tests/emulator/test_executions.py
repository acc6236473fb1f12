"""Starting and stopping executions."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, allow, until

WAITING = {"Wait": {"Type": "Wait", "Seconds": 100, "Next": "Done"}, "Done": {"Type": "Succeed"}}
PASSING = {"Pass": {"Type": "Pass", "End": True}}


@pytest.mark.parametrize(("states", "second"), [(WAITING, '{"a":2}'), (PASSING, '{"a":1}')], ids=["input", "ended"])
def test_any_other_reuse_of_a_name_is_refused(cloud: Cloud, states: dict[str, Any], second: str) -> None:
    """With another input, or once the first one has ended."""
    client, machine = cloud.client("stepfunctions"), cloud.machine(states)
    arn = client.start_execution(stateMachineArn=machine, name="upload", input='{"a":1}')["executionArn"]
    if states is PASSING:
        cloud.ended(arn)

    with pytest.raises(client.exceptions.ExecutionAlreadyExists, match=f"Execution Already Exists: '{arn}'"):
        client.start_execution(stateMachineArn=machine, name="upload", input=second)


def test_a_name_is_taken_once_however_many_ask(cloud: Cloud) -> None:
    """Concurrent starts of one name run it once."""
    machine = cloud.machine(WAITING)
    clients = [cloud.client("stepfunctions") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        arns = pool.map(
            lambda one: one.start_execution(stateMachineArn=machine, name="upload")["executionArn"], clients
        )

    assert 1 == len(set(arns))
    assert 1 == len(clients[0].list_executions(stateMachineArn=machine)["executions"])


def test_what_is_illegal_starts_nothing(cloud: Cloud) -> None:
    """Names are short and hold no white space, control or special characters; an input is JSON, and short."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    for name in ("a b", "a/b", "a:b", "a\x7f", "x" * 81):
        with pytest.raises(states.exceptions.InvalidName, match="Invalid Name: '"):
            states.start_execution(stateMachineArn=machine, name=name)
    for given in ("not json", json.dumps("x" * 262_144)):
        with pytest.raises(states.exceptions.InvalidExecutionInput):
            states.start_execution(stateMachineArn=machine, input=given)


def test_a_stopped_execution_stays_stopped(cloud: Cloud) -> None:
    """Its task may fail afterwards."""
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"})
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync", "End": True}
    nothing = {"--BUCKET_NAME": "none", "--SRC_PREFIX": "none"}
    machine = cloud.machine({"Run": task | {"Parameters": {"JobName": "job", "Arguments": nothing}}})
    states = cloud.client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine)["executionArn"]
    until(lambda: cloud.client("glue").get_job_runs(JobName="job")["JobRuns"])
    states.stop_execution(executionArn=arn)
    until(lambda: cloud.client("glue").get_job_runs(JobName="job")["JobRuns"][0]["JobRunState"] == "FAILED")

    assert "ABORTED" == cloud.ended(arn)["status"]


@pytest.mark.parametrize("qualifier", ["1", "live"])
def test_a_version_or_alias_needs_the_permission_for_the_machine(cloud: Cloud, qualifier: str) -> None:
    """One that names the version or alias does not help."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    version = states.publish_state_machine_version(stateMachineArn=machine)["stateMachineVersionArn"]
    route = {"stateMachineVersionArn": version, "weight": 100}
    states.create_state_machine_alias(name="live", routingConfiguration=[route])
    qualified = f"{machine}:{qualifier}"

    def start(allowed: str) -> Any:
        role = cloud.assume(cloud.role(allow("states:StartExecution", allowed)))
        return cloud.client("stepfunctions", **role).start_execution(stateMachineArn=qualified)

    with pytest.raises(ClientError, match="AccessDenied"):
        start(qualified)
    assert machine.rsplit(":", 1)[-1] in start(machine)["executionArn"]
