"""A backfill when things fail: its real handlers and clients on moto, and what its definition makes of their answers."""

import io
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers import backfill_batch, backfill_report, backfill_request
from shared.domain.backfill import read_request, report
from shared.domain.errors import CallError
from tests import waiting
from tests.unit.builders import (
    ACCOUNT,
    BUCKET,
    CONTEXT,
    MACHINE,
    NOW,
    PREFIX,
    REQUEST,
    Client,
    give,
    item,
    lines,
    refusal,
    stack,
    states,
)
from tests.unit.world import World, time_passes
from tools.template import deployed


class Backfill(World):
    """A bucket, a workflow, the handler of batches, and calls that are refused before they reach moto."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make them."""
        super().__init__(monkeypatch, None)
        self.log = io.StringIO()
        # What a call's path or body holds, and how it is refused.
        self.refusals: dict[str, Any] = {}
        monkeypatch.setattr(backfill_batch.logger.registered_handler, "stream", self.log)
        clients: dict[str, Any] = {"s3.HeadObject": self.s3, "sfn.StartExecution": self.sfn}
        for call, client in clients.items():
            client.meta.events.register(f"before-call.{call}", self._refuse)

    def _refuse(self, params: Any, **_: object) -> Any:
        said = params["url_path"] + (params["body"] or b"").decode()
        for part, error in self.refusals.items():
            if part in said:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                return SimpleNamespace(status_code=status), error.response
        return None

    def batch(self, *names: str, **request: Any) -> dict[str, Any]:
        """Let the handler decide on objects that were listed, and time pass."""
        results = backfill_batch.handler({"Items": [item(name, **request) for name in names]}, CONTEXT)
        time_passes()
        return results

    def told(self) -> list[dict[str, Any]]:
        """Return the log's lines."""
        return lines(self.log.getvalue())[0]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backfill]:
    """Return a bucket that holds nothing yet."""
    with mock_aws():
        yield Backfill(monkeypatch)


def start_of(name: str) -> str:
    """Return what only the start of an object's execution holds: its key in quotes, inside a JSON text."""
    return f'{PREFIX}{name}\\"'


def counted(printed: str) -> dict[str, float]:
    """Add up the metrics of EMF lines that have the namespace and the one dimension which alarm and dashboard read."""
    found: dict[str, float] = {}
    for line in lines(printed)[1]:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert ("FileArrival", [["service"]], "glueworkshop") == (
            *(directive["Namespace"], directive["Dimensions"]),
            line["service"],
        )
        for metric in directive["Metrics"]:
            found[metric["Name"]] = found.get(metric["Name"], 0) + sum(line[metric["Name"]])
    return found


def test_a_batch_that_keeps_failing_starts_nothing_twice(world: Backfill, capsys: pytest.CaptureFixture[str]) -> None:
    """It raises what the Map tries again; what had started by then is a duplicate, and is counted once."""
    for name in "abc":
        world.upload(key=PREFIX + name)
    world.refusals = {start_of("b"): refusal("ThrottlingException")}
    for _ in range(2):
        with pytest.raises(Exception, match="ThrottlingException") as caught:
            world.batch("a", "b", "c")
        assert type(caught.value).__name__ in retried(states("backfill")["Look at every object"])
        time_passes()
    assert [PREFIX + "a"] == [one["SRC_PREFIX"] for one in world.started()]

    world.refusals = {}
    results = world.batch("a", "b", "c")

    assert ([PREFIX + "b", PREFIX + "c"], 1, 3) == (results["started"], results["duplicates"], results["found"])
    assert [PREFIX + name for name in "abc"] == sorted(one["SRC_PREFIX"] for one in world.started())
    assert [("started", PREFIX + name) for name in "abc"] == [(line["message"], line["key"]) for line in world.told()]
    assert {"Backfilled": 3} == counted(capsys.readouterr().out)


