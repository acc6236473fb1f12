"""`arrivals why`: what it reads, and what it advises."""

import json
import os
import subprocess
from collections.abc import Iterator
from copy import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError
from moto import mock_aws

from shared.domain.arrival import Skip, SkipReason
from shared.domain.errors import UnsafeTargetError
from shared.domain.gather import gather, plan_window
from shared.domain.plan import Execution, plan
from shared.domain.windows import Generation, Window, write_manifest
from tests.unit.builders import BUCKET, KEY, chosen, event, refusal, stack, stored
from tools.cloud import in_words
from tools.deployed import Deployed, Opened
from tools.executions import console
from tools.failure_queue import Look, Message, count, peek, read_message
from tools.template import read_template
from tools.why import ask, judge
from tools.why.facts import Facts, Line, Upload
from tools.why.tell import tell

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STACK = Deployed(Opened("glueworkshop", {}, {}, {}, {}), stack())
FAILED = Message("t", "RetryableCallError", KEY, None, "denied")


def upload(age: timedelta = timedelta(hours=1), status: str | None = None, **changes: object) -> Upload:
    """Make an upload and the state of its execution."""
    described = stored(last_modified=NOW - age, **changes)
    return Upload(described, plan(described, chosen(), stack()), {"status": status} if status else None)


def facts(*uploads: Upload, key: str = KEY, **known: Any) -> Facts:
    """Make what is known of a key."""
    nothing: dict[str, Any] = {"missing": "", "log": [], "failures": [], "queue": Look([], 0)}
    return Facts(STACK, key, uploads=list(uploads), **(nothing | known))


@pytest.mark.parametrize(
    ("known", "advice"),
    [
        (facts(upload(status="RUNNING")), "follow the link"),
        (facts(upload(status="SUCCEEDED")), "Nothing: it was started once"),
        (facts(upload(status="FAILED")), "arrivals redrive green_tripdata-"),
        (facts(upload(status="TIMED_OUT")), "arrivals redrive"),
        (facts(upload(status="ABORTED")), "arrivals redrive"),
        (facts(Upload(stored(size=0), Skip(SkipReason.EMPTY_OBJECT, "why"), None)), "upload it again"),
        (facts(Upload(stored(), UnsafeTargetError("an empty segment"), None)), "under another key"),
        (facts(upload(), failures=[FAILED]), "Fix what the failure queue says"),
        (facts(upload(), log=[Line("t", "failed (native)", None, "denied")]), "Lambda tries three times"),
        (facts(upload(timedelta(minutes=1))), "its event has not come yet"),
        (facts(upload(timedelta(hours=1))), "Its event never came"),
        (facts(upload(timedelta(days=91))), "forgets executions after 90 days"),
        (facts(upload(), missing="deleted"), "Upload it again if it is still wanted"),
        (facts(), "Upload it again if it is still wanted"),
        (facts(log=[Line("t", "skipped (cloudtrail)", None, "failed_call AccessDenied")]), "refused"),
        # Only what is said of the newest upload counts.
        (facts(upload(version_id="2"), failures=[Message("t", "Error", KEY, "1", "")]), "Its event never came"),
        # What names no version may be about it.
        (facts(upload(version_id="2"), failures=[FAILED]), "Fix what the failure queue says"),
        (facts(upload(version_id="2"), log=[Line("t", "failed (native)", None, "denied")]), "Lambda tries three times"),
        (facts(upload(version_id="2"), upload(version_id="1", status="SUCCEEDED")), "Its event never came"),
    ],
)
def test_it_advises_on_the_newest_upload(known: Facts, advice: str) -> None:
    """One sentence for each way that an upload can end."""
    assert advice in judge.advise(known, NOW).text


def test_every_reason_has_its_advice() -> None:
    """Whoever adds a reason says what to do about it."""
    assert set(SkipReason) == set(judge.SKIPPED)


