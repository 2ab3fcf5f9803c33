"""The data directory of a local stack."""

from __future__ import annotations

import os
import stat
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from rhythmai.connection import connect
from rhythmai.errors import BadInput, NoStack, Refused
from rhythmai.local.home import Home, Running, born
from rhythmai.local.postgres import let_through
from rhythmai.local.stack import default_data


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "data")
    home.make()
    return home


def running(**changes):
    mine = {"pid": os.getpid(), "born": born(os.getpid()), "port": 1234, "db_port": 5678, "environment": {"A": "b"}}
    return Running(**{**mine, **changes})


def test_keys_are_made_once_and_private(home):
    """Keys are the same at every start, and only their owner may read them."""
    keys = home.secrets()
    assert home.secrets() == keys
    assert stat.S_IMODE((home.data / "keys.json").stat().st_mode) == 0o600
    assert keys.secret_key.startswith("sb_secret_")
    assert keys.publishable_key.startswith("sb_publishable_")


def test_a_fixed_secret_is_for_one_time(home):
    """A JWT secret from outside replaces the kept one and is not kept."""
    kept = home.secrets().jwt_secret
    assert home.secrets("s" * 32).jwt_secret == "s" * 32
    assert home.secrets().jwt_secret == kept


def test_a_short_secret_is_refused(home):
    """A JWT secret that HS256 finds too short is refused with its length."""
    with pytest.raises(BadInput, match="has 5 characters"):
        home.secrets("short")


def test_a_stack_that_starts_is_none_yet(home):
    """A stack that is not ready is not there for others, and yet holds its directory."""
    with home.hold():
        home.record(running())
        assert home.running() is None
        assert home.recorded() == running()
        with pytest.raises(NoStack, match=rf"pid {os.getpid()} .* starting or ending"), Home(home.data).hold():
            pass


def test_only_one_holds_the_directory(home):
    """A second holder is refused and told pid and ports of the first."""
    with home.hold():
        home.record(running(ready=True))
        with (
            pytest.raises(NoStack, match=rf"pid {os.getpid()} on port 1234 \(Postgres on 5678\)"),
            Home(home.data).hold(),
        ):
            pass
        assert home.running() == running(ready=True)
    assert home.running() is None
    with home.hold():
        pass


def test_a_dead_stack_does_not_run(home):
    """The record of a stack that was killed is not taken for a running one, even when its pid was given away."""
    home.record(running(born=1.0, ready=True))
    assert home.running() is None
    assert home.recorded() is not None


def test_a_directory_that_cannot_be(tmp_path):
    """A data directory that cannot be made is a word about --data."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="--data"):
        Home(tmp_path / "file" / "data").make()


async def test_a_user_is_the_same_on_the_local_stack(home, monkeypatch, tmp_path):
    """USER_TOKEN counts for a local stack, too."""

    async def asked(request):
        return web.json_response({"detail": request.headers["Authorization"], "code": "x"}, status=401)

    app = web.Application()
    app.router.add_get("/api/v1/job/{job}", asked)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USER_TOKEN", "user.jwt")
    async with TestServer(app, host="127.0.0.1") as server:
        home.record(running(port=server.port, ready=True, environment={"SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}))
        async with connect(home.data) as client:
            with pytest.raises(Refused, match=r"Bearer user\.jwt"):
                await client.job(uuid4())


def test_a_folder_that_is_opened_is_named(tmp_path, capsys):
    """What is opened to the system user of Postgres is said in one line, with its new mode; what is open is left alone."""
    tmp_path.chmod(0o700)
    for _ in range(2):
        let_through(tmp_path, "pgserver")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711
    assert capsys.readouterr().err == f"rhythmai: {tmp_path} was closed to pgserver, as whom Postgres runs: chmod 711\n"


@pytest.mark.parametrize(
    ("user", "xdg", "place"),
    [
        (0, "", "/var/lib/rhythmai-local/stack"),
        (0, "/somewhere", "/somewhere/rhythmai/stack"),
        (1000, "/home/u/.local/share", "/home/u/.local/share/rhythmai/stack"),
    ],
)
def test_root_keeps_out_of_its_home(monkeypatch, user, xdg, place):
    """The data of root lie where another user can get in, unless root says otherwise."""
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("XDG_DATA_HOME", xdg)
    assert str(default_data()) == place
