"""`arrivals`: what it reads of a deployed function, how it writes; what `arrivals why` reads, and what it advises."""

import ast
import io
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from copy import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoRegionError
from moto import mock_aws

import shared.domain
from artifact.route_files import packed_module, read_routes
from shared.domain.arrival import Skip, SkipReason
from shared.domain.errors import UnsafeTargetError
from shared.domain.outcome import Waiting
from shared.domain.plan import plan
from shared.domain.routes import RouteTable
from shared.domain.windows import Generation, Window
from tests.unit import world
from tests.unit.builders import BUCKET, KEY, NOW, PREFIX, REPOSITORY, chosen, event, refusal, stack, stored
from tools import deployed, executions, failure_queue
from tools.answer import Answer, Listing, written
from tools.cloud import Cloud, NotKnownError, in_words
from tools.deployed import Opened
from tools.failure_queue import Look, Message
from tools.template import read_template
from tools.why import ask, judge
from tools.why.facts import Facts, Line, Upload
from tools.why.tell import tell

EXAMPLES = REPOSITORY / "examples" / "routes"
DOMAIN = {f"shared/domain/{path.name}": path.read_text() for path in Path(shared.domain.__path__[0]).glob("*.py")}


def code(**changes: str) -> zipfile.ZipFile:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, text in {**DOMAIN, **{f"shared/domain/{one}.py": text for one, text in changes.items()}}.items():
            archive.writestr(name, text)
        archive.writestr("shared/gates/s3.py", "not the decision")
    return zipfile.ZipFile(stored)


def test_the_routes_are_those_of_the_deployed_code() -> None:
    """As the build wrote them, whatever a checkout has; and nothing of that code is run."""
    routes = read_routes(EXAMPLES)
    found = RouteTable(deployed.read_packed(code(packed=packed_module(routes)))).routes
    assert {one.name: one for one in routes} == {one.name: one for one in found}
    assert () == deployed.read_packed(code())
    with pytest.raises(ValueError, match="malformed"):
        deployed.read_packed(code(packed="ROUTES = __import__('os').getcwd()"))


def test_a_stack_of_another_version_is_noticed() -> None:
    """Routes may differ; the code that names and skips may not, without a word."""
    changed = code(packed="ROUTES = (1,)", names="# another version", of_a_later_version="")
    assert ["shared/domain/names.py", "shared/domain/of_a_later_version.py"] == deployed.differing(changed)
    assert [] == deployed.differing(code())


