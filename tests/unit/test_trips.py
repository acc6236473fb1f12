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
def test_trips_are_plausible(rows: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each ends after it began, has a length, and costs the sum of its parts; a seed decides all."""
    monkeypatch.setattr(sys, "argv", ["trips", "--rows", f"{rows}", "--seed", "7"])
    trips.main()
    text = capsys.readouterr().out
    found = list(csv.DictReader(io.StringIO(text, newline="")))

    assert ",".join(trips.COLUMNS) == text.splitlines()[0]
    assert rows == len(found), "rows"
    for row in found:
        pickup, dropoff = (datetime.fromisoformat(row[f"lpep_{end}_datetime"]) for end in ("pickup", "dropoff"))
        assert pickup < dropoff, row
        assert float(row["trip_distance"]) > 0, row
        assert Decimal(row["total_amount"]) == sum(Decimal(row[part]) for part in PARTS.split()), row
        assert "" == row["ehail_fee"], row
    assert text == trips.green_trips(rows, seed=7)
    assert (rows == 0) == (text == trips.green_trips(rows, seed=2))
