"""A broadcast and echo server on the `websockets` package of PyPI."""

import asyncio
import sys

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed

members = set()


async def handle(socket):
    try:
        if socket.request.path.startswith("/echo"):
            async for message in socket:
                await socket.send(message)
            return
        members.add(socket)
        async for message in socket:
            broadcast(members, message)
    except ConnectionClosed:
        pass
    finally:
        members.discard(socket)


async def main():
    port = int(sys.argv[1])
    async with serve(
        handle, "127.0.0.1", port, compression=None, max_size=1 << 24, ping_interval=None, backlog=4096
    ):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
