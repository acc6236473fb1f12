"""Replay and backfill start only what never started."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from tests.integration.stacks import PACE, PREFIX, Arrivals


def test_a_replay_starts_nothing_twice(arrivals: Arrivals, key: str, sources: set[str]) -> None:
    """Events of either source are in the archive, and replayed they are duplicates."""
    begin = datetime.now(UTC) - timedelta(minutes=5)
    before = ["duplicate"] * (len(sources) - 1) + ["started"]
    arrivals.put(key)
    arrivals.decided({key: before})
    events = arrivals.client("events")
    described = events.describe_archive(ArchiveName=arrivals.stack.physical_id("Archive"))
    time.sleep(PACE.archive)
    name = f"replay-{uuid.uuid4().hex}"
    events.start_replay(
        ReplayName=name,
        EventSourceArn=described["ArchiveArn"],
        EventStartTime=begin,
        EventEndTime=datetime.now(UTC) + timedelta(minutes=1),
        Destination={"Arn": described["EventSourceArn"]},
    )

    wanted = {key: ["duplicate"] * len(sources) + before}
    assert wanted == arrivals.decided(wanted)
    told = sorted((line["source"], line.get("replay_name", "")) for line in arrivals.log(key))
    assert sorted((source, replay) for source in sources for replay in ("", name)) == told
    assert 1 == len(arrivals.executions(key))


def test_a_backfill_finds_and_starts_what_was_missed(arrivals: Arrivals) -> None:
    """Dry it only says so; then it starts exactly that; with a label it starts all once more.

    A batch is limited in bytes, and each item holds its key and the prefix: with long ones it takes few files.
    """
    folder = f"{PREFIX}{uuid.uuid4().hex}/{'deep/' * 170}"
    many = PACE.many
    missed = [f"{folder}missed-{number:03}.csv" for number in range(many)]
    arrivals.put(f"{folder}missed-seen.csv")
    arrivals.decided({f"{folder}missed-seen.csv": ["started"]}, quiet=0)
    arrivals.put(folder, b"")
    with arrivals.unannounced():
        for missing in missed:
            arrivals.put(missing)

    told = arrivals.backfill(prefix=folder)
    assert PACE.batches == batches(arrivals)
    assert counts(told) == (many + 2, many, 1, {"folder_marker": 1}, 0)
    # Of whichever batch was done first.
    first = set(told["first_keys"]["started"])
    assert (5, set()) == (len(first), first - set(missed))
    assert [] == arrivals.executions(missed[0])
    few = {"prefix": f"{folder}missed-00", "dry_run": False}
    found = min(10, many)
    assert counts(arrivals.backfill(**few)) == (found, found, 0, {}, 0)
    assert counts(arrivals.backfill(**few)) == (found, 0, found, {}, 0)
    one = {"prefix": f"{folder}missed-se", "dry_run": False}
    assert counts(arrivals.backfill(**one)) == (1, 0, 1, {}, 0)
    assert counts(arrivals.backfill(**one, reprocess="fix-1")) == (1, 1, 0, {}, 0)
    assert 0 == arrivals.backfill(prefix=folder, until="PT1H", dry_run=False)["found"]


def batches(arrivals: Arrivals) -> int:
    states, machine = arrivals.client("stepfunctions"), arrivals.stack.outputs["BackfillStateMachineArn"]
    latest = states.list_executions(stateMachineArn=machine, maxResults=1)["executions"][0]
    [run] = states.list_map_runs(executionArn=latest["executionArn"])["mapRuns"]
    counted: int = states.describe_map_run(mapRunArn=run["mapRunArn"])["executionCounts"]["total"]
    return counted


def counts(report: dict[str, object]) -> tuple[object, ...]:
    return tuple(report[name] for name in ("found", "started", "duplicates", "skipped", "failed"))
