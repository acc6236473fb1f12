"""Starting, describing, stopping and redriving executions."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.conftest import Cloud, until

WAITING = {"Wait": {"Type": "Wait", "Seconds": 100, "Next": "Done"}, "Done": {"Type": "Succeed"}}
PASSING = {"Pass": {"Type": "Pass", "End": True}}


def test_the_same_start_while_it_runs_is_the_running_one(cloud: Cloud) -> None:
    """Same name and same input answer 200 with the first ARN and date."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(WAITING)
    first = states.start_execution(stateMachineArn=machine, name="upload", input='{"a":1}')
    second = states.start_execution(stateMachineArn=machine, name="upload", input='{"a":1}')

    assert first["executionArn"] == second["executionArn"]
    assert first["startDate"] == second["startDate"]


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
    machine = cloud.machine(PASSING)
    clients = [cloud.client("stepfunctions") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        arns = pool.map(
            lambda one: one.start_execution(stateMachineArn=machine, name="upload")["executionArn"], clients
        )

    assert 1 == len(set(arns))
    assert 1 == len(clients[0].list_executions(stateMachineArn=machine)["executions"])


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a\x7f", "x" * 81])
def test_an_illegal_name_is_refused(cloud: Cloud, name: str) -> None:
    """Names are short and hold no white space, control or special characters."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)

    with pytest.raises(states.exceptions.InvalidName, match="Invalid Name: '"):
        states.start_execution(stateMachineArn=machine, name=name)


def test_an_input_must_be_json_and_short(cloud: Cloud) -> None:
    """AWS answers with its parser's words."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    with pytest.raises(states.exceptions.InvalidExecutionInput, match="'Unrecognized token 'not': was expecting"):
        states.start_execution(stateMachineArn=machine, input="not json")
    with pytest.raises(states.exceptions.InvalidExecutionInput):
        states.start_execution(stateMachineArn=machine, input=json.dumps("x" * 262_144))


def test_a_missing_machine_is_named(cloud: Cloud) -> None:
    """The message holds the ARN."""
    states = cloud.client("stepfunctions")
    missing = "arn:aws:states:us-east-2:123456789012:stateMachine:none"

    with pytest.raises(states.exceptions.StateMachineDoesNotExist, match=f"State Machine Does Not Exist: '{missing}'"):
        states.start_execution(stateMachineArn=missing)


def test_the_trace_header_is_kept(cloud: Cloud) -> None:
    """DescribeExecution shows what StartExecution was given."""
    states, machine = cloud.client("stepfunctions"), cloud.machine(PASSING)
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
    arn = states.start_execution(stateMachineArn=machine, traceHeader=header)["executionArn"]

    assert header == cloud.ended(arn)["traceHeader"]


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


def test_a_redrive_goes_on_with_the_state_that_failed(cloud: Cloud) -> None:
    """Under the same ARN, without what had succeeded."""
    states = cloud.client("stepfunctions")
    glue = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun.sync"}
    machine = cloud.machine(
        {
            "Before": glue | {"Parameters": {"JobName": "before"}, "ResultPath": None, "Next": "Run"},
            "Run": glue | {"Parameters": {"JobName": "job"}, "ResultPath": "$.run", "End": True},
        }
    )
    cloud.client("glue").create_job(Name="before", Role="role", Command={"Name": "glueetl"})
    failed = cloud.run(machine, {"a": 1})
    assert ("FAILED", "REDRIVABLE") == (failed["status"], failed["redriveStatus"])

    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"})
    states.redrive_execution(executionArn=failed["executionArn"])
    again = cloud.ended(failed["executionArn"])

    assert ("SUCCEEDED", 1) == (again["status"], again["redriveCount"])
    assert 1 == len(cloud.client("glue").get_job_runs(JobName="before")["JobRuns"])
    assert {"a": 1} == {key: value for key, value in json.loads(again["output"]).items() if key != "run"}


def test_a_redriven_fail_state_fails_again(cloud: Cloud) -> None:
    """What was caught and ended in a Fail state cannot be redriven past it."""
    task = {"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun", "Parameters": {"JobName": "job"}}
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]}
    machine = cloud.machine({"Run": task | catch | {"End": True}, "Failed": {"Type": "Fail", "Error": "Caught"}})
    arn = cloud.run(machine)["executionArn"]
    cloud.client("glue").create_job(Name="job", Role="role", Command={"Name": "glueetl"})
    cloud.client("stepfunctions").redrive_execution(executionArn=arn)

    assert ("FAILED", "Caught") == (cloud.ended(arn)["status"], cloud.ended(arn)["error"])
    assert [] == cloud.client("glue").get_job_runs(JobName="job")["JobRuns"]


def test_only_what_failed_can_be_redriven(cloud: Cloud) -> None:
    """A success cannot."""
    arn = cloud.run(cloud.machine(PASSING))["executionArn"]

    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        cloud.client("stepfunctions").redrive_execution(executionArn=arn)
