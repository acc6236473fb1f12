"""Backfill: what somebody types, what its batches do, also when things fail, and what its report adds up."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from handlers import backfill_batch, backfill_report, backfill_request
from shared.domain import errors
from shared.domain.arrival import ObjectCreated, Skip, SkipReason
from shared.domain.backfill import Results, read_batch, read_request, report, run_batch
from shared.domain.errors import Cause, MalformedEventError
from shared.domain.outcome import Duplicate, Outcome, Started
from tests.unit import builders
from tests.unit.builders import BUCKET, CONTEXT, MACHINE, NOW, PREFIX, REQUEST, Client, item, refusal, stack
from tests.unit.world import Cloud
from tools.template import deployed

HOUR = timedelta(hours=1)
WINDOW = f"{MACHINE.replace(':stateMachine:', ':execution:')}-windows:w"


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        # Nothing asked means: find what was missed, anywhere under the prefix, at any time.
        ({}, {}),
        # UTC unless it says otherwise.
        ({"since": "P7D", "until": "PT26H"}, {"since": NOW - 168 * HOUR, "until": NOW - 26 * HOUR}),
        ({"since": "2026-11-17"}, {"since": datetime(2026, 11, 17, tzinfo=UTC)}),
        ({"since": "2026-11-17T10:00:00+02:00"}, {"since": datetime(2026, 11, 17, 8, tzinfo=UTC)}),
        # A schedule looks back, but never beyond the day that it was told to begin with; below are its own.
        ({"not_before": "2026-11-24"}, {"since": NOW - 12 * HOUR}),
        # One that fires as soon as it exists finds nothing: that is no mistake of anybody's.
        ({"until": "PT1H", "not_before": "2026-11-24T11:50"}, {"since": NOW - HOUR / 6, "until": NOW - HOUR}),
        # Nothing outside the source prefix could start anyway.
        *(({"prefix": wider}, {}) for wider in (None, "", "input/", PREFIX)),
        ({"prefix": PREFIX + "a/"}, {"prefix": PREFIX + "a/"}),
        # Only a plain no makes it wet.
        *(({"dry_run": wet}, {"dry_run": False}) for wet in (False, "false", 0)),
        # It becomes part of names.
        *(({"reprocess": label}, {"reprocess": label}) for label in ("fix-1", "2026-11-24_b.2", "x" * 64)),
    ],
)
def test_a_request_is_settled(asked: dict[str, object], meant: dict[str, object]) -> None:
    """What is left open is dry, of everything, at all times; a moment is a timestamp, or that long ago."""
    assert REQUEST | {"dry_run": True} | meant == read_request(asked, stack(), NOW).model_dump()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"dryrun": False, "dry_run": "maybe"},
            "^dry_run: Input should be a valid bool.*; dryrun: Extra inputs are not",
        ),
        (
            {"since": 5},
            "^since: .*A backfill takes prefix, since, until, not_before, dry_run and reprocess, all optional",
        ),
        # Neither wet nor dry is guessed from an unclear answer.
        ({"dry_run": None}, "^dry_run: "),
        ({"dry_run": ""}, "^dry_run: "),
        ({"since": "last week"}, "datetime"),
        ({"since": "P1X"}, "duration"),
        ({"since": "P"}, r"^since: 'P' is no duration\. Write one such as PT26H, P7D or P1DT12H\.$"),
        ({"until": "P1DT"}, "until: 'P1DT' is no duration"),
        ({"since": "P999999D"}, r"^since, until: before or after all times\.$"),
        ({"not_before": "PT26H"}, "not_before"),
        ({"since": "PT1H", "not_before": "2026-11-24T11:50:00Z", "until": "PT2H"}, "not before until"),
        ({"prefix": "elsewhere/"}, rf"^prefix: 'elsewhere/' is not under '{PREFIX}', so nothing there can start\.$"),
        *(({"prefix": PREFIX + odd}, "^prefix: ") for odd in ("x" * 1024, "\ud800")),
        *(({"reprocess": label}, "^reprocess: ") for label in ("two words", "", "a/b", "x" * 65)),
        (
            {"since": "2026-11-18", "until": "2026-11-18"},
            r"^since: 2026-11-18T00:00:00\+00:00 is not before until, 2026",
        ),
        ([], r"^The input of a backfill is a JSON object; \{\} lists missed uploads\.$"),
    ],
)
def test_a_mistaken_request_is_refused(asked: object, said: str) -> None:
    with pytest.raises(MalformedEventError, match=said):
        read_request(asked, stack(), NOW)


@pytest.mark.parametrize("broken", [None, {}, {"Items": None}, {"Items": [{}]}, item("a"), [item("a")]])
def test_only_a_batch_of_the_map_is_read(broken: object) -> None:
    with pytest.raises(MalformedEventError, match=r"^Not a batch of the backfill's Map: \d+ validation error"):
        read_batch(broken)


def test_a_backfill_looks_at_its_bucket_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket whose events never come would otherwise be found out by a file that is missing; the answer is JSON."""
    s3 = Client({})
    monkeypatch.setattr(backfill_request, "s3", s3)
    monkeypatch.setattr(backfill_request, "datetime", builders.clock_at(NOW))
    asked = {"since": "PT26H", "until": "2026-11-24T12:45:00+01:00", "dry_run": False}
    settled = REQUEST | {"since": "2026-11-23T10:00:00Z", "until": "2026-11-24T12:45:00+01:00"}
    assert settled == backfill_request.handler(asked, CONTEXT)

    s3.answer = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}}
    with pytest.raises(errors.SettingsError, match="is in eu-west-1, this stack in us-east-2"):
        backfill_request.handler(asked, CONTEXT)
    with pytest.raises(MalformedEventError):
        backfill_request.handler({"dryrun": False}, CONTEXT)
    assert [{"Bucket": BUCKET, "ExpectedBucketOwner": builders.ACCOUNT}] * 2 == s3.calls


