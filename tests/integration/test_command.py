"""`arrivals` as whoever is on call runs it: on a stack with windows, routes, and all that went wrong."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from artifact.route_files import packed_module, read_routes
from local import stack as local_stack
from local.emulator.process import ACCOUNT, REGION, REPOSITORY, Emulator
from tests.integration.conftest import Arrivals, settle, until
from tests.integration.gathering import Windows
from tools.command import main

PAGE = (REPOSITORY / "docs" / "command.md").read_text()
NAME = "onduty"
# Where IAM's action is not called after the operation; STS asks for none.
ACTIONS = {
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
}
# Without it, S3 answers 403 for a manifest that is not there yet, in place of 404.
# No route of this stack expects anything: test_expectations.py has those.
UNCALLED = {"why": {"s3:ListBucket"}, "expected": {"s3:ListBucket", "states:DescribeExecution"}}
TENANTS = """
match = "raw/tenants/{tenant}/{file}.csv"
job_name = "onduty-jb"
target = "curated/{tenant}"
[parameters]
TENANT = "{tenant}"
"""
READINGS = """
match = "raw/readings/{day}/{file}.csv"
job_name = "onduty-jb"
target = "curated/readings/{day}"
window_seconds = 2
"""


@pytest.fixture(scope="module")
def duty(cloud: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """Deploy a stack with two routes, one of which gathers."""
    folder = tmp_path_factory.mktemp("routes")
    (folder / "tenants.toml").write_text(TENANTS)
    (folder / "readings.toml").write_text(READINGS)
    module = packed_module(read_routes(folder))
    return Windows(local_stack.deploy(cloud, NAME, {"JobName": "onduty-jb", "SourcePrefix": "raw/"}, routes=module))


@pytest.fixture
def tenant() -> str:
    """Provide the key of a file of a tenant of the test's own, with all that a shell or a terminal might act on."""
    return f'raw/tenants/{uuid.uuid4().hex}/it\'s a "q" $HOME \u202e\x9b31m.csv'


