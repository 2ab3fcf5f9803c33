"""Starts the gateway: `python -m supabase_standin`. README.md lists the environment."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

import asyncpg

from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.storage.failures import StorageFailure


async def serve(settings: GatewaySettings) -> None:
    """Until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Gateway(settings) as gateway:
        print(f"gateway.ready http://{settings.host}:{gateway.port}", flush=True)
        await stop.wait()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        settings = GatewaySettings.from_environment(os.environ)
    except KeyError as missing:
        sys.exit(
            f"The gateway needs {missing.args[0]} in its environment: see README.md in the folder supabase_standin."
        )
    except ValueError as error:
        sys.exit(f"GATEWAY_PORT must be a number: {error}")
    try:
        asyncio.run(serve(settings))
    except StorageFailure as failure:
        sys.exit(str(failure))
    except OSError as error:
        sys.exit(
            f"The gateway cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another GATEWAY_PORT."
        )
    except asyncpg.PostgresError as error:
        sys.exit(f"The gateway cannot use DATABASE_URL: {error}. It needs a superuser's connection and baseline.sql.")


if __name__ == "__main__":
    main()
