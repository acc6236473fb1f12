"""Sets: the real handlers, on moto's S3 and a Step Functions that remembers; and what a look is."""

import json
import re
from collections.abc import Iterator
from copy import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from handlers import backfill_batch, collect_window
from handlers import start_execution as live
from shared.domain import sets
from shared.domain.backfill import report
from shared.domain.choose import Stack, common_folder
from shared.domain.errors import (
    ForeignObjectError,
    MalformedEventError,
    RetryableCallError,
    SettingsError,
    SetTooLargeError,
)
from shared.domain.names import timestamp
from shared.domain.windows import File, Listing
from shared.gates.s3 import read_object
from tests.unit.builders import BUCKET, CONTEXT, MACHINE, Client, created, event, give, item, refusal, stack, table
from tests.unit.world import StepFunctions
from tools.why.ask import read_upload
from tools.why.tell import _tell_upload

EACH = """
match = ["in/{day}/orders_{region}.csv", "in/{day}/lines_{region}.csv", "other/{region}/{day}.csv"]
target = "out/{day}/{region}"
capacity = [{ up_to = "5 B", dpus = 2 }, { dpus = 7 }]
parameters = { DAY = "{day}" }
set = { each = true, settle_seconds = 60 }
"""
FOLDER = """
match = ["raw/{day}/{file}.csv", "raw/{day}/{file}.txt"]
source = "raw/{day}/"
target = "out/{day}"
accept_empty = true
set = { at_least = 3 }
"""
STACK = stack(source_prefix="", table=table(close=EACH, readings=FOLDER))
THREE = ("in/1/orders_eu.csv", "in/1/lines_eu.csv", "other/eu/1.csv")


class Machines(StepFunctions):
    """Executions by name, which run until they are closed."""

    exceptions = SimpleNamespace(ExecutionDoesNotExist=ClientError)

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str] = set()

    def start_execution(self, *, name: str, **given: Any) -> dict[str, Any]:
        """Start one; the name of one that is over stays taken."""
        if name in self.closed:
            raise refusal("ExecutionAlreadyExists")
        return super().start_execution(name=name, **given)

    def describe_execution(self, *, executionArn: str, includedData: str = "") -> dict[str, Any]:
        """Describe an execution, with its status."""
        described = super().describe_execution(executionArn=executionArn, includedData=includedData)
        return described | {"status": "SUCCEEDED" if executionArn.rsplit(":", 1)[-1] in self.closed else "RUNNING"}


@pytest.fixture
def sfn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """Hand all handlers an S3 with both buckets, one Step Functions, and two routes with sets."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in (BUCKET, "results"):
            s3.create_bucket(Bucket=bucket)
        sfn = Machines()
        for handlers in (live, backfill_batch, collect_window):
            give(handlers, monkeypatch, s3=s3, sfn=sfn)
        deploy(monkeypatch, STACK)
        yield sfn


def deploy(monkeypatch: pytest.MonkeyPatch, deployed: Stack) -> None:
    """Let all handlers have these settings."""
    for handlers in (live, backfill_batch, collect_window):
        monkeypatch.setattr(handlers, "this_stack", lambda: deployed)


def put(*keys: str, body: bytes = b"a,b\n") -> None:
    """Upload files."""
    for key in keys:
        collect_window.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def arrive(*keys: str) -> list[str | None]:
    """Deliver events, and return how they ended."""
    return [live.handler(event(detail__object={"key": key}), CONTEXT)["outcome"] for key in keys]


def backfill(*keys: str, dry: bool, label: str | None = None) -> dict[str, Any]:
    """Run a batch, and report it."""
    items = [item("", prefix="", dry_run=dry, reprocess=label) | {"Key": key} for key in keys]
    return report({}, [backfill_batch.handler({"Items": items}, CONTEXT)])


def collect(sfn: Machines, number: int = -1) -> dict[str, Any]:
    """End the wait of one of the window machine's executions, and then the execution."""
    windows = [name for name, one in sfn.started.items() if one["machine"] == STACK.window_machine_arn]
    name = windows[number]
    answer = collect_window.handler(json.loads(sfn.started[name]["input"]), CONTEXT)
    sfn.closed.add(name)
    return answer


