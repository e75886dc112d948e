"""Clients that ask over HTTP, as their pages say to set them up: ask.py URL TOKEN"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXTransport
from sgqlc.endpoint.http import HTTPEndpoint
from sgqlc.operation import Operation

base, token = sys.argv[1:]
url = f"{base}/graphql"
headers = {"Authorization": f"Bearer {token}"}
GROUP = "query Group($guid: String!) { group(guid: $guid) { guid members { nodes { uid } } } }"


def check(data):
    assert data["group"]["guid"] == "book-club", data
    assert "mira" in [node["uid"] for node in data["group"]["members"]["nodes"]], data


# gql reads the schema from the server, and checks queries before it sends them.
client = Client(transport=HTTPXTransport(url=url, headers=headers), fetch_schema_from_transport=True)
query = gql(GROUP)
query.variable_values = {"guid": "book-club"}
check(client.execute(query))
try:
    Client(transport=HTTPXTransport(url=url, headers=headers)).execute(gql("{ nothing }"))
    raise AssertionError("a wrong query was answered")
except TransportQueryError as error:
    assert error.errors[0]["extensions"]["code"] == "BAD_INPUT", error

# sgqlc asks by POST and by GET.
for method in ["POST", "GET"]:
    endpoint = HTTPEndpoint(url, headers, method=method)
    check(endpoint(GROUP, {"guid": "book-club"})["data"])
    assert endpoint("{ nothing }")["errors"][0]["extensions"]["code"] == "BAD_INPUT"


def run(*command):
    subprocess.run([sys.executable, "-m", *command], check=True)


# sgqlc makes classes of the schema.
with tempfile.TemporaryDirectory() as folder:
    introspection, module = Path(folder, "schema.json"), Path(folder, "chatfold_schema.py")
    run("sgqlc.introspection", "-H", f"Authorization: Bearer {token}", url, str(introspection))
    run("sgqlc.codegen", "schema", str(introspection), str(module))
    spec = importlib.util.spec_from_file_location("chatfold_schema", module)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
operation = Operation(made.chatfold_schema.query_type)
operation.group(guid="book-club").members(first=10).nodes().__fields__("uid", "joined_at")
answer = operation + HTTPEndpoint(url, headers)(operation)
assert [str(node.uid) for node in answer.group.members.nodes] == ["mira", "tomas"], answer
