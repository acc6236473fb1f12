"""Backfill: its request, its batches, its report."""

import contextlib
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest

from handlers import backfill_batch, backfill_request
from shared.domain.arrival import ObjectCreated, Skip, SkipReason
from shared.domain.backfill import Results, read_batch, read_request, report, run_batch
from shared.domain.errors import Cause, MalformedEventError, PermanentCallError, RetryableCallError, SettingsError
from shared.domain.outcome import Duplicate, Outcome, Started
from tests.unit.builders import ACCOUNT, BUCKET, CONTEXT, NOW, PREFIX, REQUEST, Client, give, item, refusal, stack


def test_by_default_a_backfill_can_not_hurt() -> None:
    """Nothing asked means: find what was missed, anywhere under the prefix, at any time."""
    assert REQUEST | {"dry_run": True} == read_request({}, stack(), NOW).model_dump()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("PT26H", NOW - timedelta(hours=26)),
        ("P7D", NOW - timedelta(days=7)),
        ("2026-11-17", datetime(2026, 11, 17, tzinfo=UTC)),
        ("2026-11-17T10:00:00+02:00", datetime(2026, 11, 17, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_timestamp_or_that_long_ago(said: str, meant: datetime) -> None:
    """UTC unless it says otherwise."""
    assert meant == read_request({"since": said}, stack(), NOW).since


EVENING = NOW + timedelta(hours=8)


@pytest.mark.parametrize(
    ("since", "not_before", "counts"),
    [
        (None, None, None),
        (None, "2026-11-24", NOW - timedelta(hours=12)),
        ("PT26H", None, NOW - timedelta(hours=26)),
        ("PT26H", "2026-11-24", NOW - timedelta(hours=12)),
        ("PT1H", "2026-11-24", NOW - timedelta(hours=1)),
        ("PT26H", "2026-11-24T20:00:00Z", EVENING),
        ("PT26H", "2026-11-24T21:00:00+01:00", EVENING),
    ],
)
def test_nothing_before_a_moment_is_looked_at(since: str | None, not_before: str | None, counts: datetime) -> None:
    """A schedule looks back, but never beyond the day that it was told to begin with."""
    assert counts == read_request({"since": since, "not_before": not_before}, stack(), NOW).since


@pytest.mark.parametrize("since", [None, "PT26H"])
def test_a_schedule_that_begins_later_than_it_looks_finds_nothing(since: str | None) -> None:
    """It fires as soon as it exists, up to a quarter of an hour ago: that is no mistake of anybody's."""
    asked = {"since": since, "until": "PT15M", "not_before": "2026-11-24T11:50:00Z"}

    request = read_request(asked, stack(), NOW).model_dump(mode="json")

    def decide(_created: ObjectCreated, _request: object) -> Outcome:
        raise AssertionError

    moments = [NOW - timedelta(minutes=minutes) for minutes in (0, 5, 10, 15, 60)]
    results = run_batch(read_batch({"Items": [item("a", moment, **request) for moment in moments]}), stack(), decide)
    assert Results() == results
    assert {"found": 0, "started": 0, "failed": 0, "skipped": {}}.items() <= report(request, [asdict(results)]).items()


@pytest.mark.parametrize("prefix", [None, "", "input/", PREFIX])
def test_a_wider_prefix_means_the_source_prefix(prefix: str | None) -> None:
    """Nothing outside it could start anyway."""
    assert PREFIX == read_request({"prefix": prefix}, stack(), NOW).prefix
    assert PREFIX + "a/" == read_request({"prefix": PREFIX + "a/"}, stack(), NOW).prefix


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (
            {"dryrun": False, "dry_run": "maybe"},
            (
                r"^dry_run: Input should be a valid boolean, [^;]*; dryrun: Extra inputs are not permitted\. "
                r"A backfill takes prefix, since, until, not_before, dry_run and reprocess, all optional\.$"
            ),
        ),
        ({"since": "last week"}, "datetime"),
        ({"since": "P"}, r"^since: 'P' is no duration\. Write how long ago: PT26H, P7D or P1DT12H\.$"),
        ({"since": "PT"}, "since: 'PT' is no duration"),
        ({"until": "P1DT"}, "until: 'P1DT' is no duration"),
        ({"since": ""}, "datetime"),
        ({"since": "P999999D"}, r"^since, until: before or after all times\.$"),
        ({"not_before": "PT26H"}, "not_before"),
        ({"not_before": ""}, "not_before"),
        ({"since": "PT1H", "not_before": "2026-11-24T11:50:00Z", "until": "PT2H"}, "not before until"),
        ({"prefix": "elsewhere/"}, rf"^prefix: 'elsewhere/' is not under '{PREFIX}', so nothing there can start\.$"),
        ({"reprocess": "two words"}, "reprocess"),
        ({"reprocess": ""}, "reprocess"),
        ({"reprocess": "a/b"}, "reprocess"),
        ({"reprocess": "x" * 65}, "reprocess"),
        ({"prefix": PREFIX + "x" * 1024}, "prefix"),
        (
            {"since": "2026-11-18", "until": "2026-11-17"},
            r"^since: 2026-11-18T00:00:00\+00:00 is not before until, 2026-11-17T00:00:00\+00:00\.$",
        ),
        ({"since": "2026-11-18", "until": "2026-11-18"}, "not before until"),
        ([], r"^The input of a backfill is a JSON object; \{\} asks what was missed\.$"),
        (None, "JSON object"),
    ],
)
def test_a_mistaken_request_is_refused(asked: object, word: str) -> None:
    """With what to fix."""
    with pytest.raises(MalformedEventError, match=word):
        read_request(asked, stack(), NOW)


