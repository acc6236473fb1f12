"""Nothing is lost: what could not be handled is in the failure queue, and a failed job fails its execution."""

import json

from tests.integration.conftest import Arrivals, settle, until


def test_a_malformed_event_ends_in_the_failure_queue(arrivals: Arrivals, key: str) -> None:
    """After three attempts the event waits there whole, with the error that says what is wrong with it."""
    event = arrivals.native_event(key)
    del event["detail"]["object"]["key"]
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    arrivals.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())

    record = json.loads(arrivals.failure()["Body"])

    assert event == record["requestPayload"]
    assert 3 == record["requestContext"]["approximateInvokeCount"]
    assert "MalformedEventError" == record["responsePayload"]["errorType"]
    assert "detail.object.key" in record["responsePayload"]["errorMessage"]


def test_a_foreign_bucket_is_refused(arrivals: Arrivals, key: str) -> None:
    """An event of another bucket is an error, not a start and not a skip."""
    event = arrivals.native_event(key)
    event["detail"]["bucket"]["name"] = "not-ours"

    answer = arrivals.invoke(event)

    assert "ForeignObjectError" == answer["errorType"]
    assert "not-ours" in answer["errorMessage"]


def test_a_missing_permission_ends_in_the_failure_queue_and_a_replay_heals_it(arrivals: Arrivals, key: str) -> None:
    """Without states:StartExecution the event is kept; once the policy is fixed, a backfill starts it."""
    functions, iam = arrivals.client("lambda"), arrivals.client("iam")
    function = arrivals.stack.outputs["StartExecutionFunctionName"]
    role = functions.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "states:StartExecution", "Resource": "*"}],
    }
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(deny))
    settle()
    try:
        arrivals.put(key)
        record = json.loads(arrivals.failure()["Body"])
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")
    settle()

    assert key == record["requestPayload"]["detail"]["object"]["key"]
    assert "RetryableCallError" == record["responsePayload"]["errorType"]
    assert "Check the function's role" in record["responsePayload"]["errorMessage"]
    assert [] == arrivals.executions(key)
    assert 1 == arrivals.backfill(prefix=key, dry_run=False)["started"]
    assert 1 == len(arrivals.executions(key))


def test_a_denied_object_stops_no_other_of_a_backfill(arrivals: Arrivals, key: str) -> None:
    """It is named with its reason; all others are started, and the execution does not look like a success."""
    iam, rule = arrivals.client("iam"), f"{arrivals.stack.name}-object-created"
    keys = [f"{key}/{name}.csv" for name in "abcdefg"]
    arrivals.client("events").disable_rule(Name=rule)
    settle()
    try:
        for one in keys:
            arrivals.put(one)
        settle()
    finally:
        arrivals.client("events").enable_rule(Name=rule)
    role = arrivals.stack.physical_id("BackfillBatchFunctionRole")
    denied = {"Effect": "Deny", "Action": "s3:GetObject*", "Resource": f"arn:aws:s3:::{arrivals.bucket}/{keys[1]}"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=policy)
    settle()
    try:
        ended = arrivals.run(arrivals.stack.outputs["BackfillStateMachineArn"], {"prefix": f"{key}/", "dry_run": False})
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")

    assert ("FAILED", "SomeObjectsFailed") == (ended["status"], ended["error"])
    assert "1 of 7 objects failed, 6 were started" in ended["cause"]
    assert f"HeadObject on s3://{arrivals.bucket}/'{keys[1]}': 403" in ended["cause"]
    assert [0 if one == keys[1] else 1 for one in keys] == [len(arrivals.executions(one)) for one in keys]
    settle()
    assert 1 == arrivals.backfill(prefix=f"{key}/", dry_run=False)["started"]


def test_a_rule_that_may_not_invoke_leaves_the_event_in_the_failure_queue(
    arrivals: Arrivals, key: str, source: str
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
        message = arrivals.failure()
    finally:
        for statement in policy["Statement"]:
            functions.add_permission(
                FunctionName=function,
                StatementId=statement["Sid"],
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
            )

    attributes = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    detail = json.loads(message["Body"])["detail"]
    assert key == detail["object" if source == "native" else "requestParameters"]["key"]
    assert "NO_PERMISSIONS" == attributes["ERROR_CODE"]
    assert attributes["RULE_ARN"].endswith("-object-created" if source == "native" else f"{arrivals.stack.name}-rule")


def test_a_failed_job_fails_the_execution_and_notifies(arrivals: Arrivals, key: str, inbox: str) -> None:
    """A run that fails is not swallowed: the execution fails with the job's own words, and a rule tells."""
    given = {
        "glue_max_capacity_dpus": 2,
        "JOB_NAME": arrivals.stack.physical_id("GlueJob"),
        "BUCKET_NAME": arrivals.bucket,
        "SRC_PREFIX": key,
        "TRG_PREFIX": "target/event-transformed",
    }

    ended = arrivals.run(arrivals.machine, given)

    assert "FAILED" == ended["status"]
    assert "Path does not exist" in ended["cause"]
    received: list[dict[str, str]] = []

    def look() -> bool:
        received.extend(arrivals.client("sqs").receive_message(QueueUrl=inbox).get("Messages", []))
        return bool(received)

    until(look)
    [message] = received
    mail = json.loads(json.loads(message["Body"])["Message"])
    assert ("aws.states", "Step Functions Execution Status Change") == (mail["source"], mail["detail-type"])
    # The whole event, as it is: which file, which job, which execution, how it ended, and where to redrive it.
    assert {
        "status": "FAILED",
        "executionArn": ended["executionArn"],
        "stateMachineArn": arrivals.machine,
        "name": ended["executionArn"].rsplit(":", 1)[-1],
    }.items() <= mail["detail"].items()
    assert given == json.loads(mail["detail"]["input"])


def test_a_success_is_told_and_the_job_got_all_it_needs(arrivals: Arrivals, key: str, good_news: str) -> None:
    """The words of the mail, and every argument and the workers of the run."""
    job = arrivals.stack.physical_id("GlueJob")
    arrivals.put(key)
    received: list[dict[str, str]] = []

    def look() -> bool:
        received.extend(arrivals.client("sqs").receive_message(QueueUrl=good_news).get("Messages", []))
        return bool(received)

    until(look)
    mail = json.loads(received[0]["Body"])
    [execution] = arrivals.executions(key)
    [run] = [
        one
        for one in arrivals.client("glue").get_job_runs(JobName=job)["JobRuns"]
        if one["Arguments"].get("--SRC_PREFIX") == key
    ]
    assert {
        "--JOB_NAME": job,
        "--BUCKET_NAME": arrivals.bucket,
        "--SRC_PREFIX": key,
        "--TRG_PREFIX": "target/event-transformed",
    } == run["Arguments"]
    assert ("G.1X", 2) == (run["WorkerType"], run["NumberOfWorkers"])
    assert "A Glue job succeeded" == mail["Subject"]
    assert (
        f"s3://{arrivals.bucket}/{key} was transformed by {job} and written under "
        f"s3://{arrivals.bucket}/target/event-transformed. Glue run: {run['Id']}. Execution: {execution['executionArn']}"
    ) == mail["Message"]
