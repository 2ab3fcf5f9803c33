"""The way from a client to the gateway, through a tunnel in which connections break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Tunnel:
    """`.url` leads to the gateway. The connection over which byte number `cut_after` comes breaks, and so do the next `dark` ones."""

    def __init__(self, to: str, cut_after: float, dark: int) -> None:
        self._port = urlsplit(to).port
        self._left, self._dark_then = cut_after, dark
        self.dark = 0

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.dark > 0:
            self.dark -= 1
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._carry(reader, back))
        down = asyncio.create_task(_copy(there, writer))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        for end in (writer, back):
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self._left -= len(data)
            if self._left < 0:
                self._left, self.dark = float("inf"), self._dark_then
                return
            writer.write(data)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def tunnel(to: str, cut_after: float, dark: int) -> AsyncIterator[Tunnel]:
    way = Tunnel(to, cut_after, dark)
    server = await asyncio.start_server(way._pass, "127.0.0.1", 0)
    way.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