def runs(sfn: Machines) -> dict[str, dict[str, Any]]:
    """Return the inputs of the target's executions, by name."""
    return {name: json.loads(one["input"]) for name, one in sfn.started.items() if one["machine"] == MACHINE}


def stored(key: str) -> dict[str, Any]:
    """Describe an object as a manifest does."""
    head = collect_window.s3.head_object(Bucket=BUCKET, Key=key)
    moment = timestamp(head["LastModified"].timestamp())
    return {"key": key, "size": head["ContentLength"], "etag": head["ETag"].strip('"'), "last_modified": moment}


def test_one_of_each_is_one_run(sfn: Machines, caplog: pytest.LogCaptureFixture) -> None:
    """In any order, doubled and late; manifest and input are the contract's, byte for byte."""
    put(THREE[2], body=b"abcde")
    assert ["waiting"] == arrive(THREE[2])
    line = vars(caplog.records[-1])
    assert ("incomplete_set", [THREE[2]], list(THREE[:2])) == (line["reason"], line["present"], line["missing"])
    put(*THREE[:2])
    assert ["started", "coalesced", "coalesced"] == arrive(THREE[1], THREE[0], THREE[2])
    [window] = sfn.of(STACK.window_machine_arn)
    assert ({"day": "1", "region": "eu"}, 60, 0) == (window["instance"], window["seconds"], window["generation"])

    answer = collect(sfn)

    [(name, run)] = runs(sfn).items()
    assert 80 >= len(name)
    assert f"{name}-0" == answer["window"]
    manifest = collect_window.s3.get_object(Bucket="results", Key=f"sets/{name}.json")["Body"].read()
    files = {"files": [stored(key) for key in sorted(THREE)]}
    assert json.dumps(files, separators=(",", ":")).encode() == manifest
    expected = {
        "glue_max_capacity_dpus": 7,
        "JOB_NAME": "close-job",
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": "",
        "TRG_PREFIX": "out/1/eu",
        "set": {"captures": {"day": "1", "region": "eu"}},
        "manifest": f"s3://results/sets/{name}.json",
        "files": 3,
        "bytes": 13,
        "route": "close",
        "captures": {"day": "1", "region": "eu"},
        "parameters": {"DAY": "1"},
    }
    assert json.dumps(expected) == sfn.started[name]["input"] == json.dumps(run)
    # Whoever is late, or comes again when names are forgotten, finds the manifest, and names the run.
    sfn.closed.clear()
    sfn.started.clear()
    late = live.handler(event(detail__object={"key": THREE[0]}), CONTEXT)
    assert {"outcome": "duplicate", "reason": None} == {word: late[word] for word in ("outcome", "reason")}
    assert late["execution_arn"] == f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
    assert not sfn.started


def test_at_least_so_many_is_one_run_for_each_content(sfn: Machines, caplog: pytest.LogCaptureFixture) -> None:
    """Counted are the route's own files of the folder; one more makes the set run again."""
    put("raw/1/a.csv", "raw/1/b.txt", "raw/1/c.gz", "raw/1/deep/d.csv", "raw/2/e.csv")
    assert ["waiting"] == arrive("raw/1/a.csv")
    line = vars(caplog.records[-1])
    assert (2, 1) == (line["present"], line["missing"])
    put("raw/1/f.csv", body=b"")
    assert ["started"] == arrive("raw/1/f.csv")
    put("raw/1/g.csv")
    # The set has changed before it settled: the first look is superseded, and the second brings all four.
    assert ["started"] == arrive("raw/1/g.csv")
    assert "files" not in collect(sfn, 0)
    assert 4 == collect(sfn, 1)["files"]

    [run] = runs(sfn).values()
    assert ("raw/1/", {"day": "1"}, 4) == (run["SRC_PREFIX"], run["captures"], run["files"])
    # What is left after a deletion is a content of its own.
    collect_window.s3.delete_object(Bucket=BUCKET, Key="raw/1/b.txt")
    assert ["started"] == arrive("raw/1/a.csv")
    assert 3 == collect(sfn)["files"]
    assert 2 == len(runs(sfn))