def test_a_batch_is_decided_one_by_one() -> None:
    """Only what lies in the window is found, which begins with its first moment and ends before its last one."""
    first, last = NOW - HOUR, NOW - timedelta(seconds=1)
    listed: dict[str, tuple[datetime, Outcome | Exception | None]] = {
        "new": (first, Started("a")),
        "old": (last, Duplicate("b")),
        "empty": (last, Skip(SkipReason.EMPTY_OBJECT, "why")),
        "sealed": (last, errors.PermanentCallError("sealed: 400", Cause.REFUSED)),
        "opens a window": (last, Started(WINDOW)),
        "opens it, too": (last, Started(WINDOW)),
        "denied": (last, errors.ObjectDeniedError("denied: 403", Cause.ACCESS_DENIED)),
        "early": (first - timedelta(seconds=1), None),
        "late": (NOW, None),
    }

    def decide(created: ObjectCreated, _request: object) -> Outcome:
        assert (BUCKET, None) == (created.bucket, created.version_id)
        _, outcome = listed[created.key.removeprefix(PREFIX)]
        if isinstance(outcome, Exception):
            raise outcome
        assert outcome, created.key
        return outcome

    window: dict[str, Any] = {"since": first.isoformat(), "until": NOW.isoformat()}
    items = [item(name, moment, **window) for name, (moment, _) in listed.items()]
    # A Map Run writes seconds, an older one a timestamp.
    items[0]["LastModified"] = first.isoformat()

    assert Results(
        found=7,
        duplicates=1,
        windows=[WINDOW],
        started=[PREFIX + name for name in ("new", "opens a window", "opens it, too")],
        skipped={"empty_object": [PREFIX + "empty"]},
        failed=[{"key": PREFIX + name, "why": str(listed[name][1])} for name in ("sealed", "denied")],
    ) == run_batch(read_batch({"Items": items}), stack(), decide)


