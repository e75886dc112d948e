"""gql over a websocket, with its defaults: live.py URL TOKEN"""

import asyncio
import sys

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

base, token = sys.argv[1:]
CHANGES = gql('subscription { changes(afterSeq: "0") { seq } }')


async def main():
    transport = WebsocketsTransport(
        url=f"{base.replace('http', 'ws')}/graphql",
        init_payload={"Authorization": f"Bearer {token}"},
    )
    async with Client(transport=transport) as session:
        assert (await session.execute(gql("{ status { seq } }")))["status"]["seq"] == "5"
        heard = []
        async for change in session.subscribe(CHANGES):
            heard.append(change["changes"]["seq"])
            if len(heard) == 5:
                break
        assert heard == ["1", "2", "3", "4", "5"], heard


asyncio.run(main())