def test_the_same_content_is_brought_again_by_another_generation(sfn: Machines) -> None:
    """Deleted while it settled, and restored without an event: the first one has ended, and nothing has run."""
    s3 = collect_window.s3
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put(*THREE)
    arrive(*THREE)
    marker = s3.delete_object(Bucket=BUCKET, Key=THREE[0])["VersionId"]
    assert "files" not in collect(sfn)
    assert ["waiting"] == arrive(THREE[1])
    s3.delete_object(Bucket=BUCKET, Key=THREE[0], VersionId=marker)

    assert ["started"] == arrive(THREE[1])

    assert [0, 1] == [one["generation"] for one in sfn.of(STACK.window_machine_arn)]
    collect(sfn)
    assert 1 == len(runs(sfn))


def test_a_late_arrival_trusts_no_deadline_that_is_over(sfn: Machines) -> None:
    """The execution still runs, but may have looked already: the arrival brings the next one; both make the same run."""
    put(*THREE)
    assert ["started"] == arrive(THREE[0])
    sfn.age(61)

    assert ["started"] == arrive(THREE[1])

    assert [3, 3] == [collect(sfn, number)["files"] for number in (0, 1)]
    assert 1 == len(runs(sfn))


def test_a_backfill_tells_what_waits(sfn: Machines) -> None:
    """A dry one, too, which opens nothing; a label runs what there is once more."""
    put(*THREE[:2], *(f"raw/1/{name}.csv" for name in "abc"))
    keys = [*THREE[:2], "raw/1/a.csv", "raw/1/b.csv"]
    told = backfill(*keys, dry=True)
    assert (2, 2, list(THREE[:2])) == (told["waiting"], told["started"], told["first_keys"]["waiting"])
    assert 1 == told["windows"]
    assert not sfn.started
    done = backfill(*keys, dry=False)
    assert (2, 1, 1) == (done["waiting"], done["started"], done["coalesced"])
    again = backfill(*keys, dry=True)
    assert (0, 2) == (again["started"], again["coalesced"])
    collect(sfn)
    assert 2 == backfill(*keys, dry=True)["duplicates"]

    labelled = backfill(*keys, dry=False, label="again")

    assert (1, 1) == (labelled["started"], labelled["coalesced"])
    collect(sfn)
    assert 2 == len(runs(sfn))
    assert 1 == len({json.dumps(run["set"]) for run in runs(sfn).values()})