def test_the_report_adds_up() -> None:
    """Counts of all, and the first five keys of each; a window that several batches have files of is one."""
    failed = [{"key": name, "why": "e"} for name in "defghi"]
    one = {"found": 9, "duplicates": 1, "started": ["a"] * 4, "skipped": {"empty_object": ["b"] * 3}}
    two = {"found": 14, "started": ["c"] * 3, "skipped": {"empty_object": ["d"] * 5}, "failed": failed}
    plain = {
        **REQUEST,
        "found": 23,
        "started": 7,
        "duplicates": 1,
        "skipped": {"empty_object": 8},
        "failed": 6,
        "first_keys": {
            "started": ["a", "a", "a", "a", "c"],
            "skipped": {"empty_object": ["b", "b", "b", "d", "d"]},
            "failed": failed[:5],
        },
    }
    windows: list[dict[str, Any]] = [{"windows": ["w1"], "coalesced": 2}, {"windows": ["w1", "w2"], "coalesced": 3}]

    assert plain == report(REQUEST, [one, two])
    assert plain | {"coalesced": 5, "windows": 2} == report(REQUEST, [one, two, *windows])


# ---- When things fail: the real handlers, on moto's S3, and what the definition tries again ----


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud(monkeypatch, stack(), PREFIX)


def names(keys: list[str]) -> str:
    """Of objects below the source prefix, one character each."""
    return "".join(sorted(key.removeprefix(PREFIX) for key in keys))


def started(cloud: Cloud) -> str:
    return names([run["SRC_PREFIX"] for run in cloud.runs.values()])


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str | None]]:
    """How it ended, of which object, under which label, in each line of the log."""
    return [(line.msg, names([vars(line)["key"]]), vars(line)["reprocess"]) for line in caplog.records]


def counted(capsys: pytest.CaptureFixture[str]) -> Counter[str]:
    embedded = builders.lines(capsys.readouterr().out)[1]
    return Counter(name for line in embedded for name in line if line[name] == [1.0])


def retried(state: str) -> set[str]:
    """Return the errors of our own, not the services', after which a state, or a Map's one task, is tried again."""
    known = builders.states("backfill")[state]
    task = next(iter(known["ItemProcessor"]["States"].values())) if "ItemProcessor" in known else known
    return {name for one in task["Retry"] for name in one["ErrorEquals"] if "." not in name}


def test_a_batch_that_keeps_failing_starts_nothing_twice(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """It raises what the Map tries again, also where the role lacks something; what has started is a duplicate then."""
    cloud.put(*"abc")
    for code in ("ThrottlingException", "AccessDeniedException"):
        cloud.sfn.refusals = {"b": refusal(code)}
        with pytest.raises(errors.CallError, match=code) as caught:
            cloud.backfill("abc")
        assert type(caught.value).__name__ in retried("Look at every object")
        cloud.sfn.age(60)
    assert "a" == started(cloud)

    cloud.sfn.refusals = {}
    results = cloud.backfill("abc")

    assert ("bc", 1, 3) == (names(results["started"]), results["duplicates"], results["found"]), results
    assert "abc" == started(cloud)
    assert [("started", name, None) for name in "abc"] == told(caplog)
    assert {"Backfilled": 3} == counted(capsys)


@pytest.mark.parametrize(("label", "starts"), [(None, "n"), ("fix-1", "no")])
def test_a_start_is_logged_and_counted_once(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], label: str | None, starts: str
) -> None:
    """A skip is logged, a duplicate is neither, and a dry run leaves no trace; of a new, an old and an empty object."""
    cloud.put(*"no")
    cloud.put("e", body=b"")
    cloud.backfill("o")
    cloud.sfn.age(60)
    caplog.clear()
    capsys.readouterr()

    dry = cloud.backfill("noe", dry_run=True, reprocess=label)
    cloud.sfn.age(60)
    wet = cloud.backfill("noe", reprocess=label)

    assert dry == wet
    assert (starts, 2 - len(starts)) == (names(wet["started"]), wet["duplicates"]), wet
    assert {"empty_object": [PREFIX + "e"]} == wet["skipped"]
    assert names(["o", *starts]) == started(cloud)
    assert [*(("started", name, label) for name in starts), ("skipped", "e", label)] == told(caplog)
    assert {"Reprocessed" if label else "Backfilled": len(starts)} == counted(capsys)


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
        builders.give(module, monkeypatch, s3=Client(refusal(str(status), status)))
        try:
            module.handler(given, CONTEXT)
        except errors.CallError as error:
            raised[status] = type(error).__name__

    assert {raised[429], raised[500], raised[503]} == retried(state)
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
