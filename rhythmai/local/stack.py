"""The local stand-in for a Supabase project, with our API and a worker in front of it: started in order, stopped in reverse.

Nothing here imitates anything: the children are the very programs of production, with the environment of production.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import psutil

from rhythmai import schema
from rhythmai.drift import State, standings
from rhythmai.errors import BadInput
from rhythmai.local.home import Home, Running, Secrets, born, lives
from rhythmai.local.kept_postgres import KeptPostgres
from rhythmai.local.postgres import Postgres, free_port
from rhythmai.local.readiness import until_ready
from rhythmai.local.settings import LocalSettings
from rhythmai.local.supervisor import Child, kill_group
from rhythmai.loopback import past_the_proxy
from rhythmai.project.environment import Policy, read
from supabase_standin import BASELINE

PORT: Final = 54321
DB_PORT: Final = 54322
ROOTS: Final = Path("/var/lib/rhythmai-local")
"""Where root's stacks lie: in root's home Postgres, which is another user then, would be shut out. The worker's unit has
/var/lib/rhythmai to itself."""
FOREIGN: Final = (
    "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_DB_URL", "LOCAL_JWT_SECRET",
)  # fmt: skip
"""Aliases that would point a child at another project."""
NO_FLOOD_GUARD: Final = "update private.settings set pending_per_owner = 1000000, pending_per_client = 1000000"


def default_data(name: str = "stack") -> Path:
    """Where the data of a local stack lies when nobody says otherwise."""
    from platformdirs import user_data_path

    if os.geteuid() == 0 and not os.environ.get("XDG_DATA_HOME"):
        return ROOTS / name
    return user_data_path("rhythmai") / name


def port_is_free(port: int) -> bool:
    """Whether we could listen on that port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


@asynccontextmanager
async def local_stack(
    data: Path,
    *,
    port: int = PORT,
    db_port: int = DB_PORT,
    scripts: Sequence[Path] = (),
    settings: LocalSettings | None = None,
    echo: Callable[[str, str], None] | None = None,
) -> AsyncIterator[Running]:
    """A stack over a data directory, ready when the context is entered, gone (the data stay) when it is left.

    `settings` is what the environment says unless given; `scripts` is extra SQL, run at every start after the
    migrations; `echo(child, line)` gets what the children say.
    Raises NoStack (served already, or something in it does not start), BadInput (a port, a script, the directory).
    """
    settings = settings or LocalSettings()
    policy = read(Policy, BadInput)
    home = Home(data)
    extra = [(script, await asyncio.to_thread(_read, script)) for script in scripts]
    home.make()
    async with AsyncExitStack() as down:
        down.enter_context(home.hold())
        await asyncio.to_thread(_kill_leftovers, home)
        keys = home.secrets(settings.jwt_secret)
        postgres = KeptPostgres(Postgres(home.postgres, password=keys.database_password, port=db_port), echo)
        await postgres.stop()  # one that a killed stack left behind
        for number, option in ((port, "--port"), (db_port, "--db-port")):
            if not port_is_free(number):
                raise BadInput(f"Port {number} is in use: stop what listens there, or choose another with {option}")
        running = Running(
            pid=os.getpid(), born=born(os.getpid()) or 0, port=port, db_port=db_port,
            environment=_environment(keys, port, postgres.url),
        )  # fmt: skip
        home.record(running)

        down.push_async_callback(postgres.stop)
        await postgres.start()
        since = await _lay(home.data, running.environment["DATABASE_URL"], extra, policy)

        def note(name: str, pid: int) -> None:
            running.children[name] = (pid, born(pid) or 0)
            home.record(running)

        children = [
            Child(name, command, environment, logs=home.logs, echo=echo, started=note)
            for name, command, environment in _children(running, home, settings)
        ]
        for child in children:
            down.push_async_callback(child.stop)
            await child.start()
        await until_ready(running, children, since)
        home.record(running := replace(running, ready=True))
        down.callback(home.record, replace(running, ready=False))  # whoever comes now would lose it in the middle
        yield running


def _environment(keys: Secrets, port: int, database_url: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "SUPABASE_URL": url,
        "SUPABASE_KEY": keys.secret_key,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        "DATABASE_URL": database_url,
        "JWT_SECRET": keys.jwt_secret,
        "API_URL": url,
    }


def _children(
    running: Running, home: Home, settings: LocalSettings
) -> list[tuple[str, tuple[str, ...], dict[str, str]]]:
    """(name, command, environment) in the order of their start."""
    api_port = str(free_port())
    shared = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    shared |= {**running.environment, **past_the_proxy(os.environ), "PYTHONUNBUFFERED": "1"}
    gateway = {
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(running.port),
        "STORAGE_DIR": str(home.storage),
        "API_UPSTREAM": f"http://127.0.0.1:{api_port}",
    }
    # One port of metrics cannot be the API's and the worker's: it is the API's. Said by a number (0 is any free port),
    # since an empty variable would let that of `.env` through.
    worker = {"ENGINE": settings.engine, "WORKER_NAME": settings.worker_name, "METRICS_PORT": "0"}
    # -P: a folder of the user's that is called `worker` is not ours.
    python = (sys.executable, "-P", "-m")
    return [
        ("api", (*python, "edge_api"), shared | {"API_HOST": "127.0.0.1", "API_PORT": api_port}),
        ("gateway", (*python, "supabase_standin"), shared | gateway),
        ("worker", (*python, "worker"), shared | worker),
    ]


async def _lay(data: Path, database_url: str, scripts: Sequence[tuple[Path, str]], policy: Policy) -> datetime:
    """Bring the database up to date; return its time of now. Raises BadInput where another version of rhythmai made it."""
    connection = await asyncpg.connect(database_url)
    try:
        if not {State.ALTERED, State.UNKNOWN}.isdisjoint(
            s.state for s in await standings(connection, schema.bundled())
        ):
            raise BadInput(
                f"The local stack in {data} was made by another version of rhythmai: delete that folder, with the jobs and "
                "tracks in it, or name another one with --data"
            )
        await connection.execute(BASELINE.read_text())
        await schema.migrate(connection, schema.bundled())
        await connection.execute(NO_FLOOD_GUARD)
        await schema.decide(connection, policy)
        for path, script in scripts:
            try:
                async with connection.transaction():
                    await connection.execute(script)
            except asyncpg.PostgresError as error:
                raise BadInput(f"{path} failed: {error}") from None
        now: datetime = await connection.fetchval("select now()")
        return now
    finally:
        await connection.close()


def _kill_leftovers(home: Home) -> None:
    """End the children of a stack that was killed and could not do it itself."""
    found = home.recorded()
    left = [pid for pid, birth in (found.children.values() if found else ()) if lives(pid, birth)]
    for pid in left:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            kill_group(pid)
            process.wait(timeout=10)


def _read(script: Path) -> str:
    try:
        return script.read_text()
    except OSError as error:
        raise BadInput(f"{script} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{script} is not UTF-8 text: save it as UTF-8") from None