@pytest.mark.parametrize("key", ['it\'s "é".csv', "-x y", "a\x1b[31m\n\u202eb'\\c"])
def test_the_backfill_it_shows_survives_the_shell(key: str) -> None:
    """No character of a key ends the argument, and none reaches the terminal that it would act on."""
    advice = judge.advise(facts(upload(), key=key), NOW).text
    shown = advice[advice.index("arrivals backfill ") :]
    bash = ["bash", "-c", f'arrivals() {{ printf %s "$2"; }}; {shown}']
    ran = subprocess.run(bash, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]})

    assert f"--prefix={key}" == ran.stdout.decode()
    assert advice.isprintable()


def test_the_answer_names_everything() -> None:
    """Object, version, name, status, cause, link, log, queue, advice."""
    one = upload(status="FAILED", version_id="v1")
    assert isinstance(one.planned, Execution)
    described = Upload(one.stored, one.planned, {"status": "FAILED", "error": "Glue.Error", "cause": "no such path"})
    log = [Line("t", "started (native)", "v1", "n")]
    answer = tell(facts(described, log=log, queue=Look([FAILED] * 3, 1)), NOW)
    told = "\n".join(map(str, answer.told))

    for words in (
        f"s3://{BUCKET}/{KEY}",
        "version v1",
        f"{one.planned.name} is FAILED (Glue.Error: no such path)",
        "https://us-east-2.console.aws.amazon.com/states/home?region=us-east-2#/v2/executions/details/arn:aws:states:",
        "t started (native): n",
        "0 of 3 messages",
        "1 more are hidden",
        "arrivals redrive",
    ):
        assert words in told
    [data] = answer.data["uploads"]
    assert ("v1", "FAILED", one.planned.name) == (data["version_id"], data["status"], data["execution_name"])
    assert answer.to_do


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {
                "Body": json.dumps(
                    {
                        "requestPayload": event("object-created-put-versioned", detail__object__key=KEY),
                        "responsePayload": {"errorType": "RetryableCallError", "errorMessage": "denied"},
                    }
                )
            },
            ("RetryableCallError", "denied"),
        ),
        (
            {
                "Body": json.dumps({"requestPayload": event(), "requestContext": {"condition": "EventAgeExceeded"}}),
            },
            ("not handled", "EventAgeExceeded"),
        ),
        (
            {
                "Body": json.dumps(event("cloudtrail-put-object", detail__requestParameters__key=KEY)),
                "MessageAttributes": {"ERROR_CODE": {"StringValue": "NO_PERMISSIONS"}},
            },
            ("NO_PERMISSIONS", ""),
        ),
        ({"Body": json.dumps({"requestPayload": "text"})}, None),
        ({"Body": json.dumps({"requestPayload": {"detail": {"object": []}}})}, None),
        ({"Body": "no JSON"}, None),
    ],
)
def test_both_kinds_of_messages_are_read(message: dict[str, Any], expected: tuple[str, str] | None) -> None:
    """Lambda's record and a rule's dead letter; what is about another key, or about none, is not."""
    said = read_message(message)

    assert expected == ((said.what, said.why) if said.key == KEY else None)


@pytest.fixture
def aws() -> Iterator[boto3.Session]:
    """Stand in for S3, SQS and Step Functions."""
    with mock_aws():
        yield boto3.Session(region_name="us-east-2")


