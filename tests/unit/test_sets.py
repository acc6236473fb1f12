"""Sets: the real handlers, on moto's S3 and a Step Functions that remembers; and what a look is."""

import json
import re
from collections.abc import Iterator
from copy import replace
from typing import Any

import pytest
from moto import mock_aws

from handlers import start_execution as live
from shared.domain import errors, sets
from shared.domain.arrival import ObjectCreated, StoredObject
from shared.domain.backfill import report
from shared.domain.choose import common_folder
from shared.domain.stack import Stack
from shared.domain.start import plan_arrival
from shared.domain.windows import File, Listing
from shared.gates.real import make_gates
from shared.gates.s3 import read_object
from tests.unit.builders import BUCKET, CONTEXT, HEAD, MACHINE, Client, created, event, route, stack, table
from tests.unit.patterns import parsed
from tests.unit.world import Cloud
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
ROUTES = {one.name: one for one in STACK.table.routes}
THREE = ("in/1/orders_eu.csv", "in/1/lines_eu.csv", "other/eu/1.csv")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud(monkeypatch, STACK)


def test_one_of_each_is_one_run(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """In any order, doubled and late; manifest and input are the contract's, byte for byte."""
    cloud.put(THREE[2], body=b"abcde")
    assert ["incomplete_set"] == cloud.arrive(THREE[2])
    line = vars(caplog.records[-1])
    assert ("waiting", [THREE[2]], list(THREE[:2])) == (line["msg"], line["present"], line["missing"])
    cloud.put(*THREE[:2])
    assert ["started", "coalesced", "coalesced"] == cloud.arrive(THREE[1], THREE[0], THREE[2])
    [window] = cloud.windows.values()
    assert ({"day": "1", "region": "eu"}, 60, 0) == (window["instance"], window["seconds"], window["generation"])

    answer = cloud.collect()

    [name] = cloud.runs
    assert f"{name}-0" == answer["window"]
    files = cloud.manifest(f"s3://results/sets/{name}.json")
    assert [*((key, 8) for key in sorted(THREE[:2])), (THREE[2], 5)] == [(one["key"], one["size"]) for one in files]
    expected = {
        "glue_max_capacity_dpus": 7,
        "JOB_NAME": "close-job",
        "BUCKET_NAME": BUCKET,
        "SRC_PREFIX": "",
        "TRG_PREFIX": "out/1/eu",
        "set": {"captures": {"day": "1", "region": "eu"}},
        "manifest": f"s3://results/sets/{name}.json",
        "files": 3,
        "bytes": 21,
        "route": "close",
        "captures": {"day": "1", "region": "eu"},
        "parameters": {"DAY": "1"},
    }
    assert json.dumps(expected) == cloud.sfn.started[name]["input"]
    # Whoever comes when names are forgotten finds the manifest, and names the run.
    cloud.sfn.closed.clear()
    cloud.sfn.started.clear()
    arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{name}"
    late = live.handler(event(detail__object={"key": THREE[0]}), CONTEXT)
    assert {"outcome": "duplicate", "reason": None, "execution_arn": arn} == late
    assert {} == cloud.sfn.started


def test_at_least_so_many_is_one_run_for_each_content(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Counted are the route's own files of the folder; one more makes the set run again."""
    cloud.put("raw/1/a.csv", "raw/1/b.txt", "raw/1/c.gz", "raw/1/deep/d.csv", "raw/2/e.csv")
    assert ["incomplete_set"] == cloud.arrive("raw/1/a.csv")
    line = vars(caplog.records[-1])
    assert (2, 1) == (line["present"], line["missing"]), "present, missing"
    cloud.put("raw/1/f.csv", body=b"")
    assert ["started"] == cloud.arrive("raw/1/f.csv")
    cloud.put("raw/1/g.csv")
    # The set has changed before it settled: the first look is superseded, and the second brings all four.
    assert ["started"] == cloud.arrive("raw/1/g.csv")
    assert [None, 4] == [cloud.collect(number).get("files") for number in (0, 1)], (
        "files of the first look, of the second"
    )

    [run] = cloud.runs.values()
    assert ("raw/1/", {"day": "1"}, 4) == (run["SRC_PREFIX"], run["captures"], run["files"])
    # What is left after a deletion is a content of its own.
    cloud.s3.delete_object(Bucket=BUCKET, Key="raw/1/b.txt")
    assert ["started"] == cloud.arrive("raw/1/a.csv")
    assert (3, 2) == (cloud.collect().get("files"), len(cloud.runs)), cloud.runs


def test_an_arrival_trusts_only_what_runs_and_has_not_looked(cloud: Cloud) -> None:
    """One that was stopped will never look, and one that is over its time may have: the arrival brings the next one."""
    cloud.put(*THREE)
    assert ["started"] == cloud.arrive(THREE[0])
    cloud.sfn.closed.update(cloud.windows)
    assert ["started"] == cloud.arrive(THREE[1])
    cloud.sfn.age(61)
    assert ["started"] == cloud.arrive(THREE[2])

    # Should all look after all, they make the same run.
    assert [3, 3, 3] == [cloud.collect(number).get("files") for number in (2, 1, 0)], "files of each look"
    assert 1 == len(cloud.runs), "one content has two runs"


def test_a_backfill_tells_what_waits(cloud: Cloud) -> None:
    """A dry one, too, which opens nothing; a label runs what there is once more."""
    cloud.put(*THREE[:2], *(f"raw/1/{name}.csv" for name in "abc"))

    def backfill(**request: Any) -> dict[str, Any]:
        return report({}, [cloud.backfill([*THREE[:2], "raw/1/a.csv", "raw/1/b.csv"], prefix="", **request)])

    dry = backfill(dry_run=True)
    assert (2, 2, 1, list(THREE[:2])) == (dry["waiting"], dry["started"], dry["windows"], dry["first_keys"]["waiting"])
    assert {} == cloud.sfn.started
    asked: list[dict[str, Any]] = [{}, {"dry_run": True}, {"dry_run": True}, {"reprocess": "again"}]
    told = []
    for number, request in enumerate(asked):
        done = backfill(**request)
        told.append([done.get(word, 0) for word in ("waiting", "started", "coalesced", "duplicates")])
        if number % 2:
            cloud.collect()

    assert [[2, 1, 1, 0], [2, 0, 2, 0], [2, 0, 0, 2], [2, 1, 1, 0]] == told, "waiting, started, coalesced, duplicates"
    assert [{"captures": {"day": "1"}}] * 2 == [run["set"] for run in cloud.runs.values()]


def test_only_members_count(cloud: Cloud) -> None:
    """Not an empty file, not what another route takes, not what is elsewhere; not even the one that came."""
    higher = 'match = "other/{region}/{day}.csv"\npriority = 1\n'
    cloud.put(*THREE)
    cloud.put(THREE[0], body=b"")
    assert ["empty_object", "incomplete_set"] == cloud.arrive(THREE[0], THREE[1])
    cloud.put(THREE[0])
    for settings in (replace(STACK, source_prefix="in/"), replace(STACK, table=table(close=EACH, higher=higher))):
        cloud.deploy(settings)
        assert ["incomplete_set"] == cloud.arrive(THREE[1])


def test_what_was_complete_waits_for_its_route(cloud: Cloud) -> None:
    """Without it, or with another bucket, the machine fails, and can be redriven; one that ended could not."""
    cloud.put(*THREE)
    cloud.arrive(*THREE)
    cloud.deploy(replace(STACK, table=table(readings=FOLDER, renamed=EACH)))
    with pytest.raises(errors.SettingsError, match="No route 'close' has a set any more"):
        cloud.collect()
    cloud.deploy(replace(STACK, source_bucket_name="elsewhere"))
    with pytest.raises(errors.ForeignObjectError):
        cloud.collect()
    # A pause holds up arrivals alone. Another time to settle is another input, which AWS refuses under this name: no
    # reason to run again.
    hasty = EACH.replace("60", "30")
    cloud.deploy(replace(STACK, table=table(close=hasty + "paused = true\n")))
    assert ["paused"] == cloud.arrive(THREE[0])
    assert 3 == cloud.collect().get("files"), "files in the manifest"
    cloud.deploy(replace(STACK, table=table(close=hasty)))
    assert (["duplicate"], 1) == (cloud.arrive(THREE[0]), len(cloud.runs)), cloud.runs


def test_a_member_that_is_denied_is_not_taken_for_missing(cloud: Cloud) -> None:
    cloud.put(*THREE)

    def read_denied(asked: ObjectCreated) -> StoredObject | None:
        if asked.key == THREE[1]:
            raise errors.ObjectDeniedError("HeadObject", errors.Cause.ACCESS_DENIED)
        return read_object(cloud.s3, asked)

    with pytest.raises(errors.ObjectDeniedError):
        plan_arrival(live.gates._replace(read_object=read_denied), created(key=THREE[0]), STACK)


def test_why_tells_of_every_member(cloud: Cloud) -> None:
    """There since when, or missing; then what is to start it, and at last its run."""

    def why(key: str) -> list[str]:
        found = read_object(cloud.s3, created(key=key))
        assert found
        told = _tell_upload(read_upload(cloud.s3, cloud.sfn, STACK, found))
        return [re.sub(r"[0-9-]{10} [0-9:]{8}", "WHEN", line).strip() for line in told][1:]

    cloud.put(*THREE[:2], "raw/1/a.csv")
    there = [f"member {key}: there since WHEN UTC" for key in sorted(THREE)]
    assert [*there[:2], f"member {THREE[2]}: missing", "waiting: incomplete_set"] == why(THREE[0])
    assert ["member raw/1/a.csv: there since WHEN UTC", "member 2 more: missing"] == why("raw/1/a.csv")[:2]
    cloud.put(THREE[2])
    assert "no execution close-1-eu-" in why(THREE[0])[3]
    cloud.arrive(*THREE)
    [window] = cloud.windows
    assert [f"to be gathered by window {window}", f"execution {window} is RUNNING"] == why(THREE[0])[3:5]
    # It has ended without a manifest: it saw the set while that was another one.
    cloud.sfn.closed.add(window)
    assert "no execution close-1-eu-" in why(THREE[0])[3]
    cloud.collect()
    [name] = cloud.runs
    manifest = f"gathered by window {window}, manifest s3://results/sets/{name}.json"
    assert [*there, manifest, f"execution {name} is RUNNING"] == why(THREE[0])[:5]


def test_a_look_is_ten_requests_at_most() -> None:
    """More than that is a storm; it must not be cut off in silence."""
    asked: list[Listing] = []

    def look(pages: int) -> sets.Look:
        def list_page(listing: Listing, token: str | None) -> tuple[list[File], str | None]:
            asked.append(listing)
            number = int(token or 1)
            return [File(f"raw/1/{number}.csv", 1, "e", 5)], str(number + 1) if number < pages else None

        return sets.look(ROUTES["readings"], "raw/1/", STACK, lambda _: None, list_page)

    assert (10, 0) == look(pages=10)[1:], "present, missing"
    assert [Listing(BUCKET, STACK.account_id, "raw/1/", deep=False)] * 10 == asked
    with pytest.raises(errors.SetTooLargeError, match=r"Set 'raw/1/' of route readings: .* takes more than 10"):
        look(pages=11)


def test_members_in_deeper_folders_are_listed() -> None:
    """And none else: a listing of all that lies below a folder may be long."""
    deep = {"raw/{day}/{file}.csv": False, "raw/{day}/x/{file}.csv": True, "raw/{day}/{path...}": True}
    assert deep == {match: sets._is_deep(route(match, source=parsed("raw/{day}/"))) for match in deep}


def test_the_names_of_a_set_never_change() -> None:
    """What is stored under them, or was started, must be found by the next version of this code."""
    files, instance = [File(key, 1, "e1", 1_800_000_000) for key in THREE], (("day", "1"), ("region", "eu"))
    close, readings, long = ROUTES["close"], ROUTES["readings"], "x" * 80 + "/"
    names = {
        "close-1-eu-0bc77e314599fb231977c6ffe1f9090b": sets.content_of(files, close, instance, STACK),
        "close-1-eu-f0f03a1f29e2be1f4a157f2e23fc0450": sets.content_of(files[::-1], close, instance, STACK, "again"),
        "readings-1-5f009f3a677fa3eaeb92d4cff44f51c6": sets.content_of(files, readings, "raw/1/", STACK),
        f"readings-{'x' * 28}-cfff64cfe933ada00e55895c5f2310c3": sets.content_of(files, readings, long, STACK),
    }
    assert list(names) == [content.identity for content in names.values()]


# HEAD of what came; with one of each HEAD of the two others, with a folder its listing.
@pytest.mark.parametrize(
    ("deployed", "key", "calls"),
    [(stack(source_prefix="", window_seconds=60), "a.csv", 1), (STACK, THREE[0], 3), (STACK, "raw/1/a.csv", 2)],
)
def test_an_arrival_is_seen_when_the_last_look_is_over(deployed: Stack, key: str, calls: int) -> None:
    """By a clock that was read before it, a window would count on what S3 showed after the deadline."""
    s3 = Client(HEAD | {"Contents": [{"Key": f"raw/1/{name}.csv", **HEAD, "Size": 12} for name in "abc"]})
    # Each call takes a second.
    gates = make_gates(s3, s3)._replace(clock=lambda: 1000 + len(s3.calls))  # type: ignore[arg-type]
    planned: Any = plan_arrival(gates, created(key=key), deployed)
    assert (calls, 1000 + calls) == (len(s3.calls), planned.sighting.seen_at), "calls, seen at"


def test_the_source_of_one_of_each_is_the_common_folder() -> None:
    folders = {
        ("a/b/c", "a/b/d"): "a/b/",
        ("a/b1/c", "a/b2/c"): "a/",
        ("a", "b"): "",
        ("x/a", "x/a.b", "x/a/c"): "x/",
        ("x/a/b", "x/ab"): "x/",
        ("x/", "x/y"): "x/",
    }
    assert folders == {keys: common_folder(list(keys)) for keys in folders}
