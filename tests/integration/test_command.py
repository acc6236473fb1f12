"""`arrivals` as whoever is on call runs it: on a stack with windows, routes, and all that went wrong."""

import json
import os
import pty
import re
import shlex
import subprocess
import termios
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.credentials import Credentials

from local import stack as local_stack
from local.emulator.process import ACCOUNT, REGION, REPOSITORY, Emulator
from tests.integration.commands import PROGRAM, data, environment, forget_clients, run
from tests.integration.duty import ANOTHER, NAME, ROUTES
from tests.integration.stacks import Arrivals, until
from tools.status import FUNNEL

PAGE = (REPOSITORY / "docs" / "command.md").read_text()
# Where IAM's action is not called after the operation; STS asks for none.
ACTIONS = {
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
}
# Without it, S3 answers 403 for a manifest that is not there yet, in place of 404.
# Nothing is overdue before test_expectations.py.
UNCALLED = {"why": {"s3:ListBucket"}, "expected": {"states:DescribeExecution"}}


@pytest.fixture
def tenant() -> str:
    return f'raw/tenants/{uuid.uuid4().hex}/it\'s a "q" $HOME \u202e\x9b31m.csv'


def test_a_denied_object_is_found_and_set_right_as_it_says(duty: Arrivals, tenant: str) -> None:
    """The failure queue names the key, the command that it shows starts it, and nothing is lost by looking."""
    with duty.denied("StartExecutionFunction", "states:StartExecution"):
        duty.put(tenant)
        until(lambda: duty.waits()[0])
    [failure] = [one for one in data(duty, "failed")["failures"] if one["key"] == tenant]

    assert ("event RetryableCallError", None) == (failure["what"], failure["name"])
    code, told, _ = run(duty, "failed")
    assert (1, True) == (code, "1 more are hidden" in told)
    code, told, _ = run(duty, "why", tenant)
    # Its message is hidden for some seconds, and the log tells of it meanwhile.
    assert (1, True) == (code, "look again in some minutes" in told)
    assert told.replace("\n", "").isprintable()
    arrivals = f'arrivals() {{ {shlex.join(PROGRAM)} "$@"; }}; '
    bash = ["/bin/bash", "-c", arrivals + failure["to_do"].partition(": ")[2]]
    ran = subprocess.run(bash, env=environment(duty), cwd="/", capture_output=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    assert "Started   1\n" in ran.stdout.decode()
    assert 1 == len(duty.executions(tenant))
    assert 1 == run(duty, "status")[0]
    counted = data(duty, "status")["metrics"]
    # Three tries of one event.
    assert counted["Failed"]["hour"] == counted["Failed"]["day"] == 3
    # Every arrival is counted twice, once as what became of it.
    assert counted["Received"]["hour"] == sum(counted[name]["hour"] or 0 for name in FUNNEL[1:])
    assert 1 == sum(duty.waits())


def broken(duty: Arrivals, key: str) -> None:
    """Upload a file that is gone before its job looks at it, and wait until that has failed."""
    duty.put(key, run_seconds=1.5)
    until(lambda: duty.executions(key))
    duty.client("s3").delete_object(Bucket=duty.bucket, Key=key)
    duty.until_ended(key, "FAILED")


def test_a_broken_file_is_redriven(duty: Arrivals) -> None:
    """Its run fails, is listed with the cause, and runs again only when somebody says so."""
    key = f"raw/tenants/{uuid.uuid4().hex}/a.csv"
    broken(duty, key)
    [execution] = duty.executions(key)
    [failure] = [one for one in data(duty, "failed", "--since", "PT1H")["failures"] if one["key"] == key]

    assert ("workflow FAILED", execution["name"]) == (failure["what"], failure["name"])
    assert "Path does not exist" in failure["why"]
    assert f"fix it, then: arrivals redrive --stack {NAME} {execution['name']}" == failure["to_do"]
    code, told, error = run(duty, "redrive", execution["name"])
    assert (1, True, True) == (code, execution["name"] in told, "Nothing was redriven" in error)
    assert ["FAILED"] == [one["status"] for one in duty.executions(key)]
    duty.put(key)
    assert 0 == run(duty, "redrive", execution["executionArn"], "--yes")[0]
    duty.until_ended(key, "SUCCEEDED", "SUCCEEDED")
    code, _, error = run(duty, "redrive", execution["name"], "--yes")
    assert (2, True) == (code, "SUCCEEDED: there is nothing to redrive" in error)


def test_a_stopped_window_is_redriven(duty: Arrivals, folder: str) -> None:
    """It closes as any other, and its file gets its run."""
    duty.put(f"{folder}a.csv")
    until(lambda: duty.windows(folder))
    [window] = duty.windows(folder)
    duty.client("stepfunctions").stop_execution(executionArn=window["executionArn"])
    code, told, _ = run(duty, "why", f"{folder}a.csv")

    assert (1, True) == (
        code,
        f"arrivals redrive --stack {NAME} {window['name']} (docs/runbook.md#windowfailedalarm)" in told,
    )
    assert "window ABORTED" in {one["what"] for one in data(duty, "failed")["failures"] if one["key"] == folder}
    assert 0 == run(duty, "redrive", window["name"], "--yes")[0]
    duty.until_settled(folder)
    assert {f"{folder}a.csv": 1} == duty.gathered(folder)


def test_a_backfill_is_followed_left_and_followed_again(duty: Arrivals, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry it says what it would start; then it starts that, whether somebody looks on or not."""
    folder = f"raw/tenants/{uuid.uuid4().hex}/"
    with duty.unannounced():
        for number in range(7):
            duty.put(f"{folder}{number}.csv")
    code, told, error = run(duty, "backfill", "--prefix", folder)

    assert (1, True) == (code, "Started   7 would be started: this was a dry run\n" in told)
    assert f"To do     Start them: arrivals backfill --stack {NAME} --prefix={folder} --start\n" in told
    assert " of 7 objects listed so far are done" in error
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def left(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "DescribeExecution":
            raise KeyboardInterrupt
        return original(client, operation, arguments)

    # While it looks on: a signal might come when all is done.
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", left)
        code, _, error = run(duty, "backfill", f"--prefix={folder}", "--start")
    assert 130 == code, error
    [again] = re.findall(r"arrivals (backfill .* --follow \S+)", error)
    report = data(duty, *shlex.split(again))
    assert ("SUCCEEDED", 7, False) == (report["status"], report["report"]["started"], report["report"]["dry_run"])
    assert 0 == run(duty, "backfill", "--follow", "last")[0]
    before = backfills(duty)
    assert 2 == run(duty, "backfill", "--since", "yesterday")[0]
    # Refused before it was started: no alarm rings for a slip of the keyboard.
    assert before == backfills(duty)


def backfills(duty: Arrivals) -> set[str]:
    machine = duty.stack.outputs["BackfillStateMachineArn"]
    found = duty.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return {one["name"] for one in found}


def test_a_backfill_that_failed_in_part_still_tells_its_report(duty: Arrivals) -> None:
    """What failed with its reason, and what to do; it is not redriven, for it would only fail again."""
    folder = f"raw/tenants/-{uuid.uuid4().hex}/"
    duty.put(f"{folder}a.csv")
    duty.failure()
    code, told, _ = run(duty, "backfill", f"--prefix={folder}")

    assert (1, True) == (code, "Failed    1\n" in told)
    assert f"          {folder}a.csv: Key " in told
    assert "To do     Fix what failed, then: arrivals backfill " in told
    assert "under another key" in data(duty, "why", f"{folder}a.csv")["to_do"]
    [listed] = [one for one in data(duty, "failed")["failures"] if one["what"] == "backfill FAILED"]
    assert (None, True) == (listed["name"], "run the backfill again" in listed["to_do"])


def test_what_is_deployed_is_what_is_told(duty: Arrivals, tmp_path: Path) -> None:
    """Not what a checkout has: the routes come with the function's code, and so do the last arrivals with its log."""
    folder = f"raw/tenants/{uuid.uuid4().hex}/"
    duty.put(f"{folder}a.csv")
    until(lambda: duty.executions(f"{folder}a.csv"))

    def last() -> dict[str, Any]:
        return {one["route"]: one["last"] for one in data(duty, "routes")}

    assert ROUTES.keys() == last().keys()
    until(lambda: f"{folder}a.csv" == (last()["tenants"] or {}).get("key"))
    assert "started" == last()["tenants"]["outcome"]
    assert "tenants" == data(duty, "route", f"{folder}a.csv")["route"]
    (tmp_path / "other.toml").write_text(f'job_name = "j"\n{ROUTES["tenants"]}')
    assert "other" == data(duty, "route", f"{folder}a.csv", "--routes", str(tmp_path))["route"]


def test_attaching_meets_what_is_there(duty: Arrivals, cloud: Emulator) -> None:
    """A bucket that says nothing, one that does not exist, and a machine of the wrong kind."""
    quiet = f"quiet-{uuid.uuid4().hex[:8]}"
    location = {"LocationConstraint": cloud.credentials["region_name"]}
    duty.client("s3").create_bucket(Bucket=quiet, CreateBucketConfiguration=location)
    described = duty.client("stepfunctions").describe_state_machine(stateMachineArn=duty.machine)
    express = duty.client("stepfunctions").create_state_machine(
        name=quiet, type="EXPRESS", definition=described["definition"], roleArn=described["roleArn"]
    )["stateMachineArn"]

    def found(*words: str) -> dict[str, str]:
        return {one["what"]: one["to_do"] for one in data(duty, "attach", *words)["findings"]}

    assert {"bucket": "", "events": "", "key": "", "versions": "", "trail": "", "machine": ""} == found(
        duty.bucket, "--machine", duty.machine
    )
    assert "turn on EventBridge" in found(quiet)["events"]
    assert "make a Standard one" in found(quiet, "--machine", express)["machine"]
    assert "check the name" in found(f"no-{quiet}")["bucket"]


@pytest.mark.parametrize(
    ("words", "more", "says"),
    [
        (["why", "k"], {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "No credentials"),
        (["status"], {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        (["failed", "--region", "eu-central-1"], {}, "No stack 'onduty' in eu-central-1"),
        (["redrive", "--stack", "nowhere"], {}, "No stack 'nowhere' in us-east-2"),
        (["backfill", "--endpoint-url", "http://127.0.0.1:9"], {}, "AWS did not answer: Could not connect"),
        (["failed", "--since", "P"], {}, "is no time and no duration"),
        (["why", "\udce9"], {}, "The key is not UTF-8"),
        (["backfill", "--follow", "nothing"], {}, "No backfill 'nothing'"),
        (["redrive", "nothing"], {}, "No execution 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_be_asked_is_one_message(
    duty: Arrivals, words: list[str], more: dict[str, str], says: str
) -> None:
    """No answer, no traceback, and an exit code of its own."""
    code, told, error = run(duty, *words, **more)

    assert (2, "") == (code, told), error
    assert says in error
    assert "Traceback" not in error


def test_who_reads_may_stop_reading(duty: Arrivals) -> None:
    """`head` takes a line of many, and nobody complains."""
    command = f"set -o pipefail; {shlex.join(PROGRAM)} failed --json | head -c 1"
    # More than a pipe holds.
    for name in "abcdefgh":
        duty.client("sqs").send_message(QueueUrl=duty.stack.outputs["FailureQueueUrl"], MessageBody=name * 50_000)
    ran = subprocess.run(["/bin/bash", "-c", command], env=environment(duty), cwd="/", capture_output=True, check=False)

    assert (1, b"{", b"") == (ran.returncode, ran.stdout, ran.stderr)


def test_a_terminal_of_80_columns_is_wide_enough(duty: Arrivals) -> None:
    """For the whole screen, with tables as tables."""
    main_end, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    started = subprocess.Popen(
        [*PROGRAM, "status"], env=environment(duty, TERM="xterm"), cwd="/", stdout=end, stdin=end
    )
    os.close(end)
    told = b""
    try:
        while part := os.read(main_end, 4096):
            told += part
    except OSError:  # the end of a terminal
        pass
    started.wait()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", told.decode()).splitlines()

    assert any(
        line.split() == ["RECEIVED", "STARTED", "DUPLICATES", "COALESCED", "WAITING", "SKIPPED", "FAILED"]
        for line in lines
    )
    assert [] == [line for line in lines if len(line) > 80 and not line.startswith(" ")]


# ---- Permissions ----


def statements() -> dict[str, dict[str, Any]]:
    [text] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, value in {
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "STACK": NAME,
        "BUCKET": f"{NAME}-sourcebucket-*",
    }.items():
        text = text.replace(name, value)
    found = {one["Sid"]: one for one in json.loads(text)["Statement"]}
    # As the page says of other state machines.
    found["Lists"]["Resource"].append(ANOTHER)
    for sid in ("Executions", "Redrive"):
        found[sid]["Resource"].append(f"{ANOTHER.replace(':stateMachine:', ':execution:')}:*")
    return found


def needed() -> dict[str, list[str]]:
    rows = re.findall(r"^\| `arrivals (\w+)[^|]*\| [^|]* \| ([\w, ]+) \|$", PAGE, re.MULTILINE)
    return {command: sids.split(", ") for command, sids in rows}


def test_each_command_may_do_what_it_does_and_nothing_else(
    duty: Arrivals, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user with the statements that the page names for it; each action is called, and no other."""
    made = statements()
    duty.put(f"{folder}a.csv")
    broken(duty, f"raw/tenants/{uuid.uuid4().hex}/a.csv")
    unsafe = f"raw/tenants/-{uuid.uuid4().hex}/a.csv"
    duty.put(unsafe)
    duty.until_settled(folder)
    questions = {
        "why": [["why", f"{folder}a.csv"]],
        "route": [["route", f"{folder}a.csv"]],
        "routes": [["routes"]],
        "backfill": [["backfill", f"--prefix={unsafe}"], ["backfill", "--follow", "last"]],
        "failed": [["failed"]],
        "redrive": [["redrive", "--yes"]],
        "status": [["status"]],
        "expected": [["expected"]],
        "attach": [["attach", duty.bucket, "--machine", duty.machine]],
    }
    assert questions.keys() == needed().keys()
    assert made.keys() == {sid for sids in needed().values() for sid in sids}
    # Something calls trails to be looked into.
    local_stack.start_trail(duty.stack, "onduty")
    called: set[str] = set()
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def record(client: Any, operation: str, arguments: Any) -> Any:
        # To make clients for each user takes longer than to ask.
        client._request_signer._credentials = who
        service = {"stepfunctions": "states"}.get(name := client.meta.service_model.service_name, name)
        action = f"{service}:{operation}"
        called.add(ACTIONS.get(action, action))
        return original(client, operation, arguments)

    asked = {
        command: (
            user(duty, *(made[sid] for sid in sids)),
            {one for sid in sids for one in listed(made[sid]["Action"])},
        )
        for command, sids in needed().items()
    }
    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    for command, (credentials, allowed) in asked.items():
        who = Credentials(*credentials.values())
        called.clear()
        for words in questions[command]:
            code, _, error = run(duty, *words)
            assert code in {0, 1}, (words, error)
        assert allowed - UNCALLED.get(command, set()) == called - {"sts:GetCallerIdentity"}, command
    monkeypatch.undo()
    forget_clients()
    duty.client("cloudtrail").delete_trail(Name="onduty")


def user(duty: Arrivals, *statements: dict[str, Any]) -> dict[str, str]:
    """Make a user who may do that and nothing else; return what a shell of hers has."""
    iam, name = duty.client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    if statements:
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="page", PolicyDocument=policy)
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_who_may_nothing_is_told_where_to_look(duty: Arrivals) -> None:
    """The permission that lacks, and the page that has it."""
    code, told, error = run(duty, "status", **user(duty))

    assert (2, "") == (code, told)
    assert "Not allowed: " in error
    assert "docs/command.md" in error
