"""A backfill when things fail: its real handlers, on moto's S3 and a Step Functions that remembers, and what its definition tries again."""

import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from moto import mock_aws

from handlers import backfill_batch, backfill_report, backfill_request
from shared.domain.backfill import read_request
from shared.domain.errors import CallError
from tests.unit.builders import (
    BUCKET,
    CONTEXT,
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
from tests.unit.world import Cloud
from tools.template import deployed


class Backfill(Cloud):
    """The cloud, where Step Functions may refuse the start of an object's execution, and what is logged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make it."""
        super().__init__(monkeypatch, stack(), PREFIX)
        self.log = io.StringIO()
        monkeypatch.setattr(backfill_batch.logger.registered_handler, "stream", self.log)
        # The first part of an execution's name, and how its start is refused.
        self.refusals: dict[str, Exception] = {}
        monkeypatch.setattr(self.sfn, "start_execution", partial(self._start, self.sfn.start_execution))

    def _start(self, real: Callable[..., object], **given: Any) -> object:
        if error := self.refusals.get(given["name"].partition("-")[0]):
            raise error
        return real(**given)

    def batch(self, names: str, **request: Any) -> dict[str, Any]:
        """Let the handler decide on objects that were listed, one a character, and time pass."""
        try:
            return self.backfill(names, **request)
        finally:
            self.sfn.age(60)

    def told(self) -> list[tuple[str, str, str | None]]:
        """Return what the log's lines say: how it ended, of which object, for which reason."""
        told = lines(self.log.getvalue())[0]
        assert {("backfill", BUCKET)} >= {(line["source"], line["bucket"]) for line in told}
        return [(line["message"], line["key"].removeprefix(PREFIX), line.get("reason")) for line in told]

    def keys(self) -> str:
        """Return the names of the objects that were started."""
        return "".join(sorted(one["SRC_PREFIX"].removeprefix(PREFIX) for one in self.runs.values()))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backfill]:
    """Return a bucket that holds nothing yet."""
    with mock_aws():
        yield Backfill(monkeypatch)


def counted(printed: str) -> dict[str, float]:
    """Add up the metrics of EMF lines that have the namespace and the one dimension which alarm and dashboard read."""
    found: dict[str, float] = {}
    for line in lines(printed)[1]:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        said = directive["Namespace"], directive["Dimensions"], line["service"]
        assert ("FileArrival", [["service"]], "glueworkshop") == said
        for metric in directive["Metrics"]:
            found[metric["Name"]] = found.get(metric["Name"], 0) + sum(line[metric["Name"]])
    return found


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_a_batch_that_keeps_failing_starts_nothing_twice(
    world: Backfill, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    """It raises what the Map tries again, also where the role lacks something; what had started by then is a duplicate."""
    world.put(*"abc")
    world.refusals = {"b": refusal(code)}
    for _ in range(2):
        with pytest.raises(CallError, match=code) as caught:
            world.batch("abc")
        assert type(caught.value).__name__ in retried(states("backfill")["Look at every object"])
    assert "a" == world.keys()

    world.refusals = {}
    results = world.batch("abc")

    assert ([PREFIX + "b", PREFIX + "c"], 1, 3) == (results["started"], results["duplicates"], results["found"])
    assert "abc" == world.keys()
    assert [("started", name, None) for name in "abc"] == world.told()
    assert {"Backfilled": 3} == counted(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("request_", "starts", "metrics"),
    [
        ({}, "n", {"Backfilled": 1}),
        ({"reprocess": "fix-1"}, "no", {"Reprocessed": 2}),
        ({"dry_run": True}, "n", {}),
        ({"dry_run": True, "reprocess": "fix-1"}, "no", {}),
    ],
)
def test_a_start_is_logged_and_counted_once(
    world: Backfill,
    capsys: pytest.CaptureFixture[str],
    request_: dict[str, Any],
    starts: str,
    metrics: dict[str, float],
) -> None:
    """A skip is logged, a duplicate is neither, and a dry run leaves no trace; of a new, an old and an empty object."""
    world.put(*"no")
    world.put("e", body=b"")
    world.batch("o")
    world.log.truncate(0)
    world.log.seek(0)
    capsys.readouterr()

    results = world.batch("noe", **request_)

    dry = "dry_run" in request_
    logged = [*(("started", name, None) for name in starts), ("skipped", "e", "empty_object")]
    assert ([] if dry else logged) == world.told()
    assert metrics == counted(capsys.readouterr().out)
    for line in lines(world.log.getvalue())[0]:
        assert line.get("reprocess") == request_.get("reprocess")
        assert line.get("execution_arn", "").endswith(line.get("execution_name", ""))
    assert ([PREFIX + name for name in starts], 2 - len(starts), {"empty_object": [PREFIX + "e"]}) == (
        results["started"],
        results["duplicates"],
        results["skipped"],
    )
    assert "".join(sorted("o" + ("" if dry else starts))) == world.keys()


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