def test_versions_and_delete_markers_are_told_apart(aws: boto3.Session) -> None:
    """Newest first, this very key only, and a deletion is no upload."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    before = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"before versioning")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    after = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"after")
    s3.put_object(Bucket=BUCKET, Key=f"{KEY}.gz", Body=b"another key")

    found, missing = ask.read_object(s3, stack(), KEY)
    assert "" == missing
    assert {(None, before["ETag"].strip('"'), 17), (after["VersionId"], after["ETag"].strip('"'), 5)} == {
        (one.version_id, one.etag, one.size) for one in found
    }

    s3.delete_object(Bucket=BUCKET, Key=KEY)
    found, missing = ask.read_object(s3, stack(), KEY)
    assert (2, True) == (len(found), missing.startswith("deleted 20"))
    assert ([], True) == (
        ask.read_object(s3, stack(), "nothing")[0],
        "no such" in ask.read_object(s3, stack(), "no")[1],
    )

    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"once more")
    found, missing = ask.read_object(s3, stack(), KEY)
    assert (3, "") == (len(found), missing)


def test_the_newest_uploads_come_first() -> None:
    """Five of them, in whichever order S3 lists versions of an unversioned time."""
    listed = [
        {"Key": KEY, "VersionId": f"v{age}", "ETag": '"e"', "Size": 1, "IsLatest": age == 1}
        | {"LastModified": NOW - timedelta(hours=age)}
        for age in (3, 1, 6, 2, 5, 4)
    ]

    class S3:
        """S3, whose first page holds all versions; there is no reason to read the next."""

        def get_paginator(self, _name: str) -> "S3":
            return self

        def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
            yield {"Versions": listed}
            yield {"Versions": [{"Key": f"{KEY}.gz"}]}
            raise AssertionError

    found, _ = ask.read_object(S3(), stack(), KEY)

    assert ["v1", "v2", "v3", "v4", "v5"] == [one.version_id for one in found]


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "us-east-2", "us-east-2.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_link_leads_to_the_partitions_console(partition: str, region: str, host: str) -> None:
    """Of which there are three."""
    arn = f"arn:{partition}:states:{region}:123456789012:execution:m:n"

    assert f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}" == console(arn)


def test_an_execution_is_found_by_its_name(aws: boto3.Session) -> None:
    """By the name that the product computes; without one there is none."""
    role = "arn:aws:iam::123456789012:role/any"
    sfn = aws.client("stepfunctions")
    definition = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Succeed"}}})
    made = sfn.create_state_machine(name="glueworkshop", definition=definition, roleArn=role)
    mine = stack(state_machine_arn=made["stateMachineArn"])
    planned = plan(stored(), chosen(), mine)

    assert ask.read_upload(aws.client("s3"), sfn, mine, stored()).execution is None
    sfn.start_execution(stateMachineArn=made["stateMachineArn"], name=planned.name, input="{}")
    found = ask.read_upload(aws.client("s3"), sfn, mine, stored()).execution
    assert found
    assert planned.arn == found["executionArn"]
    assert isinstance(ask.read_upload(aws.client("s3"), sfn, mine, stored(size=0)).planned, Skip)


def test_an_upload_is_followed_through_its_window(aws: boto3.Session) -> None:
    """Before the close its window, after it the manifest that names it and the run on that."""
    s3, sfn = aws.client("s3"), aws.client("stepfunctions")
    s3.create_bucket(Bucket="results", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    definition = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Succeed"}}})
    machines = [
        sfn.create_state_machine(name=name, definition=definition, roleArn="arn:aws:iam::123456789012:role/any")
        for name in ("glueworkshop", "glueworkshop-windows")
    ]
    run_arn, window_arn = (one["stateMachineArn"] for one in machines)
    mine = stack(state_machine_arn=run_arn, window_machine_arn=window_arn, window_seconds=60)
    gathering = gather(stored(), chosen(window_seconds=60), mine, 0)
    first, second = (Generation(gathering.sighting.group, number) for number in range(2))

    def advice() -> str:
        found = ask.read_upload(s3, sfn, mine, stored())
        return "\n".join(map(str, tell(facts(found), NOW).told))

    assert "Its event never came" in advice()
    sfn.start_execution(stateMachineArn=window_arn, name=first.name, input=first.input)
    assert f"to be gathered by window {first.name}" in advice()
    s3.put_object(Bucket="results", Key=first.manifest_key, Body=write_manifest([]))
    sfn.start_execution(stateMachineArn=window_arn, name=second.name, input=second.input)
    assert f"to be gathered by window {second.name}" in advice()
    manifest = write_manifest([gathering.sighting.file])
    s3.put_object(Bucket="results", Key=second.manifest_key, Body=manifest)
    assert "has not started the run yet" in advice()
    run = plan_window(second, manifest, mine)
    assert run
    sfn.start_execution(stateMachineArn=run_arn, name=run.name, input=run.input)
    assert f"gathered by window {second.name}, manifest s3://results/{second.manifest_key}" in advice()
    assert f"execution {run.name} is " in advice()


@pytest.mark.parametrize(("manifest", "section"), [(None, "windowfailedalarm"), ("s3://m", "executionsfailedalarm")])
def test_a_failed_window_and_a_failed_run_are_told_apart(manifest: str | None, section: str) -> None:
    """Both are redriven, by sections of their own."""
    one = upload(status="FAILED")
    failed = replace(one, window=Generation(Window("r", BUCKET, "f/", 0, 60, None), 0), manifest=manifest)
    assert section in judge.advise(facts(failed), NOW).text


def test_a_look_takes_nothing_out_of_the_queue(aws: boto3.Session) -> None:
    """All messages are still there; those about the key are found among more than one answer holds."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="failures")["QueueUrl"]
    cause: Any = {"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}}
    for number in range(25):
        body = json.dumps(event("object-created-put-versioned", detail__object__key=f"{KEY}{number}"))
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=cause)

    look = peek(sqs, url)
    [found] = [one for one in look.messages if one.key == f"{KEY}7"]

    version = event("object-created-put-versioned")["detail"]["object"]["version-id"]
    assert ("NO_PERMISSIONS", version, 25) == (found.what, found.version_id, len(look.messages))
    assert 25 == sum(count(sqs, url))
    # Whoever looks again at once is told that there is more than can be seen.
    assert ([], 25) == (peek(sqs, url).messages, peek(sqs, url).hidden)


