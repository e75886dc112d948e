"""Tools that read the SQLite file beside the server, with an SQLite as old as Debian's: tables.py FILE"""

import asyncio
import json
import sqlite3
import subprocess
import sys

import pandas
from datasette.app import Datasette

file = sys.argv[1]
MEMBERS = [("mira", "admin"), ("tomas", "moderator")]


def tool(name, *args):
    done = subprocess.run([sys.executable, "-m", name, *args], check=True, capture_output=True, text=True)
    return done.stdout


def of(rows):
    return [(row["uid"], row["scope"]) for row in rows]


print(f"SQLite {sqlite3.sqlite_version}")
# All that each tool lists at all: every table and every view.
counts = {it["table"]: it["count"] for it in json.loads(tool("sqlite_utils", "tables", file, "--counts"))}
assert counts["events"] == 5 and counts["memberships"] == 4, counts
views = json.loads(tool("sqlite_utils", "views", file, "--counts"))
assert {"view": "v_memberships", "count": 2} in views and len(views) > 20, views
assert of(json.loads(tool("sqlite_utils", "rows", file, "v_memberships"))) == MEMBERS
assert "CREATE TABLE" in tool("sqlite_utils", "schema", file)



async def in_datasette():
    datasette = Datasette([file])

    async def page(path):
        response = await datasette.client.get(f"/chatfold{path}")
        assert response.status_code == 200, (path, response.text)
        return response.json()

    database = await page(".json")
    assert {it["name"] for it in database["tables"]} >= counts.keys() - {"sqlite_sequence"}, database
    assert {it["name"] for it in database["views"]} == {it["view"] for it in views}
    for name in [*counts, *(it["view"] for it in views)]:
        assert isinstance(await page(f"/{name}.json?_shape=array"), list), name
    assert of(await page("/v_memberships.json?_shape=array")) == MEMBERS


asyncio.run(in_datasette())

with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
    members = pandas.read_sql("SELECT uid, scope, joined_at FROM v_memberships", connection, parse_dates=["joined_at"])
assert of(members.to_dict("records")) == MEMBERS, members
assert str(members.joined_at.dtype).startswith("datetime64") and str(members.joined_at.dt.tz) == "UTC", members.dtypes
