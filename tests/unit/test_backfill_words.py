"""The words of a backfill's request and batch, whatever somebody types."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.arrival import ObjectCreated, SkipReason
from shared.domain.backfill import read_batch, read_request, report, run_batch
from shared.domain.errors import MalformedEventError
from shared.domain.outcome import Outcome, Started
from tests.unit.builders import NOW, PREFIX, REQUEST, item, stack
from tests.unit.payloads import json_values


@given(
    json_values
    | st.fixed_dictionaries(
        {},
        optional={
            "prefix": st.sampled_from(["", PREFIX, PREFIX + "a", PREFIX + "\ud800", "x"]) | json_values,
            "since": st.sampled_from(["PT1H", "P1DT2H3M", "P", "PT", "2026-11-17", "-P1D"]) | json_values,
            "until": st.datetimes().map(datetime.isoformat) | json_values,
            "dry_run": json_values,
            "reprocess": json_values,
        },
    )
)
def test_any_request_is_read_or_malformed(asked: object) -> None:
    """And what is read can be asked of S3, never leaves the source prefix, nor has a window that is empty."""
    with contextlib.suppress(MalformedEventError):
        request = read_request(asked, stack(), NOW)
        assert request.prefix.encode().startswith(PREFIX.encode())
        assert request.since is None or request.until is None or request.since < request.until


def test_a_duration_beyond_all_times_is_malformed() -> None:
    """A slip of the finger fails with what to fix, like any other."""
    with pytest.raises(MalformedEventError):
        read_request({"since": "P999999D"}, stack(), NOW)


def test_until_may_be_a_duration_too() -> None:
    """From a week ago to yesterday."""
    request = read_request({"since": "P7D", "until": "P1D"}, stack(), NOW)

    assert (NOW - timedelta(days=7), NOW - timedelta(days=1)) == (request.since, request.until)


@pytest.mark.parametrize("wet", [False, "false", 0])
def test_only_a_plain_no_makes_it_wet(wet: object) -> None:
    """A dry run is given up by saying so, not by leaving something out or empty."""
    assert read_request({"dry_run": wet}, stack(), NOW).dry_run is False


@pytest.mark.parametrize("unclear", [None, "", [], "maybe"])
def test_an_unclear_answer_is_no_answer(unclear: object) -> None:
    """Neither wet nor dry is guessed from it."""
    with pytest.raises(MalformedEventError, match="dry_run"):
        read_request({"dry_run": unclear}, stack(), NOW)


@given(json_values)
def test_any_batch_is_read_or_malformed(batch: Any) -> None:
    """Including one whose items are anything."""
    for event in (batch, {"Items": batch}, {"Items": [batch]}, item("a") | {"request": batch}):
        with contextlib.suppress(MalformedEventError):
            read_batch(event)


@given(st.lists(st.integers(-3, 3), max_size=8), st.none() | st.integers(-3, 3), st.none() | st.integers(-3, 3))
def test_the_window_is_half_open(hours: list[int], since: int | None, until: int | None) -> None:
    """`since` is included and `until` is not, so that two windows side by side have every object once."""

    def decide(created: ObjectCreated, _request: object) -> Outcome:
        return Started(created.key)

    def moment(hour: int | None) -> str | None:
        return None if hour is None else (NOW + timedelta(hours=hour)).isoformat()

    window: dict[str, Any] = {"since": moment(since), "until": moment(until)}
    batch = [item(f"{place}:{hour}", NOW + timedelta(hours=hour), **window) for place, hour in enumerate(hours)]
    inside = [
        PREFIX + f"{place}:{hour}"
        for place, hour in enumerate(hours)
        if (since is None or since <= hour) and (until is None or hour < until)
    ]

    results = run_batch(read_batch({"Items": batch}), stack(), decide)

    assert (len(inside), inside) == (results.found, results.started)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "duplicates": st.integers(0, 9),
                "started": st.lists(st.text(), max_size=4),
                "skipped": st.dictionaries(st.sampled_from([*map(str, SkipReason)]), st.lists(st.text(), max_size=4)),
                "failed": st.lists(st.fixed_dictionaries({"key": st.text(), "why": st.text()}), max_size=4),
            }
        ),
        max_size=5,
    )
)
def test_any_report_adds_up(batches: list[dict[str, Any]]) -> None:
    """Found = started + duplicates + skipped + failed, and no list of keys is long."""
    for batch in batches:
        endings = [batch["started"], batch["failed"], *batch["skipped"].values()]
        batch["found"] = batch["duplicates"] + sum(map(len, endings))

    said = report(REQUEST, batches)

    assert sum(batch["found"] for batch in batches) == said["found"]
    assert said["found"] == said["started"] + said["duplicates"] + said["failed"] + sum(said["skipped"].values())
    first = said["first_keys"]
    assert all(len(keys) <= 5 for keys in (first["started"], first["failed"], *first["skipped"].values()))


def test_a_listing_may_say_its_time_in_either_way() -> None:
    """A Map Run writes seconds, an older one a timestamp."""
    in_words = item("a") | {"LastModified": NOW.astimezone(UTC).isoformat()}

    assert read_batch({"Items": [item("a")]}) == read_batch({"Items": [in_words]})