@pytest.mark.parametrize("key", [KEY, 'it\'s "é" 🚕.csv', "dt=2026-11-24/a b.csv", "$?*.csv"])
def test_the_log_is_filtered_by_a_plain_pattern_and_then_exactly(key: str) -> None:
    """No character of a key reaches the pattern that means something there; other keys are left out here."""
    lines = [{"message": "started", "source": "native", "key": one} for one in (key, f"{key}2")]
    asked: list[dict[str, Any]] = []

    class Logs:
        """CloudWatch Logs, which finds by the beginning."""

        def get_paginator(self, _name: str) -> "Logs":
            return self

        def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
            asked.append(arguments)
            return [{"events": [{"timestamp": 1_000, "message": json.dumps(line)} for line in lines]}]

    found = ask.read_log(Logs(), ["group"], key, NOW)

    assert ["started (native)"] == [one.what for one in found]
    assert [("group", NOW.timestamp() * 1000)] == [(one["logGroupName"], one["startTime"]) for one in asked]
    pattern = asked[0]["filterPattern"].removeprefix('{ $.key = "').removesuffix('*" }')
    assert key.startswith(pattern)
    assert not set(pattern) & set('"*\\ ${}')


def test_the_logs_are_told_in_the_order_of_time() -> None:
    """Of both groups: the last line is what counts."""

    class Logs:
        """CloudWatch Logs, where the first group's line is the newer one."""

        def get_paginator(self, _name: str) -> "Logs":
            return self

        def paginate(self, **asked: Any) -> list[dict[str, Any]]:
            word, moment = {"live": ("started", 2_000), "backfill": ("skipped", 1_000)}[asked["logGroupName"]]
            line = {"message": word, "source": "native", "key": KEY}
            return [{"events": [{"timestamp": moment, "message": json.dumps(line)}]}]

    found = ask.read_log(Logs(), ["live", "backfill"], KEY, NOW)

    assert ["skipped (native)", "started (native)"] == [one.what for one in found]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoCredentialsError(), "No credentials: log in, or say --profile or AWS_PROFILE."),
        (NoRegionError(), "No region: say --region or AWS_REGION"),
        (refusal("AccessDenied", 403, "DescribeStacks"), "Not allowed: An error occurred (AccessDenied)"),
        (refusal("ExpiredToken", 400, "DescribeStacks"), "The credentials are no longer valid"),
        (refusal("ValidationError", 400, "DescribeStacks"), "AWS did not answer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_went_wrong_is_told_with_what_to_do(error: Exception, says: str) -> None:
    """By what boto3 raises."""
    assert in_words(error).startswith(says)


def test_the_logs_of_the_function_and_of_the_backfill_are_asked() -> None:
    """Both log a decision; and the stack is the default one unless another is named."""
    resources = read_template()["Resources"]
    logs = {
        one["Properties"]["LoggingConfig"]["LogGroup"]
        for name, one in resources.items()
        if name in {"StartExecutionFunction", "BackfillBatchFunction"}
    }

    assert logs == set(ask.GROUPS)
