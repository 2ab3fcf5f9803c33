"""How DATABASE_URL is read, and that poolers, TLS and IPv6 work for everybody who reads it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

import edge_api.settings
import worker.settings
from edge_api.database import Database
from rhythmai.errors import BadInput, Unreachable
from rhythmai.project.dsn import behind_transaction_pooler, connect_arguments
from rhythmai.target import Target, database, lacks_ipv6
from tests.hosted.pooler import Pooler
from tests.hosted.tls import make_certificates
from worker.domain import Direction, Plan, Result, Stage, Variant
from worker.errors import Misconfigured
from worker.heartbeat import Heartbeat
from worker.jobs import PostgresQueue

DIRECTION = Direction(
    title="Dawn",
    prompt="soft piano",
    description="",
    genre="",
    instruments=("piano",),
    tempo_bpm=70,
    key="",
    mood="calm",
)
PLAN = Plan(variants=(Variant(index=0, seed=7, direction=DIRECTION),), describer="local")


@pytest.mark.parametrize(
    ("url", "pooled"),
    [
        ("postgresql://u:p@h:6543/postgres", True),
        ("postgresql://u:p@h:6543", True),
        ("postgresql://u:p@[2001:db8::1]:6543/postgres?sslmode=require", True),
        ("postgresql://u:p@h:5432/postgres?pgbouncer=true", True),
        ("postgresql://u:p@h:5432/postgres?pgbouncer=false", False),
        ("postgresql://u:6543@h:5432/postgres", False),
        ("postgresql://u:p@h/6543", False),
    ],
)
def test_a_transaction_pooler_is_known(url, pooled):
    """Port 6543 or ?pgbouncer=true says "transaction pooler": then there are no prepared statements."""
    assert behind_transaction_pooler(url) == pooled
    assert ("statement_cache_size" in connect_arguments(url, "x")) == pooled


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres://u:p@h/d?pgbouncer=true&connection_limit=1&sslmode=require", "postgres://u:p@h/d?sslmode=require"),
        ("postgresql://u:p%40%2F@h/d?sslmode=verify-full&sslrootcert=%2Fa%2Fca.crt",
         "postgresql://u:p%40%2F@h/d?sslmode=verify-full&sslrootcert=%2Fa%2Fca.crt"),
        ("postgresql://u:p@[::1]:5432/d", "postgresql://u:p@[::1]:5432/d"),
    ],
)  # fmt: skip
def test_what_is_for_other_clients_is_left_out(url, dsn):
    """What dashboards write for other clients does not reach Postgres; what is meant for it does, unchanged."""
    assert connect_arguments(url, "x")["dsn"] == dsn


@pytest.mark.parametrize("password", ["p@ss", "p@[s]s", "[YOUR-PASSWORD]", "p%40ss"])
def test_all_read_the_same(monkeypatch, tmp_path, password):
    """API, worker and console script make one address of a URL whose password is not encoded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPABASE_URL", "https://example.com")
    monkeypatch.setenv("SUPABASE_KEY", "sb_secret_x")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:{password}@db.example.com:5432/postgres")
    settings = worker.settings.read_settings(), edge_api.settings.read_settings(), Target.find()
    (url,) = {str(read.database_url) for read in settings}
    parts = urlsplit(connect_arguments(url, "x")["dsn"])
    assert (parts.hostname, unquote(parts.password)) == ("db.example.com", unquote(password))


