"""Views as Parquet, read by pandas and by DuckDB: the values of the lines of JSON, in typed columns."""

import json
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import pandas
import pyarrow.parquet

lines, tables = map(Path, sys.argv[1:])
rows, kinds = 0, set()


def milliseconds(time):
    return None if time is None else round(datetime.fromisoformat(time).timestamp() * 1000)


def plain(value):
    """JSON is a text in Parquet, and a Boolean is 0 or 1 in the lines."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return int(value) if isinstance(value, bool) else value


for file in sorted(tables.glob("*.parquet")):
    told = [json.loads(line) for line in (lines / f"{file.stem}.ndjson").open()]
    schema = pyarrow.parquet.read_schema(file)
    times = {field.name for field in schema if str(field.type) == "timestamp[ms, tz=UTC]"}
    kinds |= {str(field.type) for field in schema}
    told = [[milliseconds(row[name]) if name in times else plain(row[name]) for name in schema.names] for row in told]

    columns = ", ".join(f'epoch_ms("{name}")' if name in times else f'"{name}"' for name in schema.names)
    by_duckdb = duckdb.sql(f"SELECT {columns} FROM read_parquet('{file}')").fetchall()
    assert [[plain(value) for value in row] for row in by_duckdb] == told, file

    frame = pandas.read_parquet(file, dtype_backend="pyarrow")
    for name in times:
        frame[name] = frame[name].astype("int64[pyarrow]")
    by_pandas = [[None if value is pandas.NA else plain(value) for value in row] for row in frame.itertuples(index=False)]
    assert by_pandas == told, file
    rows += len(told)

assert rows > 20, rows
assert kinds == {"string", "int64", "double", "bool", "timestamp[ms, tz=UTC]"}, kinds