def environment(stack: Arrivals, **more: str) -> dict[str, str]:
    """Return what a shell has that is meant for the local cloud."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ARRIVALS_"))}
    python = {"PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}", "LC_ALL": "C.UTF-8"}
    return {**inherited, **python, **stack.stack.cloud.environment, "ARRIVALS_STACK": stack.stack.name, **more}


def run(stack: Arrivals, *words: str, **more: str) -> tuple[int, str, str]:
    """Run the command somewhere else than in the checkout; return exit code, answer and error."""
    command = [sys.executable, "-m", "tools", *words]
    ran = subprocess.run(
        command, env=environment(stack, **more), cwd="/", capture_output=True, check=False, timeout=120
    )
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


def data(stack: Arrivals, *words: str) -> Any:
    """Run the command for a script; return what it read."""
    code, told, error = run(stack, *words, "--json")
    assert code in {0, 1}, error
    return json.loads(told)


@contextmanager
def denied(stack: Arrivals, action: str) -> Iterator[None]:
    """Take a permission from the function for a while."""
    functions, iam = stack.client("lambda"), stack.client("iam")
    function = stack.stack.outputs["StartExecutionFunctionName"]
    role = functions.get_function_configuration(FunctionName=function)["Role"].rsplit("/", 1)[-1]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": action, "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=json.dumps(policy))
    settle()
    try:
        yield
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="deny")


def test_a_denied_object_is_found_and_set_right_as_it_says(duty: Windows, tenant: str) -> None:
    """The failure queue names the key, the command that it shows starts it, and nothing is lost by looking."""
    with denied(duty, "states:StartExecution"):
        duty.put(tenant)
        duty.until_a_failure()
    [failure] = [one for one in data(duty, "failed")["failures"] if one["key"] == tenant]

    assert ("event RetryableCallError", None) == (failure["what"], failure["name"])
    code, told, _ = run(duty, "failed")
    assert (1, True) == (code, "1 more are hidden" in told)
    code, told, _ = run(duty, "why", tenant)
    # Its message is hidden for some seconds, and the log tells of it meanwhile.
    assert (1, True) == (code, "look again in some minutes" in told)
    assert told.replace("\n", "").isprintable()
    bash = [
        "/bin/bash",
        "-c",
        f'arrivals() {{ "{sys.executable}" -m tools "$@"; }}; {failure["to_do"].partition(": ")[2]}',
    ]
    ran = subprocess.run(bash, env=environment(duty), cwd="/", capture_output=True, check=False)
    assert 0 == ran.returncode, ran.stderr
    assert "Started   1\n" in ran.stdout.decode()
    until(lambda: 0 == run(duty, "why", tenant)[0])
    assert 1 == run(duty, "status")[0]
    counted = data(duty, "status")["metrics"]
    # Three tries of one event.
    assert counted["Failed"]["hour"] == counted["Failed"]["day"] == 3
    assert duty.failure()


def test_a_broken_file_is_redriven(duty: Windows) -> None:
    """Its run fails, is listed with the cause, and runs again only when somebody says so."""
    key = f"raw/tenants/{uuid.uuid4().hex}/a.csv"
    duty.put(key, run_seconds=2)
    until(lambda: duty.executions(key))
    duty.client("s3").delete_object(Bucket=duty.bucket, Key=key)
    until(lambda: ["FAILED"] == [one["status"] for one in duty.executions(key)])
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
    until(lambda: "SUCCEEDED" == {one["name"]: one["status"] for one in duty.executions(key)}[execution["name"]])
    code, _, error = run(duty, "redrive", execution["name"], "--yes")
    assert (2, True) == (code, "SUCCEEDED: there is nothing to redrive" in error)


def test_a_stopped_window_is_redriven(duty: Windows) -> None:
    """It closes as any other, and its file gets its run."""
    folder = f"raw/readings/{uuid.uuid4().hex}/"
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
    duty.settled(folder)
    assert {f"{folder}a.csv": 1} == duty.gathered(folder)


def test_a_backfill_is_followed_left_and_followed_again(duty: Windows) -> None:
    """Dry it says what it would start; then it starts that, whether somebody looks on or not."""
    folder = f"raw/tenants/{uuid.uuid4().hex}/"
    rule = f"{NAME}-object-created"
    duty.client("events").disable_rule(Name=rule)
    settle()
    try:
        for number in range(7):
            duty.put(f"{folder}{number}.csv")
    finally:
        duty.client("events").enable_rule(Name=rule)
    code, told, error = run(duty, "backfill", "--prefix", folder)

    assert (1, True) == (code, "Started   7 would be started: this was a dry run\n" in told)
    assert f"To do     Start them: arrivals backfill --stack {NAME} --prefix={folder} --start\n" in told
    assert " of 7 objects listed so far are done" in error
    command = [sys.executable, "-m", "tools", "backfill", f"--prefix={folder}", "--start"]
    before = _backfills(duty)
    leaving = subprocess.Popen(command, env=environment(duty), cwd="/", stderr=subprocess.PIPE, text=True)
    until(lambda: _backfills(duty) - before)
    leaving.send_signal(signal.SIGINT)
    _, error = leaving.communicate(timeout=60)
    assert (130, False) == (leaving.returncode, "Traceback" in error)
    [again] = re.findall(r"arrivals (backfill .* --follow \S+)", error)
    report = data(duty, *shlex.split(again))
    assert ("SUCCEEDED", 7, False) == (report["status"], report["report"]["started"], report["report"]["dry_run"])
    assert 0 == run(duty, "backfill", "--follow", "last")[0]
    before = _backfills(duty)
    assert 2 == run(duty, "backfill", "--since", "yesterday")[0]
    # Refused before it was started: no alarm rings for a slip of the keyboard.
    assert before == _backfills(duty)


def _backfills(duty: Windows) -> set[str]:
    machine = duty.stack.outputs["BackfillStateMachineArn"]
    found = duty.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    return {one["name"] for one in found}


def test_a_backfill_that_failed_in_part_still_tells_its_report(duty: Windows) -> None:
    """What failed with its reason, and what to do; it is not redriven, for it would only fail again."""
    folder = f"raw/tenants/-{uuid.uuid4().hex}/"
    duty.put(f"{folder}a.csv")
    until(duty.failures)
    code, told, _ = run(duty, "backfill", f"--prefix={folder}")

    assert (1, True) == (code, "Failed    1\n" in told)
    assert f"          {folder}a.csv: Key " in told
    assert "To do     Fix what failed, then: arrivals backfill " in told
    assert "under another key" in data(duty, "why", f"{folder}a.csv")["to_do"]
    [listed] = [one for one in data(duty, "failed")["failures"] if one["what"] == "backfill FAILED"]
    assert (None, True) == (listed["name"], "run the backfill again" in listed["to_do"])


def test_what_is_deployed_is_what_is_told(duty: Windows, tmp_path: Path) -> None:
    """Not what a checkout has: the routes come with the function's code, and so do the last arrivals with its log."""
    folder = f"raw/tenants/{uuid.uuid4().hex}/"
    duty.put(f"{folder}a.csv")
    until(lambda: duty.executions(f"{folder}a.csv"))

    def last() -> dict[str, Any]:
        return {one["route"]: one["last"] for one in data(duty, "routes")}

    assert {"tenants", "readings"} == last().keys()
    until(lambda: f"{folder}a.csv" == (last()["tenants"] or {}).get("key"))
    assert "started" == last()["tenants"]["outcome"]
    assert "tenants" == data(duty, "route", f"{folder}a.csv")["route"]
    (tmp_path / "other.toml").write_text(TENANTS)
    assert "other" == data(duty, "route", f"{folder}a.csv", "--routes", str(tmp_path))["route"]


