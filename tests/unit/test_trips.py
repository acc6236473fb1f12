"""The demo's green taxi trips."""

import csv
import io
import sys
from datetime import datetime
from decimal import Decimal

import pytest

from local import trips

PARTS = "fare_amount extra mta_tax tip_amount tolls_amount improvement_surcharge congestion_surcharge"


@pytest.mark.parametrize("rows", [0, 1, 200])
def test_trips_are_plausible(rows: int) -> None:
    """Each ends after it began, has a length, and costs the sum of its parts; a seed decides all."""
    text = trips.green_trips(rows, seed=1)
    found = list(csv.DictReader(io.StringIO(text, newline="")))

    assert ",".join(trips.COLUMNS) == text.splitlines()[0]
    assert rows == len(found), "rows"
    for row in found:
        pickup, dropoff = (datetime.fromisoformat(row[f"lpep_{end}_datetime"]) for end in ("pickup", "dropoff"))
        assert pickup < dropoff, row
        assert float(row["trip_distance"]) > 0, row
        assert Decimal(row["total_amount"]) == sum(Decimal(row[part]) for part in PARTS.split()), row
        assert "" == row["ehail_fee"], row
    assert text == trips.green_trips(rows, seed=1)
    assert (rows == 0) == (text == trips.green_trips(rows, seed=2))


def test_the_command_prints_the_trips_and_nothing_else(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["trips", "--rows", "3", "--seed", "7"])
    trips.main()

    assert trips.green_trips(3, seed=7) == capsys.readouterr().out