def test_only_members_count(sfn: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an empty file, not what another route takes, not what is elsewhere; not even the one that came."""
    higher = 'match = "other/{region}/{day}.csv"\npriority = 1\n'
    put(*THREE)
    put(THREE[0], body=b"")
    assert ["skipped", "waiting"] == arrive(THREE[0], THREE[1])
    put(THREE[0])
    for settings in (replace(STACK, source_prefix="in/"), replace(STACK, table=table(close=EACH, higher=higher))):
        deploy(monkeypatch, settings)
        assert ["waiting"] == arrive(THREE[1])


def test_a_pause_ends_no_set(sfn: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was complete before it starts; an arrival in it does not."""
    put(*THREE)
    arrive(*THREE)
    deploy(monkeypatch, replace(STACK, table=table(close=EACH + "paused = true\n")))

    assert ["skipped"] == arrive(THREE[0])

    assert 3 == collect(sfn)["files"]
    assert 1 == len(runs(sfn))


def test_what_was_complete_waits_for_its_route(sfn: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that fails can be redriven; one that ended could not."""
    put(*THREE)
    arrive(*THREE)
    deploy(monkeypatch, replace(STACK, table=table(readings=FOLDER)))
    with pytest.raises(SettingsError, match="No route 'close' has a set any more"):
        collect(sfn)
    deploy(monkeypatch, replace(STACK, source_bucket_name="elsewhere"))
    with pytest.raises(ForeignObjectError):
        collect(sfn)
    with pytest.raises(MalformedEventError, match="Not the input of a set"):
        collect_window.handler({"content": "0123"}, CONTEXT)
    # Another time to settle is another input, which AWS refuses under this name: no reason to run again.
    deploy(monkeypatch, replace(STACK, table=table(close=EACH.replace("60", "30"))))
    assert 3 == collect(sfn)["files"]
    assert ["duplicate"] == arrive(THREE[0])


def why(sfn: Machines, key: str) -> list[str]:
    """Return what `make why` tells of an object, without times."""
    found = read_object(collect_window.s3, created(key=key))
    assert found
    told = _tell_upload(read_upload(collect_window.s3, sfn, STACK, found))
    return [re.sub(r"[0-9-]{10} [0-9:]{8}", "WHEN", line).strip() for line in told][1:]


def test_why_tells_of_every_member(sfn: Machines) -> None:
    """There since when, or missing; then what is to start it, and at last its run."""
    put(*THREE[:2], "raw/1/a.csv")
    there = [f"member {key}: there since WHEN UTC" for key in sorted(THREE)]
    assert [there[1], there[0], f"member {THREE[2]}: missing", "waiting: incomplete_set"] == sorted(
        why(sfn, THREE[0]), key=lambda line: (line.startswith("waiting"), line.endswith("missing"), "lines" in line)
    )
    assert ["member raw/1/a.csv: there since WHEN UTC", "member 2 more: missing"] == why(sfn, "raw/1/a.csv")[:2]
    put(THREE[2])
    assert "no execution close-1-eu-" in why(sfn, THREE[0])[3]
    arrive(*THREE)
    [window] = sfn.started
    assert [f"to be gathered by window {window}", f"execution {window} is RUNNING"] == why(sfn, THREE[0])[3:5]
    collect(sfn)
    [name] = runs(sfn)
    manifest = f"gathered by window {window}, manifest s3://results/sets/{name}.json"
    assert [*there, manifest, f"execution {name} is RUNNING"] == why(sfn, THREE[0])[:5]


@pytest.mark.parametrize(("pages", "fails"), [(10, False), (11, True)])
def test_a_look_is_ten_requests_at_most(pages: int, fails: bool) -> None:  # noqa: FBT001
    """More than that is a storm; it must not be cut off in silence."""
    asked: list[Listing] = []

    def list_page(listing: Listing, token: str | None) -> tuple[list[File], str | None]:
        asked.append(listing)
        number = int(token or 1)
        return [File(f"raw/1/{number}.csv", 1, "e", 5)], str(number + 1) if number < pages else None

    route = next(one for one in STACK.table.routes if one.name == "readings")
    if fails:
        with pytest.raises(SetTooLargeError, match=r"Set 'raw/1/' of route readings: looking at it takes more than 10"):
            sets.look(route, "raw/1/", STACK, lambda _: None, list_page)
    else:
        assert (10, 0) == sets.look(route, "raw/1/", STACK, lambda _: None, list_page)[1:]
    assert [Listing(BUCKET, STACK.account_id, "raw/1/", deep=False)] * 10 == asked


@pytest.mark.parametrize(
    ("keys", "folder"),
    [
        (["a/b/c", "a/b/d"], "a/b/"),
        (["a/b1/c", "a/b2/c"], "a/"),
        (["a", "b"], ""),
        (["x/a", "x/a.b", "x/a/c"], "x/"),
        (["x/", "x/y"], "x/"),
    ],
)
def test_the_source_of_one_of_each_is_the_common_folder(keys: list[str], folder: str) -> None:
    """A folder, never half a name."""
    assert folder == common_folder(keys)


def test_a_member_that_is_denied_fails_the_arrival(sfn: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for missing."""
    put(*THREE)
    give(live, monkeypatch, s3=Client(refusal("403", 403, "HeadObject")))

    with pytest.raises(RetryableCallError, match="HeadObject"):
        arrive(THREE[0])

    assert not sfn.started