@pytest.mark.parametrize("closed", ["b", "abcdefg"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_denied_object_stops_no_other(world: Backfill, closed: str, *, dry_run: bool) -> None:
    """Be it one or all: each is a failure with its reason, and the execution says so."""
    for name in "abcdefg":
        world.upload(key=PREFIX + name)
    world.refusals = {f"/{PREFIX}{name}": refusal("403", 403, "HeadObject") for name in closed}

    results = world.batch(*"abcdefg", dry_run=dry_run)

    assert [PREFIX + name for name in "abcdefg" if name not in closed] == results["started"]
    assert [
        {
            "key": PREFIX + name,
            "why": f"HeadObject on s3://{BUCKET}/'{PREFIX}{name}': 403 so it is. Check the function's role and the bucket's policy.",
        }
        for name in closed
    ] == results["failed"]
    assert "SomeObjectsFailed" == ended(report(REQUEST, [results]))["error"]


def test_a_denied_start_fails_the_batch(world: Backfill) -> None:
    """It is the function's role that lacks something, not the object's: all would fail."""
    world.upload(key=PREFIX + "a")
    world.refusals = {start_of("a"): refusal("AccessDeniedException")}

    with pytest.raises(CallError) as caught:
        world.batch("a")
    assert type(caught.value).__name__ in retried(states("backfill")["Look at every object"])


def test_an_object_gone_after_it_was_listed_is_skipped(world: Backfill) -> None:
    """Nobody can start it any more; the report says so, and the log which it was."""
    results = world.batch("gone")

    said = report(REQUEST, [results])
    assert (1, 0, {"object_gone": 1}) == (said["found"], said["failed"], said["skipped"])
    assert {"object_gone": [PREFIX + "gone"]} == said["first_keys"]["skipped"]
    assert [("skipped", "object_gone", PREFIX + "gone")] == [
        (line["message"], line["reason"], line["key"]) for line in world.told()
    ]


def test_one_failed_object_stops_no_other(world: Backfill) -> None:
    """The others are started; the execution fails and says how many of how many, which, and why."""
    names = [f"{number:02}" for number in range(12)]
    for name in names:
        world.upload(key=PREFIX + name)
    world.refusals = {start_of("04"): refusal("StateMachineDoesNotExist")}

    said = report(REQUEST, [world.batch(*names[:7]), world.batch(*names[7:])])
    assert (12, 11, 1) == (said["found"], said["started"], said["failed"])
    [failed] = said["first_keys"]["failed"]
    assert PREFIX + "04" == failed["key"]
    assert failed["why"].startswith(f"StartExecution on {MACHINE.replace('stateMachine', 'execution')}:04-")
    assert {PREFIX + name for name in names} - {PREFIX + "04"} == {one["SRC_PREFIX"] for one in world.started()}
    execution = ended(said)
    assert (
        "FAILED",
        "SomeObjectsFailed",
        "1 of 12 objects failed, 11 were started. Fix the cause and run the backfill again. First: "
        + json.dumps([failed], separators=(",", ":")),
    ) == (execution["status"], execution["error"], execution["cause"])


def test_a_backfill_without_failures_succeeds_with_its_report(world: Backfill) -> None:
    """Whatever it skipped."""
    said = report(REQUEST, [world.batch("gone")])
    execution = ended(said)

    assert ("SUCCEEDED", said) == (execution["status"], json.loads(execution["output"]))


def ended(said: dict[str, Any]) -> dict[str, Any]:
    """Run what the definition does with a report, in moto's own interpreter."""
    definition = states("backfill")
    first = definition["Report"]["Next"]
    machine = {"StartAt": first, "States": {name: one for name, one in definition.items() if one["Type"] != "Task"}}
    machine["States"].pop("Look at every object")
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        sfn: Any = boto3.client("stepfunctions", region_name="us-east-2")
        role = f"arn:aws:iam::{ACCOUNT}:role/backfill"
        made = sfn.create_state_machine(name="tail", definition=json.dumps(machine), roleArn=role)["stateMachineArn"]
        arn = sfn.start_execution(stateMachineArn=made, name="one", input=json.dumps(said))["executionArn"]
        described: dict[str, Any] = {}

        def over() -> bool:
            described.update(sfn.describe_execution(executionArn=arn))
            return bool(described["status"] != "RUNNING")

        waiting.until(over, patience=60, pause=0)
    return described


STARTED, SKIPPED = [("started", None)], [("skipped", "empty_object")]


@pytest.mark.parametrize(
    ("request_", "logged", "metrics"),
    [
        ({}, [*STARTED, *SKIPPED], {"Backfilled": 1}),
        ({"reprocess": "fix-1"}, [*STARTED, *STARTED, *SKIPPED], {"Reprocessed": 2}),
        ({"dry_run": True}, [], {}),
        ({"dry_run": True, "reprocess": "fix-1"}, [], {}),
    ],
)
def test_a_start_is_logged_and_counted_once(
    world: Backfill,
    capsys: pytest.CaptureFixture[str],
    request_: dict[str, Any],
    logged: list[tuple[str, str | None]],
    metrics: dict[str, float],
) -> None:
    """A skip is logged, a duplicate is neither, and a dry run leaves no trace; of a new, an old and an empty object."""
    for name, body in {"old": "trips", "new": "trips", "empty": ""}.items():
        world.upload(body, PREFIX + name)
    world.batch("old")
    capsys.readouterr()
    world.log.seek(0)
    world.log.truncate()

    results = world.batch("new", "old", "empty", **request_)

    told = world.told()
    starts = [line for line in told if line["message"] == "started"]
    assert logged == [(line["message"], line.get("reason")) for line in told]
    assert metrics == counted(capsys.readouterr().out)
    assert {("backfill", BUCKET, request_.get("reprocess"))} >= {
        (line["source"], line["bucket"], line.get("reprocess")) for line in told
    }
    assert [] == [line for line in starts if not line["execution_arn"].endswith(f":{line['execution_name']}")]
    assert {"empty_object": [PREFIX + "empty"]} == results["skipped"]
    assert (results["started"], 3 - len(results["started"]) - 1) == (
        [PREFIX + name for name in (["new", "old"] if "reprocess" in request_ else ["new"])],
        results["duplicates"],
    )
    assert len(starts) + 1 == len(world.started())


def retried(state: dict[str, Any]) -> set[str]:
    """Return the errors of our own, not the services', after which a state, or a Map's one task, is tried again."""
    task = next(iter(state["ItemProcessor"]["States"].values())) if "ItemProcessor" in state else state
    return {name for one in task["Retry"] for name in one["ErrorEquals"] if "." not in name}


RESULTS = {"request": REQUEST, "batches": {"ResultWriterDetails": {"Bucket": "results", "Key": "backfill/m.json"}}}


@pytest.mark.parametrize(
    ("module", "state", "given"),
    [
        (backfill_request, "Read the request", {}),
        (backfill_batch, "Look at every object", {"Items": [item("a")]}),
        (backfill_report, "Report", RESULTS),
    ],
)
def test_what_may_pass_is_tried_again_by_its_name(
    monkeypatch: pytest.MonkeyPatch, module: Any, state: str, given: dict[str, Any]
) -> None:
    """The definition knows an error by the name of its class: exactly those that another try can help."""
    raised = dict.fromkeys((400, 429, 500, 503), "")
    for status in raised:
        give(module, monkeypatch, s3=Client(refusal(str(status), status)))
        try:
            module.handler(given, CONTEXT)
        except CallError as error:
            raised[status] = type(error).__name__

    assert {raised[429], raised[500], raised[503]} == retried(states("backfill")[state])
    assert raised[400] in {"", "PermanentCallError"}


@pytest.mark.parametrize(
    ("parameters", "since"),
    [
        ({}, "2026-11-23T10:00:00Z"),
        ({"BackfillLookback": "P2D"}, "2026-11-22T12:00:00Z"),
        # The later of the two: nothing from before the move.
        ({"BackfillFrom": "2026-11-24T05:20:00Z"}, "2026-11-24T05:20:00Z"),
        ({"BackfillFrom": "2026-11-24T05:20+01:00", "SourceBucketName": "my-bucket"}, "2026-11-24T05:20:00+01:00"),
        ({"BackfillFrom": "2026-10-01T00:00:00Z"}, "2026-11-23T10:00:00Z"),
    ],
)
def test_the_schedules_own_input_is_a_request(parameters: dict[str, str], since: str) -> None:
    """Wet, over the whole source prefix, and up to a quarter of an hour ago, so that events may still come."""
    schedule = deployed(**parameters)["Resources"]["BackfillScheduler"]["Properties"]["Target"]["Input"]

    request = read_request(json.loads(schedule), stack(), NOW).model_dump(mode="json")

    assert REQUEST | {"since": since, "until": "2026-11-24T11:45:00Z"} == request
