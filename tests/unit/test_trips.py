"""The demo's green taxi trips."""

import csv
import io
import sys
from datetime import datetime
from decimal import Decimal

import pytest

from local import trips

PARTS_OF_TOTAL = (
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "congestion_surcharge",
)


def parsed(text: str) -> list[dict[str, str]]:
    """Read the CSV back."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_same_seed_same_trips() -> None:
    """The same number of rows and the same seed give the same text, and another seed gives another."""
    assert trips.green_trips(50, seed=1) == trips.green_trips(50, seed=1)
    assert trips.green_trips(50, seed=1) != trips.green_trips(50, seed=2)


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_rows(rows: int) -> None:
    """There are as many trips as were asked for, below a header that is always there."""
    text = trips.green_trips(rows, seed=1)

    assert ",".join(trips.COLUMNS) == text.splitlines()[0]
    assert rows == len(parsed(text))


def test_trips_are_plausible() -> None:
    """Each trip ends after it began, has a length, and costs the sum of its parts."""
    rows = parsed(trips.green_trips(1000, seed=1))

    for row in rows:
        pickup, dropoff = (datetime.fromisoformat(row[f"lpep_{end}_datetime"]) for end in ("pickup", "dropoff"))
        assert pickup < dropoff
        assert float(row["trip_distance"]) > 0
        assert Decimal(row["total_amount"]) == sum(Decimal(row[part]) for part in PARTS_OF_TOTAL)
    assert {""} == {row["ehail_fee"] for row in rows}


def test_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the trips and nothing else."""
    monkeypatch.setattr(sys, "argv", ["trips", "--rows", "3", "--seed", "7"])

    trips.main()

    assert trips.green_trips(3, seed=7) == capsys.readouterr().out
