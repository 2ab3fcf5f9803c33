"""A line between a worker and a service that can be frozen, cut and mended, as networks do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Line:
    """`async with Line(url) as line:` relays connections to the host of `url`; `line.url` is the same address through it."""

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._open: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self._down = False
        self.turned_away = asyncio.Event()
        """Somebody tried while the line was cut."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        user = self._far.netloc.rpartition("@")[0]
        self.url = self._far._replace(netloc=f"{user}@{host}" if user else host).geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()
        await self._server.wait_closed()

    def freeze(self) -> None:
        """What is open stays open and carries nothing any more; new connections are relayed."""
        for relay in self._relays:
            relay.cancel()

    def cut(self) -> None:
        """Everything is closed, and who comes is turned away."""
        self._down = True
        self.freeze()
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._down = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._down:
            writer.transport.abort()
            self.turned_away.set()
            return
        far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
        self._open |= {writer, far_writer}
        relays = {asyncio.create_task(_relay(reader, far_writer)), asyncio.create_task(_relay(far_reader, writer))}
        self._relays |= relays
        await asyncio.gather(*relays, return_exceptions=True)
        self._relays -= relays


async def _relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(2**16):
            sink.write(data)
            await sink.drain()
    sink.close()
