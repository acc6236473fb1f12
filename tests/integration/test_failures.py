"""Nothing is lost: what could not be handled is in the failure queue, and a failed job fails its execution."""

import json

from tests.integration.stacks import Arrivals, settle


def test_a_malformed_event_ends_in_the_failure_queue(arrivals: Arrivals, key: str) -> None:
    """After three attempts the event waits there whole, with the error that says what is wrong with it."""
    event = arrivals.native_event(key)
    del event["detail"]["object"]["key"]
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    arrivals.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())

    [message] = arrivals.failure()
    record = json.loads(message["Body"])

    assert event == record["requestPayload"]
    assert 3 == record["requestContext"]["approximateInvokeCount"]
    assert "MalformedEventError" == record["responsePayload"]["errorType"]
    assert "detail.object.key" in record["responsePayload"]["errorMessage"]


def test_a_rule_that_may_not_invoke_leaves_the_event_in_the_failure_queue(
    arrivals: Arrivals, key: str, sources: set[str]
) -> None:
    """The dead letter of either rule is the bare event, with the cause and the rule in its attributes."""
    functions = arrivals.client("lambda")
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    policy = json.loads(functions.get_policy(FunctionName=function)["Policy"])
    for statement in policy["Statement"]:
        functions.remove_permission(FunctionName=function, StatementId=statement["Sid"])
    settle()
    try:
        arrivals.put(key)
        messages = arrivals.failure(len(sources))
    finally:
        for statement in policy["Statement"]:
            functions.add_permission(
                FunctionName=function,
                StatementId=statement["Sid"],
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
            )
        settle()

    rules = {"native": f"{arrivals.stack.name}-object-created", "cloudtrail": f"{arrivals.stack.name}-rule"}
    letters = {}
    for message in messages:
        event = json.loads(message["Body"])
        attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
        about = event["detail"].get("object") or event["detail"]["requestParameters"]
        letters[attributes["RULE_ARN"].rpartition("/")[2]] = (attributes["ERROR_CODE"], about["key"])
    assert {rules[source]: ("NO_PERMISSIONS", key) for source in sources} == letters


def test_how_an_execution_ended_is_told(arrivals: Arrivals, key: str, inbox: str) -> None:
    """A failed run fails with the job's own words, and a rule tells; a success says what was made."""
    job = arrivals.stack.physical_id("GlueJob")
    names = {
        "JOB_NAME": job,
        "BUCKET_NAME": arrivals.bucket,
        "SRC_PREFIX": key,
        "TRG_PREFIX": "target/event-transformed",
    }
    given = {"glue_max_capacity_dpus": 2, **names}

    failed = arrivals.run(arrivals.machine, given)

    assert "FAILED" == failed["status"]
    assert "Path does not exist" in failed["cause"]
    [message] = arrivals.received(inbox, 1, about=key)
    mail = json.loads(json.loads(message["Body"])["Message"])
    assert ("aws.states", "Step Functions Execution Status Change") == (mail["source"], mail["detail-type"])
    # The whole event, as it is: which file, which job, which execution, how it ended, and where to redrive it.
    told = {name: failed[name] for name in ("status", "executionArn", "stateMachineArn", "name")}
    assert told.items() <= mail["detail"].items()
    assert given == json.loads(mail["detail"]["input"])

    arrivals.put(key)
    [message] = arrivals.received(inbox, 1, about=key)
    mail = json.loads(message["Body"])
    [run] = [
        one
        for one in arrivals.client("glue").get_job_runs(JobName=job)["JobRuns"]
        if one["Arguments"].get("--SRC_PREFIX") == key and one["JobRunState"] == "SUCCEEDED"
    ]
    [execution] = [one for one in arrivals.executions(key) if one["status"] != "FAILED"]
    assert {f"--{name}": value for name, value in names.items()} == run["Arguments"]
    assert ("G.1X", 2) == (run["WorkerType"], run["NumberOfWorkers"])
    assert "A Glue job succeeded" == mail["Subject"]
    assert (
        f"s3://{arrivals.bucket}/{key} was transformed by {job} and written under "
        f"s3://{arrivals.bucket}/target/event-transformed. Glue run: {run['Id']}. "
        f"Execution: {execution['executionArn']}"
    ) == mail["Message"]