def test_code_that_can_not_be_fetched_is_no_stack_without_routes(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_text("an error page")
    for location in ((tmp_path / "no.zip").as_uri(), (tmp_path / "missing").as_uri()):
        with pytest.raises(NotKnownError, match="can't be fetched"):
            deployed.read_code(location)


def test_all_machines_that_may_fail_are_asked() -> None:
    """Also those of routes; without the version or alias that starts go to."""
    arn = "arn:aws:states:us-east-2:123456789012:stateMachine:"
    outputs = {"StateMachineArn": f"{arn}mine:live", "BackfillStateMachineArn": f"{arn}s-backfill"}
    resources = {"WindowStateMachine": f"{arn}s-windows"}
    opened = Opened("s", outputs, resources, {}, {"RouteStateMachineArns": f"{arn}x,{arn}y"})
    kinds = {"mine": "workflow", "x": "workflow", "y": "workflow", "s-windows": "window", "s-backfill": "backfill"}
    assert {arn + name: kind for name, kind in kinds.items()} == executions.machines(opened)


@pytest.mark.parametrize(("width", "lines"), [(None, 3), (80, 3), (20, 4)])
def test_a_row_is_never_cut(width: int | None, lines: int) -> None:
    """It is a line of a table where there is room, otherwise a paragraph; what is in it can be copied."""
    answer = Answer(["first", Listing(("NAME", "WHY"), [("a" * 10, "b" * 10)])], {})
    told = written(answer, as_json=False, width=width, colour=False)
    assert lines == len(told.splitlines()), told
    assert {"a" * 10, "b" * 10} <= set(told.split())


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_reaches_a_terminal_that_it_acts_on(*, as_json: bool) -> None:
    """Control characters, C1 too, bytes that are no text, and what turns the writing round."""
    odd = "\x1b[2J\x9b31m\r\x07\u202e\udce9 [bold]:car: é"
    told = written(Answer([odd, Listing(("KEY",), [(odd,)])], odd), as_json=as_json, width=80, colour=False)
    assert told.replace("\n", "").isprintable(), told
    assert odd == json.loads(told) if as_json else 2 == told.count("[bold]:car: é"), told


def test_advice_asks_the_same_stack_of_the_same_account() -> None:
    assert "" == Cloud().options
    cloud = Cloud("my team", "eu-west-1", None, "other")
    assert " --profile 'my team' --region eu-west-1 --stack other" == cloud.options


def test_the_package_holds_what_the_command_imports() -> None:
    """An installed command has no checkout beside it."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    roots = [REPOSITORY / one for one in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    files = [path for root in roots for path in root.rglob("*.py") if path != REPOSITORY / "artifact" / "build.py"]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    ours = {root.name for root in roots}
    others = {name.partition(".")[0] for name in imported} - ours - sys.stdlib_module_names
    declared = {one.partition(">")[0].partition("[")[0].replace("-", "_") for one in project["project"]["dependencies"]}
    others -= {name for name in others if name.startswith("types_")}
    # What the declared ones bring: boto3 botocore, and Powertools' parser pydantic. Zones are read by zoneinfo.
    assert others == (declared - {"pyyaml", "tzdata"}) | {"botocore", "pydantic", "yaml"}
    module, _, function = project["project"]["scripts"]["arrivals"].partition(":")
    assert f"def {function}(" in (REPOSITORY / module.replace(".", "/")).with_suffix(".py").read_text()


# ---- why ----

STACK = deployed.Deployed(Opened("glueworkshop", {}, {}, {}, {}), stack())
FAILED = Message("t", "RetryableCallError", KEY, None, "denied")


def upload(age: timedelta = timedelta(hours=1), status: str | None = None, **changes: object) -> Upload:
    described = stored(last_modified=NOW - age, **changes)
    return Upload(described, plan(described, chosen(), stack()), {"status": status} if status else None)


def facts(*uploads: Upload, key: str = KEY, **known: Any) -> Facts:
    nothing: dict[str, Any] = {"missing": "", "log": [], "failures": [], "queue": Look([], 0)}
    return Facts(STACK, key, uploads=list(uploads), **(nothing | known))


def failed(manifest: str | None) -> Upload:
    """Make an upload whose window, or the run on its manifest, has failed."""
    return replace(
        upload(status="FAILED"), window=Generation(Window("r", BUCKET, "f/", 0, 60, None), 0), manifest=manifest
    )


TOLD = [Line("s", "skipped (native)", None, ""), Line("t", "failed (native)", None, "denied")]


@pytest.mark.parametrize(
    ("known", "advice"),
    [
        (facts(upload(status="RUNNING")), "follow the link"),
        (facts(upload(status="SUCCEEDED")), "Nothing: it was started once"),
        (facts(upload(status="FAILED")), "arrivals redrive green_tripdata-"),
        (facts(failed(None)), "(docs/runbook.md#windowfailedalarm)"),
        (facts(failed("s3://m")), "(docs/runbook.md#executionsfailedalarm)"),
        (facts(replace(failed("s3://m"), execution=None)), "has not started the run yet"),
        (facts(Upload(stored(size=0), Skip(SkipReason.EMPTY_OBJECT, "why"), None)), "upload it again"),
        (facts(Upload(stored(), UnsafeTargetError("an empty segment"), None)), "under another key"),
        (facts(Upload(stored(), Waiting(1, 2, "r"), None)), "its set starts when the missing files have arrived"),
        (facts(upload(timedelta(minutes=1))), "its event has not come yet"),
        (facts(upload(timedelta(days=91))), "forgets executions after 90 days"),
        (facts(upload(), missing="deleted"), "Upload it again if it is still wanted"),
        (facts(), "Upload it again if it is still wanted"),
        (facts(log=[Line("t", "skipped (cloudtrail)", None, "failed_call AccessDenied")]), "refused"),
        # Only what is said of the newest upload counts; what names no version may be about it.
        (facts(upload(version_id="2"), failures=[Message("t", "Error", KEY, "1", "")]), "Its event never came"),
        (facts(upload(version_id="2"), log=[Line("t", "failed (native)", "1", "")]), "Its event never came"),
        (facts(upload(version_id="2"), failures=[FAILED]), "Fix what the failure queue says"),
        (facts(upload(version_id="2"), log=TOLD), "Lambda tries three times"),
        (facts(upload(version_id="2"), upload(version_id="1", status="SUCCEEDED")), "Its event never came"),
    ],
)
def test_it_advises_on_the_newest_upload(known: Facts, advice: str) -> None:
    assert advice in judge.advise(known, NOW).text


def test_every_reason_has_its_advice() -> None:
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


def test_what_failed_is_told_with_its_cause() -> None:
    """Version, status and cause; what the queue hides, too."""
    one = upload(version_id="v1")
    described = replace(one, execution={"status": "FAILED", "error": "Glue.Error", "cause": "no such path"})
    answer = tell(facts(described, failures=[FAILED], queue=Look([FAILED] * 3, 1)), NOW)
    told, name = "\n".join(map(str, answer.told)), getattr(one.planned, "name", "")
    words = ["version v1", f"{name} is FAILED (Glue.Error: no such path)", f"{FAILED.what}: {FAILED.why}\n"]
    assert [] == [one for one in (*words, "1 of 3 messages", "1 more are hidden") if one not in told], told
    [data] = answer.data["uploads"]
    assert ("v1", "FAILED", name, True) == (data["version_id"], data["status"], data["execution_name"], answer.to_do)


RECORD = {
    "requestPayload": event("object-created-put-versioned", detail__object__key=KEY),
    "responsePayload": {"errorType": "RetryableCallError", "errorMessage": "denied"},
}
EXPIRED = {"requestPayload": event(), "requestContext": {"condition": "EventAgeExceeded"}}
RECORDED = event("cloudtrail-put-object", detail__requestParameters__key=KEY)
CODE: Any = {"ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"}}


@pytest.mark.parametrize(
    ("body", "attributes", "expected"),
    [
        (RECORD, {}, ("RetryableCallError", "denied")),
        (EXPIRED, {}, ("not handled", "EventAgeExceeded")),
        (RECORDED, CODE, ("NO_PERMISSIONS", "")),
        ({"requestPayload": "text"}, {}, None),
        ({"requestPayload": {"detail": {"object": []}}}, {}, None),
        (None, {}, None),
    ],
)
def test_both_kinds_of_messages_are_read(body: object, attributes: object, expected: tuple[str, str] | None) -> None:
    """Lambda's record and a rule's dead letter; what is about another key, or about none, is not."""
    said = failure_queue.read_message(
        {"Body": json.dumps(body) if body else "no JSON", "MessageAttributes": attributes}
    )
    assert expected == ((said.what, said.why) if said.key == KEY else None)


@pytest.fixture
def aws() -> Iterator[boto3.Session]:
    with mock_aws():
        yield boto3.Session(region_name="us-east-2")


@pytest.mark.usefixtures("aws")
def test_versions_and_delete_markers_are_told_apart() -> None:
    """This very key only, and a deletion is no upload."""
    s3 = world.s3_client()
    world.make_buckets(s3, BUCKET)

    def look(key: str = KEY) -> tuple[set[tuple[str | None, int]], str]:
        found, missing = ask.read_object(s3, stack(), key)
        return {(one.version_id, one.size) for one in found}, missing[:10]

    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"before versioning")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    after = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"after")
    s3.put_object(Bucket=BUCKET, Key=f"{KEY}.gz", Body=b"another key")
    both = {(None, 17), (after["VersionId"], 5)}
    assert (both, "") == look()
    assert (set(), "no such ob") == look("nothing")
    s3.delete_object(Bucket=BUCKET, Key=KEY)
    assert (both, "deleted 20") == look()
    again = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"once more")
    assert (both | {(again["VersionId"], 9)}, "") == look()


class Pages:
    """A client whose paginator answers with these pages; it remembers what was asked."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages = pages
        self.asked: list[dict[str, Any]] = []

    def get_paginator(self, _name: str) -> "Pages":
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        self.asked.append(asked)
        yield from (page for page in self.pages if page.get("group") == asked.get("logGroupName"))
        assert "Bucket" not in asked, "another page was read"


def test_the_newest_uploads_come_first() -> None:
    """Five of them, in whichever order S3 lists versions of an unversioned time; no more is read than its own pages."""
    plain = {"Key": KEY, "ETag": '"e"', "Size": 1}
    listed = [
        {"VersionId": f"v{age}", "IsLatest": age == 1, "LastModified": NOW - timedelta(hours=age), **plain}
        for age in (3, 1, 6, 2, 5, 4)
    ]
    found, _ = ask.read_object(Pages({"Versions": listed}, {"Versions": [{"Key": f"{KEY}.gz"}]}), stack(), KEY)
    assert [(f"v{age}", "e") for age in range(1, 6)] == [(one.version_id, one.etag) for one in found]


@pytest.mark.parametrize(
    ("place", "host"),
    [
        ("aws:states:us-east-2", "us-east-2.console.aws.amazon.com"),
        ("aws-cn:states:cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov:states:us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_link_leads_to_the_partitions_console(place: str, host: str) -> None:
    region, arn = host.partition(".")[0], f"arn:{place}:1:execution:m:n"
    assert f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}" == executions.console(arn)


@pytest.mark.usefixtures("aws")
def test_an_upload_is_followed_through_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the close its window, after it the manifest that names it and the run on that."""
    cloud = world.Cloud(monkeypatch, stack(window_seconds=60), PREFIX)
    cloud.put("a.csv")
    [found], _ = ask.read_object(cloud.s3, cloud.stack, PREFIX + "a.csv")

    def told() -> str:
        return "\n".join(map(str, tell(facts(ask.read_upload(cloud.s3, cloud.sfn, cloud.stack, found)), NOW).told))

    assert "no execution " in told()
    cloud.arrive("a.csv")
    [(first, given)] = cloud.windows.items()
    assert f"to be gathered by window {first}" in told()
    # That one has failed, and the next one was opened.
    second, again = f"{first[:-1]}1", json.dumps(given | {"generation": 1})
    cloud.sfn.start_execution(stateMachineArn=cloud.stack.window_machine_arn, name=second, input=again)
    assert f"to be gathered by window {second}" in told()
    run = cloud.collect()["execution_name"]
    gathered = f"gathered by window {second}, manifest s3://results/windows/{first[:-2]}/1.json"
    assert [] == [words for words in (gathered, f"execution {run} is RUNNING") if words not in told()]
    del cloud.sfn.started[run]
    assert "has not started the run yet" in told()


def test_a_look_takes_nothing_out_of_the_queue(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """All messages are still there; those about the key are found among more than one answer holds."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="failures")["QueueUrl"]
    for number in range(25):
        body = json.dumps(event("object-created-put-versioned", detail__object__key=f"{KEY}{number}"))
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=CODE)

    with monkeypatch.context() as patch:
        patch.setattr(failure_queue, "HIDDEN", 0)
        failure_queue.peek(sqs, url)
        assert (25, 0) == failure_queue.count(sqs, url), "visible and hidden, after a look that hides for 0 seconds"
    look = failure_queue.peek(sqs, url)
    [found] = [one for one in look.messages if one.key == f"{KEY}7"]

    version = event("object-created-put-versioned")["detail"]["object"]["version-id"]
    assert ("NO_PERMISSIONS", version, 25) == (found.what, found.version_id, len(look.messages))
    assert 25 == sum(failure_queue.count(sqs, url)), "messages that are left"
    # Whoever looks again at once is told that there is more than can be seen.
    assert ([], 25) == (failure_queue.peek(sqs, url).messages, failure_queue.peek(sqs, url).hidden)


def logged(word: str, key: str, seconds: int, group: str) -> dict[str, Any]:
    line = json.dumps({"message": word, "source": "native", "key": key})
    return {"group": group, "events": [{"timestamp": seconds * 1000, "message": line}]}


@pytest.mark.parametrize("key", [KEY, 'it\'s "é" 🚕.csv', "dt=2026-11-24/a b.csv", "$?*.csv"])
def test_the_log_is_filtered_by_a_plain_pattern_and_then_exactly(key: str) -> None:
    """No character of a key means something in the pattern; other keys are left out here. The last line counts."""
    logs = Pages(
        logged("started", key, 2, "live"), logged("failed", f"{key}2", 3, "live"), logged("skipped", key, 1, "old")
    )

    found = ask.read_log(logs, ["live", "old"], key, NOW)

    assert ["skipped (native)", "started (native)"] == [one.what for one in found]
    [asked, _] = logs.asked
    assert ("live", NOW.timestamp() * 1000) == (asked["logGroupName"], asked["startTime"])
    pattern = asked["filterPattern"].removeprefix('{ $.key = "').removesuffix('*" }')
    assert key.startswith(pattern)
    assert not set(pattern) & set('"*\\ ${}')


# tests/integration/test_command.py has what has no credentials, or no permission.
SAID = {
    "No region: give --region or AWS_REGION": NoRegionError(),
    "The credentials are no longer valid": refusal("ExpiredToken", 400, "DescribeStacks"),
    "AWS did not answer": refusal("ValidationError", 400, "DescribeStacks"),
}


@pytest.mark.parametrize("says", SAID)
def test_what_went_wrong_is_told_with_what_to_do(says: str) -> None:
    assert in_words(SAID[says]).startswith(says)


def test_the_logs_of_the_function_and_of_the_backfill_are_asked() -> None:
    functions = [read_template()["Resources"][f"{name}Function"] for name in ("StartExecution", "BackfillBatch")]
    assert ask.GROUPS == tuple(one["Properties"]["LoggingConfig"]["LogGroup"] for one in functions)
