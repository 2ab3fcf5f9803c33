"""`rhythmai roles` and `rhythmai worker-key`: the programs' own logins and key, and that their doors take them."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from rhythmai.buckets import Buckets
from rhythmai.errors import Refused
from rhythmai.roles import Role, admit
from tests.database.desk import connect
from tests.hosted.gateway import JWT_SECRET
from worker.errors import Rejected, ServiceAway
from worker.fetch import HttpFetcher
from worker.inputs import Inputs

WHO = "select current_user::text as who"
REF = "a" * 20


@pytest.fixture(autouse=True)
def nologin(sql, database_url):
    """Roles belong to the server, which other modules use, too."""
    yield
    sql(database_url, "alter role rhythmai_worker nologin")
    sql(database_url, "alter role rhythmai_api nologin")


def test_each_program_gets_a_login(rhythmai, sql, database_url, pooler):
    """The printed DATABASE_URLs let in, straight and through a pooler, as lines of an .env; the next call makes new passwords."""
    said = rhythmai("roles", DATABASE_URL=database_url)
    assert said.code == 0
    urls = [line.removeprefix("DATABASE_URL=") for line in said.out.splitlines() if not line.startswith("#")]
    assert [sql(url, WHO)[0]["who"] for url in urls] == ["rhythmai_worker", "rhythmai_api"]
    through = [pooler.url(url).split("?")[0] for url in urls]
    assert [sql(url, WHO)[0]["who"] for url in through] == ["rhythmai_worker", "rhythmai_api"]
    (again,) = rhythmai("roles", "worker").out.splitlines()[1:]
    assert again != f"DATABASE_URL={urls[0]}"
    assert sql(urls[1], WHO)[0]["who"] == "rhythmai_api"
    with pytest.raises(Exception, match="password authentication failed"):
        sql(urls[0], WHO)


def test_no_password_is_kept_in_clear(rhythmai, sql, database_url):
    """What the server is told of a password is its verifier: a log of statements gives nothing away."""
    (access,) = json.loads(rhythmai("roles", "api", "--json", DATABASE_URL=database_url).out).values()
    kept = sql(database_url, "select rolpassword as p from pg_authid where rolname = 'rhythmai_api'")[0]["p"]
    assert kept.startswith("SCRAM-SHA-256$4096:")
    assert urlsplit(access["database_url"]).password not in kept


@pytest.mark.parametrize(
    ("owner", "url", "other"),
    [
        (f"postgresql://postgres:p%40@db.{REF}.supabase.co:5432/postgres?sslmode=require",
         f"postgresql://rhythmai_api:*@db.{REF}.supabase.co:5432/postgres?sslmode=require",
         f"postgresql://rhythmai_api.{REF}:*@aws-N-REGION.pooler.supabase.com:5432/postgres?sslmode=require"),
        (f"postgresql://postgres.{REF}:p@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?pgbouncer=true",
         f"postgresql://rhythmai_api.{REF}:*@aws-0-eu-west-1.pooler.supabase.com:6543/postgres?pgbouncer=true",
         f"postgresql://rhythmai_api:*@db.{REF}.supabase.co:5432/postgres"),
        ("postgresql://postgres:p@127.0.0.1:54322/postgres", "postgresql://rhythmai_api:*@127.0.0.1:54322/postgres", None),
    ],
    ids=["direct", "pooler", "elsewhere"],
)  # fmt: skip
async def test_both_doors_of_a_project_are_told(database_url, owner, url, other):
    """A direct address has the pooler's form beside it, where the project stands behind the user's name, and the other way round."""
    db = await connect(database_url)
    access = await admit(db, Role.API, owner)
    await db.close()
    password = urlsplit(access.url).password
    assert access.url == url.replace("*", password)
    assert access.other == (other and other.replace("*", password))


def test_roles_need_the_migrations(rhythmai, sql, empty_database, monkeypatch):
    """A role that is not there is told with what to do."""
    monkeypatch.setattr(Role, "name_in_database", "no_such_role")
    said = rhythmai("roles", DATABASE_URL=empty_database)
    assert (said.code, said.err) == (1, "rhythmai: The database has no role no_such_role: run `rhythmai migrate`\n")


@pytest.fixture
def key(rhythmai):
    return rhythmai("worker-key", JWT_SECRET=JWT_SECRET).out.strip().removeprefix("SUPABASE_KEY=")


async def test_a_worker_s_key_opens_our_buckets_and_no_others(key, gateway, database_url):
    """With the publishable key beside it, as hosted gateways want: put, read, delete, sign an upload; never another bucket."""
    async with Buckets(gateway.url, key, apikey=gateway.publishable) as buckets:
        assert (await buckets.settings("audios"))["public"]
        url = await buckets.put("audios", "k/1.flac", b"x", "audio/flac")
        assert await buckets.read(url) == b"x"
        assert await buckets.remove([("audios", "k/1.flac")]) == 1
        db = await connect(database_url)
        await db.execute("insert into storage.buckets (id, name) values ('theirs', 'theirs')")
        await db.close()
        with pytest.raises(Refused, match="row-level security"):
            await buckets.put("theirs", "x", b"x", "audio/flac")
    headers = {"apikey": gateway.publishable, "authorization": f"Bearer {key}"}
    signed = httpx.post(f"{gateway.url}/storage/v1/object/upload/sign/uploads/k.mp4", headers=headers, timeout=120)
    assert signed.json()["token"]


async def test_a_worker_fetches_what_jobs_may_name(key, gateway, database_url, tmp_path):
    """With its own key, from INPUT_BUCKETS alone, within the limit of size; what is not there, is not opened or leads on is refused."""
    db = await connect(database_url)
    await db.execute("insert into storage.buckets (id, name) values ('films', 'films'), ('closed', 'closed')")
    for bucket in ("films", "closed"):
        gateway.put(bucket, "2026/a%20film%20(1).mp4", "video/mp4")
    inputs = Inputs(supabase_url=gateway.url, buckets=("films", "closed"), key=key, apikey=gateway.publishable)
    fetcher = HttpFetcher(supabase_url=gateway.url, inputs=inputs)
    film = "storage://films/2026/a film (1).mp4"
    with pytest.raises(Rejected, match="may not read its bucket"):
        await fetcher.fetch(film, tmp_path)
    assert await db.fetchval("select queue.set_input_buckets('{films}')")
    assert (await fetcher.fetch(film, tmp_path)).read_bytes() == b"x"
    for refused, code in {
        film.replace("films", "closed"): "not_found", film.replace("a film", "no film"): "not_found",
        "storage://audios/a.flac": "forbidden_address", "storage://films/%2e%2e/closed/a": "bad_url", "storage://films/../closed/a": "bad_url",
    }.items():  # fmt: skip
        with pytest.raises(Rejected) as refusal:
            await fetcher.fetch(refused, tmp_path)
        assert refusal.value.code == code
    with pytest.raises(Rejected, match=r"the limit is 0\.0 MB"):
        await replace(fetcher, max_bytes=0).fetch(film, tmp_path)
    away = replace(inputs, supabase_url="http://127.0.0.1:9")
    with pytest.raises(ServiceAway):
        await replace(fetcher, inputs=away).fetch(film, tmp_path)
    with pytest.raises(Rejected, match="a plain http"):
        await HttpFetcher(supabase_url=gateway.url).fetch(film, tmp_path)
    assert len(list(tmp_path.glob("media-*"))) == 1
    assert key not in repr(inputs)
    await db.fetchval("select queue.set_input_buckets('{}')")
    await db.close()


def test_a_worker_s_key_ends(rhythmai):
    """A year, or as many days as were asked for; --json tells when."""
    said = json.loads(rhythmai("worker-key", "--days", "30", "--json", JWT_SECRET=JWT_SECRET).out)
    claims = jwt.decode(said["supabase_key"], JWT_SECRET, algorithms=["HS256"])
    assert (claims["role"], claims["exp"]) == ("rhythmai_worker_key", said["expires_at"])
    assert abs(claims["exp"] - time.time() - 30 * 86_400) < 600


def test_a_signing_key_signs(rhythmai, tmp_path):
    """A project with asymmetric keys takes a key that is signed with the private half of one that was imported."""
    private = ec.generate_private_key(ec.SECP256R1())
    file = tmp_path / "key.json"
    file.write_text(
        json.dumps({**jwt.algorithms.ECAlgorithm.to_jwk(private, as_dict=True), "kid": "ours", "alg": "ES256"})
    )
    key = rhythmai("worker-key", "--signing-key", file, JWT_SECRET="").out.strip().removeprefix("SUPABASE_KEY=")
    assert jwt.get_unverified_header(key)["kid"] == "ours"
    assert jwt.decode(key, private.public_key(), algorithms=["ES256"])["role"] == "rhythmai_worker_key"


@pytest.mark.parametrize("content", ["nonsense", "{}", '{"kty": "EC"}'])
def test_what_signs_nothing_is_refused_in_a_sentence(rhythmai, tmp_path, content):
    """No secret, a short one, or a file that is no private key: one line that says what to do."""
    file = tmp_path / "key.json"
    file.write_text(content)
    said = rhythmai("worker-key", "--signing-key", file)
    assert (said.code, "is not a private signing key" in said.err, said.err.count("\n")) == (1, True, 1)
    unset = rhythmai("worker-key", JWT_SECRET="")
    assert "JWT_SECRET is not set" in unset.err
    assert "--signing-key" in unset.err
    assert "JWT_SECRET is malformed" in rhythmai("worker-key", JWT_SECRET="short").err
