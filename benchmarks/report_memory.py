"""The report of a backfill over many objects: its peak memory and its time, `python -m benchmarks.report_memory`.

The results are generated while they are read, so that what is measured is the report's own: the whole file is never there.
"""

import argparse
import io
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SOURCE = str(Path(__file__).resolve().parent.parent / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)

from botocore.response import StreamingBody  # noqa: E402 - after the path

from shared.domain.backfill import report  # noqa: E402
from shared.gates.s3 import read_map_results  # noqa: E402

BATCH = 100  # objects, as MaxItemsPerBatch in statemachine/backfill.asl.json
FILES = 4
MANIFEST = "backfill/m/manifest.json"


class Results(io.RawIOBase):
    """A file of results that is written while it is read."""

    def __init__(self, batches: int, length: int) -> None:
        self.lines = self._lines(batches, length)
        self.rest = b""
        self.size = 0

    def _lines(self, batches: int, length: int) -> Iterator[bytes]:
        for batch in range(batches):
            keys = [
                f"input/lab2/eventdriven/{batch:08d}/{number:04d}.csv".ljust(length, "x") for number in range(BATCH)
            ]
            results = {"found": BATCH, "duplicates": 0, "started": keys, "skipped": {}, "failed": []}
            yield json.dumps(results).encode() + b"\n"

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        while len(self.rest) < (size or 0) and (line := next(self.lines, None)):
            self.rest += line
        taken, self.rest = self.rest[:size], self.rest[size:]
        self.size += len(taken)
        return taken


class Stored:
    """An S3 that holds a Map Run's results."""

    def __init__(self, objects: int, length: int) -> None:
        self.files = [Results(objects // BATCH // FILES, length) for _ in range(FILES)]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803, ARG002 - AWS's own names
        """Return the manifest or a file."""
        if Key == MANIFEST:
            listed = [{"Key": str(number)} for number in range(FILES)]
            return {"Body": io.BytesIO(json.dumps({"ResultFiles": {"SUCCEEDED": listed}}).encode())}
        body: Any = self.files[int(Key)]
        unknown: Any = None
        return {"Body": StreamingBody(body, unknown)}


def main() -> None:
    """Report, and print what it took."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.report_memory", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--objects", type=int, default=1_000_000, help="%(default)s")
    parser.add_argument("--key-length", type=int, default=100, help="characters of a key (%(default)s)")
    arguments = parser.parse_args()
    stored: Any = Stored(arguments.objects, arguments.key_length)
    before, begin = peak(), time.perf_counter()
    said = report({}, read_map_results(stored, {"ResultWriterDetails": {"Bucket": "results", "Key": MANIFEST}}))
    taken, size = time.perf_counter() - begin, sum(one.size for one in stored.files)
    print(f"{said['started']:,} objects in {size / 1e6:,.0f} MB of results: {taken:.1f} s")
    print(f"peak memory of the process: {before:.1f} MB before, {peak():.1f} MB after")


def peak() -> float:
    """Return the most memory this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
