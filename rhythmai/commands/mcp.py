"""`rhythmai mcp`: the MCP server, over stdio."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command

CLEAN_UP_S: Final = 1.0


@command
async def mcp(
    root: Annotated[
        Path, typer.Option(help="The folder whose videos may be used, and in which music is saved.", show_default=False)
    ] = Path(),
    data: Data = None,
) -> None:
    """Serve music as tools to an assistant, by the Model Context Protocol on stdin and stdout.

    A host starts it; docs/client.md says how. Nothing outside of the folder is read or written.
    """
    from rhythmai.connection import connect
    from rhythmai.mcp.folder import Folder
    from rhythmai.mcp.server import make_server

    with Folder(root) as folder:
        serving = asyncio.ensure_future(make_server(folder, lambda: connect(data)).run_stdio_async())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            serving.cancel()
            await asyncio.wait([serving], timeout=CLEAN_UP_S)
            os._exit(130)  # the thread that reads stdin returns with the next line, and Python would wait for that
