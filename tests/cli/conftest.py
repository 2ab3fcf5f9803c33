"""A local stack that runs already, for the tests of what asks one."""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest

from rhythmai.local.home import Home
from rhythmai.local.postgres import free_port
from tests.cli.stack_process import call, clean_environment
from tests.cli.terminal import Terminal
from tests.hosted.conftest import rhythmai
from tests.hosted.programs import Program
from tests.unit.media import write_video
from tests.warm.start import warm

__all__ = ["rhythmai"]

FILM = "it's a film.mp4"


class Stack:
    """A running stack, a folder of the user's with a film in it, and how to reach the API alone."""

    def __init__(self, place: Path, variables: dict[str, str]):
        self.place, self.data, self.variables = place, place / "data", variables
        self.alone = {
            "API_URL": variables["API_URL"],
            "XDG_DATA_HOME": str(place / "nothing here"),
            "XDG_CACHE_HOME": str(place / "cache"),
        }

    async def call(self, *arguments) -> str:
        """Over API_URL alone; what it says on stdout."""
        code, out, err = await call(*arguments, cwd=self.place, **self.alone)
        assert code == 0, err
        return out

    async def refused(self, *arguments) -> str:
        code, _, err = await call(*arguments, cwd=self.place, **self.alone)
        assert (code, err.count("\n")) == (1, 1), err
        return err

    async def terminal(self, *arguments, **options) -> Terminal:
        environment = clean_environment(**self.alone)
        return await Terminal.start(*warm("rhythmai"), *arguments, environment=environment, cwd=self.place, **options)

    async def sql(self, statement: str, *arguments) -> str:
        connection = await asyncpg.connect(self.variables["DATABASE_URL"])
        value = await connection.fetchval(statement, *arguments)
        await connection.close()
        return str(value)

    async def waiting(self) -> str:
        """A job that nobody takes."""
        insert = (
            "insert into public.jobs (video_url, run_at) values ('https://example.com/a.mp4', 'infinity') returning id"
        )
        return await self.sql(insert)


@contextmanager
def running_stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="rhythmai-jobs-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        write_video(place / FILM, (((220, 30, 20), 2.0), ((20, 40, 220), 2.0)))
        ports = ("--port", str(free_port()), "--db-port", str(free_port()))
        command = ("up", "--data", str(place / "data"), *ports)
        with Program("rhythmai", "stack.ready", clean_environment(INPUT_BUCKETS="films"), place, *command) as up:
            yield Stack(place, Home(place / "data").running().environment)
        assert up.code == 0


RUNNING = ExitStack()
"""The stack, while tests that need it follow one another: beside the others it would cost 3 % of a core."""
started = functools.cache(lambda: RUNNING.enter_context(running_stack()))
atexit.register(RUNNING.close)


@pytest.fixture
def stack() -> Stack:
    return started()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Function | None) -> None:
    if nextitem is None or "stack" not in nextitem.fixturenames:
        RUNNING.close()
        started.cache_clear()