def test_what_no_reading_helps_is_explained(monkeypatch, tmp_path):
    """A password that ends the address early is malformed, and how to write it is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p/ss@db.example.com:5432/postgres")
    with pytest.raises(BadInput, match="write / as %2F"):
        Target.find()


async def work(url: str) -> None:
    """Many at once do what an API and a worker do: submit, claim, beat, and every write to the end."""
    database = await Database.open(url)
    queue = await PostgresQueue.connect(
        url, name="box", kinds=("generate", "merge"), engines=("sketch",), version="1",
        lease=timedelta(minutes=1), job_timeout=timedelta(minutes=1),
    )  # fmt: skip
    beaten = asyncio.Event()
    loop = asyncio.get_running_loop()
    heartbeat = Heartbeat(
        url, queue.worker_id, every=timedelta(milliseconds=50), idle_every=timedelta(milliseconds=50), on_order=lambda order: None,
        on_beat=lambda: loop.call_soon_threadsafe(beaten.set),
    )  # fmt: skip
    heartbeat.start()
    try:
        await queue.ready("sketch")

        async def one(number: int) -> None:
            job = await database.submit(
                "generate", "https://example.com/a.mp4", "", {}, owner=None, client=f"c{number}", key=None,
                traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
            )  # fmt: skip
            assert await database.view(job, None)
            claimed = await queue.claim()
            assert claimed is not None
            stop = asyncio.Event()
            heartbeat.hold(claimed.lease, lambda _: loop.call_soon_threadsafe(stop.set))
            await queue.set_stage(claimed.lease, Stage.COMPOSING)
            assert await queue.save_plan(claimed.lease, PLAN) == PLAN
            await queue.put_result(claimed.lease, Result(index=0, audio_url="https://example.com/a.flac"))
            match number % 3:
                case 0:
                    await queue.finish(claimed.lease)
                case 1:
                    await queue.fail(claimed.lease, code="x", message="x", again=False)
                case 2:
                    assert await database.cancel(claimed.lease.job_id, None)
                    await stop.wait()
                    await queue.finish(claimed.lease)
            heartbeat.drop(claimed.lease)

        await asyncio.gather(*(one(number) for number in range(24)))
        assert await queue.claim() is None
        async with asyncio.timeout(120):
            await beaten.wait()
    finally:
        await asyncio.to_thread(heartbeat.stop)
        await queue.close()
        await database.close()


async def test_api_and_worker_through_a_transaction_pooler(database_url, pooler):
    """Three connections shared by transaction serve an API, a worker and its heartbeat, all at once."""
    await work(pooler.url(database_url))


async def test_over_ipv6(database_url, postgres):
    """An IPv6 address in brackets is an address like another."""
    with Pooler(postgres.url(), listen="::1") as six:
        await work(six.url(database_url))


@pytest.fixture(scope="module")
def tls_pooler(postgres, certificates):
    """A pooler that insists on TLS."""
    more = (
        f"client_tls_sslmode = require\nclient_tls_cert_file = {certificates.certificate}\n"
        f"client_tls_key_file = {certificates.key}"
    )
    with Pooler(postgres.url(), more=more) as running:
        yield running


async def test_tls_is_verified(database_url, tls_pooler, certificates):
    """With sslmode=verify-full and the authority's certificate the whole way works."""
    verified = f"pgbouncer=true&sslmode=verify-full&sslrootcert={certificates.authority}"
    await work(tls_pooler.url(database_url, verified))


async def test_a_certificate_of_nobody_we_trust(database_url, tls_pooler, certificates, tmp_path):
    """A certificate from another authority is refused, at once and in one line, not tried again for minutes."""
    others = make_certificates(tmp_path)
    wrong = tls_pooler.url(database_url, f"pgbouncer=true&sslmode=verify-full&sslrootcert={others.authority}")
    with pytest.raises(Misconfigured, match="certificate verify failed"):
        await PostgresQueue.connect(
            wrong, name="box", kinds=("merge",), engines=(), version="1",
            lease=timedelta(minutes=1), job_timeout=timedelta(minutes=1),
        )  # fmt: skip


async def test_operators_are_told_where_the_authority_is(database_url, tls_pooler, certificates, tmp_path):
    """A command that meets a certificate nobody trusts says what to add to DATABASE_URL."""
    others = make_certificates(tmp_path)
    wrong = tls_pooler.url(database_url, f"pgbouncer=true&sslmode=verify-full&sslrootcert={others.authority}")
    with pytest.raises(Unreachable, match="sslrootcert=FILE"):
        async with database(Target(database_url=wrong)):
            pass


@pytest.mark.parametrize(
    ("host", "said", "lacking"),
    [
        ("db.abcdefghijklmnopqrst.supabase.co", "[Errno 101] Network is unreachable", True),
        ("db.abcdefghijklmnopqrst.supabase.co", "[Errno -2] Name or service not known", True),
        ("db.abcdefghijklmnopqrst.supabase.co", "password authentication failed", False),
        ("db.example.com", "[Errno 101] Network is unreachable", False),
    ],
)
def test_a_machine_without_ipv6_is_known_by_what_it_says(host, said, lacking):
    """A direct connection to Supabase that finds no way is one over IPv6."""
    assert lacks_ipv6(f"postgresql://postgres:p@{host}:5432/postgres", said) is lacking


async def test_a_missing_authority_file(database_url, tls_pooler, tmp_path):
    """A sslrootcert that is not there is a word about DATABASE_URL."""
    wrong = tls_pooler.url(database_url, f"sslmode=verify-full&sslrootcert={tmp_path}/none.pem")
    with pytest.raises(Misconfigured, match="DATABASE_URL"):
        await PostgresQueue.connect(
            wrong, name="box", kinds=("merge",), engines=(), version="1",
            lease=timedelta(minutes=1), job_timeout=timedelta(minutes=1),
        )  # fmt: skip


async def test_poolers_know_no_settings_of_ours(database_url, pooler):
    """What we send when connecting is known to every pooler: nothing but a name."""
    url = pooler.url(database_url)
    connection = await asyncpg.connect(**connect_arguments(url, "a name"))
    assert await connection.fetchval("show application_name") == "a name"
    await connection.close()