@pytest.mark.parametrize("label", ["fix-1", "2026-11-24_b.2", "x" * 64])
def test_a_label_is_kept_as_it_is(label: str) -> None:
    """It becomes part of names."""
    assert label == read_request({"reprocess": label}, stack(), NOW).reprocess


@pytest.mark.parametrize(
    ("region", "refused"), [("us-east-2", None), ("eu-west-1", "is in eu-west-1, this stack in us-east-2")]
)
def test_a_backfill_looks_at_its_bucket_first(
    monkeypatch: pytest.MonkeyPatch, region: str, refused: str | None
) -> None:
    """A bucket whose events never come would otherwise be found out by a file that is missing."""
    s3 = Client({"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": region}}})
    monkeypatch.setattr(backfill_request, "s3", s3)

    with pytest.raises(SettingsError, match=refused) if refused else contextlib.nullcontext():
        assert REQUEST | {"dry_run": True} == backfill_request.handler({}, CONTEXT)

    assert [{"Bucket": BUCKET, "ExpectedBucketOwner": ACCOUNT}] == s3.calls
    with pytest.raises(MalformedEventError):
        backfill_request.handler({"dryrun": False}, CONTEXT)
    assert 1 == len(s3.calls)


class _Clock(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        """Return noon, in UTC for whoever asks for that."""
        return cls(2026, 11, 24, 12, tzinfo=tz)


def test_a_duration_counts_back_from_now_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the settled request is JSON, which the definition hands on."""
    monkeypatch.setattr(backfill_request, "datetime", _Clock)
    monkeypatch.setattr(backfill_request, "s3", Client({}))
    moments = {"since": "PT26H", "until": "2026-11-24T12:45:00+01:00"}

    assert REQUEST | {
        "since": "2026-11-23T10:00:00Z",
        "until": "2026-11-24T12:45:00+01:00",
    } == backfill_request.handler(moments | {"dry_run": False}, CONTEXT)


def test_a_batch_is_decided_one_by_one() -> None:
    """Only what lies in the window is found; a refused object stops no other."""
    outcomes: dict[str, Outcome | Exception] = {
        "new": Started("a"),
        "old": Duplicate("b"),
        "empty": Skip(SkipReason.EMPTY_OBJECT, "why"),
        "sealed": PermanentCallError("sealed: 400", Cause.REFUSED),
    }

    def decide(created: ObjectCreated, _request: object) -> Outcome:
        assert (BUCKET, None) == (created.bucket, created.version_id)
        outcome = outcomes[created.key.removeprefix(PREFIX)]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    window: dict[str, Any] = {"since": (NOW - timedelta(hours=1)).isoformat(), "until": NOW.isoformat()}
    inside = NOW - timedelta(hours=1)
    batch = [item(name, inside, **window) for name in outcomes] + [
        item("late", **window),
        item("early", inside - timedelta(1), **window),
    ]

    assert Results(
        found=4,
        duplicates=1,
        started=[PREFIX + "new"],
        skipped={"empty_object": [PREFIX + "empty"]},
        failed=[{"key": PREFIX + "sealed", "why": "sealed: 400"}],
    ) == run_batch(read_batch({"Items": batch}), stack(), decide)


def test_what_may_pass_fails_the_batch() -> None:
    """So that the Map tries it again, and partial failure never looks like success."""

    def decide(_created: ObjectCreated, _request: object) -> Outcome:
        raise RetryableCallError("throttled", Cause.THROTTLED)

    with pytest.raises(RetryableCallError):
        run_batch(read_batch({"Items": [item("a")]}), stack(), decide)


@pytest.mark.parametrize("broken", [None, {}, {"Items": [{}]}, "text", item("a"), [item("a")]])
def test_anything_else_is_malformed(broken: object) -> None:
    """The function is the Map's and nobody else's."""
    with pytest.raises(MalformedEventError, match=r"^Not a batch of the backfill's Map: \d+ validation error"):
        read_batch(broken)


def test_a_dry_run_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks whether the execution exists, and no more."""
    head = {"ETag": '"e1"', "LastModified": NOW, "ContentLength": 12}
    sfn = Client(refusal("ExecutionDoesNotExist"))
    give(backfill_batch, monkeypatch, s3=Client(head), sfn=sfn)

    results = backfill_batch.handler({"Items": [item("a", dry_run=True)]}, CONTEXT)

    assert [PREFIX + "a"] == results["started"]
    assert ["executionArn", "includedData"] == sorted(sfn.calls[0])
    sfn.answer = {"startDate": NOW}
    assert 1 == backfill_batch.handler({"Items": [item("a", dry_run=True)]}, CONTEXT)["duplicates"]


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        ([{}], {}),
        ([{"coalesced": 2}, {"coalesced": 3}], {"coalesced": 5, "windows": 0}),
        ([{"windows": ["w1"]}, {"windows": ["w1", "w2"]}], {"coalesced": 0, "windows": 2}),
    ],
)
def test_the_report_counts_a_window_once(batches: list[dict[str, Any]], said: dict[str, int]) -> None:
    """Several batches may have files of one; and without any the report says nothing of them."""
    made = report(REQUEST, batches)

    assert said == {name: made[name] for name in ("coalesced", "windows") if name in made}


def test_the_report_adds_up() -> None:
    """Counts of all, and the first keys of each."""
    one = {"found": 9, "duplicates": 1, "started": ["a"] * 4, "skipped": {"empty_object": ["b"] * 3}, "failed": []}
    two = {"found": 4, "duplicates": 0, "started": ["c"] * 3, "skipped": {}, "failed": [{"key": "d", "why": "e"}]}

    assert {
        **REQUEST,
        "found": 13,
        "started": 7,
        "duplicates": 1,
        "skipped": {"empty_object": 3},
        "failed": 1,
        "first_keys": {
            "started": ["a", "a", "a", "a", "c"],
            "skipped": {"empty_object": ["b", "b", "b"]},
            "failed": [{"key": "d", "why": "e"}],
        },
    } == report(REQUEST, [one, two])
