"""CSV files of any kind, and the judge of what is in them: Python's own csv.reader(strict=True)."""

import codecs
import csv
import io

from hypothesis import strategies as st


def strict(data: bytes, separator: str = ",", encoding: str = "utf-8-sig") -> list[list[str]] | None:
    """Return the rows without blank lines; None where the judge refuses, or they have no place below the header."""
    try:
        text = io.StringIO(data.decode(encoding), newline="")
        rows = [row for row in csv.reader(text, delimiter=separator, strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    width = len(rows[0]) if rows else 0
    return rows if len(rows) > 1 and all(len(row) >= width and not any(row[width:]) for row in rows[1:]) else None


PIECES = [
    *("a", '"', '""', ",", ";", "\n", "\r\n", "\r", " ", "\t", "é", "\0", '"q"', "\ufeff", "1", '"\n"', "|"),
    *("\u2028", "\x85", "\x1c"),
]
BARE = st.sampled_from(["", "", "a", "b c", '6" pipe', "é", " ", "\x85", "\u2028x", "\ufeff", "0012"])
QUOTED = st.lists(st.sampled_from(PIECES), max_size=4).map(lambda parts: '"' + "".join(parts).replace('"', '""') + '"')


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Make a file: mostly well-formed, of one width and one kind of line end or of several, now and then neither."""
    separator = draw(st.sampled_from([",", ",", ";"]))
    width = draw(st.integers(1, 4))
    cells = st.one_of(BARE, BARE, QUOTED) if draw(st.booleans()) else BARE
    widths = st.just(width) if draw(st.integers(0, 3)) else st.sampled_from([width, width + 1, max(1, width - 1)])
    row = widths.flatmap(lambda count: st.lists(cells, min_size=count, max_size=count)).map(separator.join)
    rows = draw(st.lists(st.one_of(row, row, row, st.just("")), max_size=8))
    ends = st.sampled_from(draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]])))
    text = "".join(line + draw(ends) for line in (separator.join("hijk"[:width]), *rows))
    if not draw(st.integers(0, 3)):
        text += "".join(draw(st.lists(st.sampled_from(PIECES), max_size=6)))
    text = text.rstrip("\r\n") if not draw(st.integers(0, 3)) else text
    data = (codecs.BOM_UTF8 if not draw(st.integers(0, 4)) else b"") + text.encode()
    return data + b"\xff" if not draw(st.integers(0, 15)) else data


OLD = (
    "VendorID,lpep_pickup_datetime,Lpep_dropoff_datetime,Store_and_fwd_flag,RateCodeID,Pickup_longitude,"
    "Pickup_latitude,Dropoff_longitude,Dropoff_latitude,Passenger_count,Trip_distance,Fare_amount,Extra,MTA_tax,"
    "Tip_amount,Tolls_amount,Ehail_fee,{}Total_amount,Payment_type,Trip_type"
)
NEW = (
    "VendorID,lpep_pickup_datetime,lpep_dropoff_datetime,store_and_fwd_flag,RatecodeID,PULocationID,DOLocationID,"
    "passenger_count,trip_distance,fare_amount,extra,mta_tax,tip_amount,tolls_amount,ehail_fee,"
    "improvement_surcharge,total_amount,payment_type,trip_type"
)
OLD_ROW = "2,2013-08-01 08:14:37,2013-08-01 09:09:06,N,1,0,0,-73.9500,40.8,1,.00,21.25,0,0,0,0,,{}21.25,2,{}"
NEW_ROW = "2,2017-01-01 00:01:15,2017-01-01 00:11:05,N,1,42,166,1,1.71,9,0,.5,0,0,,.3,9.8,2,1"
EMPTY_ROW = ",2020-07-01 00:00:00,2020-07-01 00:00:01,,,1,2,,0,5,0,0,0,0,,0,5,,"
# As the TLC has published them.
YEARS = {
    "2013-08": f"{OLD.format('')} \r\n\r\n{OLD_ROW.format('', '')},,\r\n",
    "2014-01": f"{OLD.format('')} \r\n\r\n{OLD_ROW.format('', '1')},,\r\n",
    "2015-01": f"{OLD.format('Improvement_surcharge,')} \r\n\r\n{OLD_ROW.format('0.3,', '1')},,\r\n",
    "2015-07": f"{OLD.format('improvement_surcharge,')} \r\n{OLD_ROW.format('0.3,', '1')}\r\n",
    "2016-07": f"{NEW}\n\n{NEW_ROW},,\n",
    "2017-01": f"{NEW}\r\n\r\n{NEW_ROW}\r\n",
    "2018-01": f"{NEW}\n{NEW_ROW}\n",
    "2019-01": f"{NEW},congestion_surcharge\n{NEW_ROW},\n",
    "2020-07": f"{NEW},congestion_surcharge\n{NEW_ROW},2.75\n{EMPTY_ROW},\n",
}
