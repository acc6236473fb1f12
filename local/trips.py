"""Green taxi trips for the demo: CSV in the schema of the NYC TLC's LPEP trip records, the same for the same seed.

python -m local.trips --rows 1000 > green_tripdata.csv
"""

import argparse
import csv
import io
import sys
from datetime import datetime, timedelta
from random import Random

COLUMNS = (
    "VendorID",
    "lpep_pickup_datetime",
    "lpep_dropoff_datetime",
    "store_and_fwd_flag",
    "RatecodeID",
    "PULocationID",
    "DOLocationID",
    "passenger_count",
    "trip_distance",
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "ehail_fee",
    "improvement_surcharge",
    "total_amount",
    "payment_type",
    "trip_type",
    "congestion_surcharge",
)

MONTH = datetime(2020, 1, 1)  # noqa: DTZ001 - the records hold local times without a zone
ZONES = (7, 41, 42, 65, 74, 75, 82, 95, 97, 129, 166, 181, 236, 244)  # Harlem, Queens and Brooklyn, mostly


def green_trips(rows: int, seed: int) -> str:
    """Return CSV text of a header and so many trips of one month, in the order of their pick-ups."""
    random = Random(seed)  # noqa: S311 - repeatable is the point
    pickups = sorted(MONTH + timedelta(seconds=int(random.random() * 31 * 86_400)) for _ in range(rows))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_trip(pickup, random) for pickup in pickups)
    return text.getvalue()


def _trip(pickup: datetime, random: Random) -> list[object]:
    miles = round(0.4 + random.expovariate(0.35), 2)
    minutes = 2 + miles * random.uniform(3, 6)
    hailed = _chance(random, 0.97)  # the others are dispatched, at a negotiated fare
    card = _chance(random, 0.6)
    # In cents, so that the total is the sum of its parts.
    fare = 50 * round((250 + 250 * miles) / 50)
    extra = random.choice((0, 50, 100)) if hailed else 0
    tax = 50 if hailed else 0
    tip = round(fare * random.uniform(0, 0.25)) if card else 0
    tolls = 612 if _chance(random, 0.03) else 0
    improvement = 30 if hailed else 0
    congestion = 275 if _chance(random, 0.2) else 0
    total = fare + extra + tax + tip + tolls + improvement + congestion
    return [
        random.choice((1, 2, 2)),
        pickup,
        pickup + timedelta(seconds=round(60 * minutes)),
        "Y" if _chance(random, 0.01) else "N",
        1 if hailed else 5,
        random.choice(ZONES),
        random.choice(ZONES),
        random.choice((1, 1, 1, 1, 1, 2, 2, 3, 5, 6)),
        f"{miles:.2f}",
        _dollars(fare),
        _dollars(extra),
        _dollars(tax),
        _dollars(tip),
        _dollars(tolls),
        None,  # ehail_fee is empty in the real records, too
        _dollars(improvement),
        _dollars(total),
        1 if card else 2,
        1 if hailed else 2,
        _dollars(congestion),
    ]


def _chance(random: Random, probability: float) -> bool:
    return random.random() < probability


def _dollars(cents: int) -> str:
    return f"{cents / 100:.2f}"


def main() -> None:
    """Print the trips."""
    parser = argparse.ArgumentParser(prog="python -m local.trips", description="Print green taxi trips as CSV.")
    parser.add_argument("--rows", type=int, default=1000, help="trips to print (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other trips (default: %(default)s)")
    arguments = parser.parse_args()
    sys.stdout.write(green_trips(arguments.rows, arguments.seed))


if __name__ == "__main__":
    main()
