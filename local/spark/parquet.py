"""Print the content of Parquet files as JSON: `python -m local.spark.parquet LINES FILE…`, without Spark."""

import json
import sys

import pyarrow as pa
from pyarrow import parquet


def main() -> None:
    """Print the number of rows, the type of each column, and the first lines."""
    lines, *files = sys.argv[1:]
    table = pa.concat_tables([parquet.read_table(file) for file in files])
    described = {
        "rows": table.num_rows,
        "columns": {field.name: str(field.type) for field in table.schema},
        "first": table.slice(0, int(lines)).to_pylist(),
    }
    print(json.dumps(described, default=str, ensure_ascii=False))


if __name__ == "__main__":
    main()