def test_attaching_meets_what_is_there(duty: Windows, cloud: Emulator) -> None:
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
def test_what_can_not_be_asked_is_one_message(duty: Windows, words: list[str], more: dict[str, str], says: str) -> None:
    """No answer, no traceback, and an exit code of its own."""
    code, told, error = run(duty, *words, **more)

    assert (2, "") == (code, told), error
    assert says in error
    assert "Traceback" not in error


def test_who_reads_may_stop_reading(duty: Windows) -> None:
    """`head` takes a line of many, and nobody complains."""
    command = f'set -o pipefail; "{sys.executable}" -m tools failed --json | head -c 1'
    for name in range(40):
        duty.client("sqs").send_message(QueueUrl=duty.stack.outputs["FailureQueueUrl"], MessageBody=f"{name}" * 5000)
    ran = subprocess.run(["/bin/bash", "-c", command], env=environment(duty), cwd="/", capture_output=True, check=False)

    assert (1, b"{", b"") == (ran.returncode, ran.stdout, ran.stderr)
    duty.failures()


def test_a_terminal_of_80_columns_is_wide_enough(duty: Windows) -> None:
    """For the whole screen, with tables as tables."""
    main_end, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    started = subprocess.Popen(
        [sys.executable, "-m", "tools", "status"], env=environment(duty, TERM="xterm"), cwd="/", stdout=end, stdin=end
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
    """Return the page's statements by their Sid, for this stack."""
    [text] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for name, value in {
        "REGION": REGION,
        "ACCOUNT": ACCOUNT,
        "STACK": NAME,
        "BUCKET": f"{NAME}-sourcebucket-*",
    }.items():
        text = text.replace(name, value)
    return {one["Sid"]: one for one in json.loads(text)["Statement"]}


def needed() -> dict[str, list[str]]:
    """Return the Sids that the page's table says a command needs."""
    rows = re.findall(r"^\| `arrivals (\w+)[^|]*\| [^|]* \| ([\w, ]+) \|$", PAGE, re.MULTILINE)
    return {command: sids.split(", ") for command, sids in rows}


def test_each_command_may_do_what_it_does_and_nothing_else(
    duty: Windows, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a user with the statements that the page names for it; each action is called, and no other."""
    iam, made = duty.client("iam"), statements()
    folder = f"raw/readings/{uuid.uuid4().hex}/"
    duty.put(f"{folder}a.csv")
    duty.settled(folder)
    broken = f"raw/tenants/{uuid.uuid4().hex}/a.csv"
    duty.put(broken, run_seconds=2)
    until(lambda: duty.executions(broken))
    duty.client("s3").delete_object(Bucket=duty.bucket, Key=broken)
    until(lambda: ["FAILED"] == [one["status"] for one in duty.executions(broken)])
    unsafe = f"raw/tenants/-{uuid.uuid4().hex}/a.csv"
    duty.put(unsafe)
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
        service = {"stepfunctions": "states"}.get(name := client.meta.service_model.service_name, name)
        action = f"{service}:{operation}"
        called.add(ACTIONS.get(action, action))
        return original(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    for name, value in environment(duty).items():
        monkeypatch.setenv(name, value)
    for command, sids in needed().items():
        user = f"{command}-{uuid.uuid4().hex[:8]}"
        policy = {"Version": "2012-10-17", "Statement": [made[sid] for sid in sids]}
        with monkeypatch.context() as patched:
            patched.setattr(BaseClient, "_make_api_call", original)
            iam.create_user(UserName=user)
            key = iam.create_access_key(UserName=user)["AccessKey"]
            iam.put_user_policy(UserName=user, PolicyName="page", PolicyDocument=json.dumps(policy))
        allowed = {action for sid in sids for action in _list(made[sid]["Action"])}
        patch = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        for name, value in patch.items():
            monkeypatch.setenv(name, value)
        called.clear()
        for words in questions[command]:
            # A region of its own spelling would be a session of its own; so is each profile: clients are made anew.
            _forget_clients()
            code = main(words)
            said = capsys.readouterr()
            assert code in {0, 1}, (words, said.err)
        assert allowed - UNCALLED.get(command, set()) == called - {"sts:GetCallerIdentity"}, command
    _forget_clients()
    duty.client("cloudtrail").delete_trail(Name="onduty")


def _forget_clients() -> None:
    from tools import cloud  # noqa: PLC0415

    cloud._session.cache_clear()
    cloud._client.cache_clear()


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_who_may_nothing_is_told_where_to_look(duty: Windows) -> None:
    """The permission that lacks, and the page that has it."""
    iam, user = duty.client("iam"), f"nobody-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    code, told, error = run(duty, "status", **credentials)

    assert (2, "") == (code, told)
    assert "Not allowed: " in error
    assert "docs/command.md" in error
