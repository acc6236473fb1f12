"""Replay and backfill start only what never started."""

import json
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.integration.conftest import PACE, PREFIX, Arrivals, settle


def test_a_replay_starts_nothing_twice(arrivals: Arrivals, key: str, source: str) -> None:
    """Events of either source are in the archive, and replayed they are duplicates."""
    begin = datetime.now(UTC) - timedelta(minutes=5)
    arrivals.put(key)
    arrivals.decided(key)
    events = arrivals.client("events")
    [archive] = [
        one for one in events.list_archives()["Archives"] if one["ArchiveName"] == arrivals.stack.physical_id("Archive")
    ]
    described = events.describe_archive(ArchiveName=archive["ArchiveName"])
    time.sleep(PACE.archive)
    name = f"replay-{uuid.uuid4().hex}"
    events.start_replay(
        ReplayName=name,
        EventSourceArn=described["ArchiveArn"],
        EventStartTime=begin,
        EventEndTime=datetime.now(UTC) + timedelta(minutes=1),
        Destination={"Arn": described["EventSourceArn"]},
    )

    assert ["duplicate", "started"] == arrivals.decided(key, 2)
    assert {name, None} == {line.get("replay_name") for line in arrivals.log(key)}
    assert {source} == {line["source"] for line in arrivals.log(key)}
    assert 1 == len(arrivals.executions(key))


def test_a_backfill_finds_and_starts_what_was_missed(arrivals: Arrivals) -> None:
    """Dry it only says so; then it starts exactly that; with a label it starts all once more.

    A batch is limited in bytes, and each item holds its key and the prefix: with long ones few files make several batches.
    """
    folder = f"{PREFIX}{uuid.uuid4().hex}/{'deep/' * 170}"
    missed = [f"{folder}missed-{number:03}.csv" for number in range(PACE.many)]
    arrivals.put(f"{folder}seen.csv")
    arrivals.decided(f"{folder}seen.csv")
    arrivals.put(folder, b"")
    rule = f"{arrivals.stack.name}-object-created"
    arrivals.client("events").disable_rule(Name=rule)
    settle()
    try:
        for missing in missed:
            arrivals.put(missing)
        time.sleep(0.5)
        settle()
    finally:
        arrivals.client("events").enable_rule(Name=rule)

    told, many = arrivals.backfill(prefix=folder), PACE.many
    assert PACE.batches == arrivals.batches()
    assert (many + 2, many, 1, {"folder_marker": 1}, 0) == _counts(told)
    # Of whichever batch was done first.
    first = set(told["first_keys"]["started"])
    assert (5, set()) == (len(first), first - set(missed))
    assert [] == arrivals.executions(missed[0])
    assert (many + 2, many, 1, {"folder_marker": 1}, 0) == _counts(arrivals.backfill(prefix=folder, dry_run=False))
    assert (many + 2, 0, many + 1, {"folder_marker": 1}, 0) == _counts(arrivals.backfill(prefix=folder, dry_run=False))
    again = arrivals.backfill(prefix=folder, dry_run=False, reprocess="fix-1")
    assert (many + 2, many + 1, 0, {"folder_marker": 1}, 0) == _counts(again)
    assert 0 == arrivals.backfill(prefix=folder, until="PT1H", dry_run=False)["found"]


def test_a_malformed_request_says_what_to_mend(arrivals: Arrivals) -> None:
    """A typo must not turn a dry run into a wet one."""
    ended = arrivals.run(arrivals.stack.outputs["BackfillStateMachineArn"], {"dryrun": False})

    assert ("FAILED", "MalformedEventError") == (ended["status"], ended["error"])
    assert "dryrun" in ended["cause"]


def test_the_schedule_starts_the_backfill(arrivals: Arrivals) -> None:
    """Its role may, and the backfill understands its own input: the last 26 hours but the newest minutes, for real."""
    scheduler = arrivals.client("scheduler")
    target = scheduler.get_schedule(Name=arrivals.stack.physical_id("BackfillScheduler"))["Target"]

    assert arrivals.can("BackfillSchedulerRole", "states:StartExecution", target["Arn"])
    assert target["RoleArn"].endswith(f"/{arrivals.stack.physical_id('BackfillSchedulerRole')}")
    ended = arrivals.run(target["Arn"], json.loads(target["Input"]))
    assert "SUCCEEDED" == ended["status"], ended
    report = json.loads(ended["output"])
    since, until_, begun = (
        datetime.fromisoformat(str(when)) for when in (report["since"], report["until"], ended["startDate"])
    )
    assert (26 * 60, 15) == tuple(round((begun - when).total_seconds() / 60) for when in (since, until_))
    assert report["dry_run"] is False


def _counts(report: dict[str, object]) -> tuple[object, ...]:
    return tuple(report[name] for name in ("found", "started", "duplicates", "skipped", "failed"))


def test_metrics_add_up(arrivals: Arrivals, key: str) -> None:
    """Every arrival received is counted once more, as started, duplicate, skipped or failed."""
    arrivals.put(key)
    arrivals.put(key, b"")
    arrivals.decided(key, 2)
    counted: Counter[str] = Counter()
    for line in arrivals.lines():
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            assert "FileArrival" == directive["Namespace"]
            counted.update({metric["Name"]: sum(line[metric["Name"]]) for metric in directive["Metrics"]})

    assert min(counted["Started"], counted["Skipped"]) > 0
    assert counted["Received"] == sum(counted[name] for name in ("Started", "Duplicates", "Skipped", "Failed"))
