"""`rhythmai doctor` on a healthy box, and on boxes that lack one thing."""

from __future__ import annotations

import json

import jwt
import pytest

from rhythmai import schema
from rhythmai.project.key import WORKER_KEY
from tests.api.jwks import KEYS, Jwks
from tests.hosted.auth import publishing
from tests.hosted.gateway import JWT_SECRET, PUBLISHABLE, running_gateway

VARIABLES = (
    "SUPABASE_URL", "SUPABASE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL", "SUPABASE_DB_URL",
    "ENGINE", "BASE_URL", "API_KEY", "VLM_INPUT", "MMAUDIO_MODEL", "MODELS_DIR", "DEVICE", "WORKER_KINDS", "JWT_SECRET",
    "REQUIRE_AUTH", "VLM_TIMEOUT_S", "SUPABASE_PUBLISHABLE_KEY",
    "TRUSTED_PROXIES", "INPUT_BUCKETS", "COMMERCIAL_ONLY", "C2PA_CERT", "C2PA_KEY", "C2PA_SIGNER",
)  # fmt: skip


@pytest.fixture
def healthy(database_url, gateway):
    """The environment of a machine that has everything."""
    return {
        "SUPABASE_URL": gateway.url,
        "SUPABASE_KEY": gateway.secret,
        "DATABASE_URL": database_url,
        "ENGINE": "sketch",
        "JWT_SECRET": JWT_SECRET,
    }


@pytest.fixture(autouse=True)
def recorded(rhythmai, database_url, sql):
    """The record says what the template holds: our migrations, applied as plain files."""
    sql(database_url, "create schema if not exists supabase_migrations")
    sql(database_url, "create table if not exists supabase_migrations.schema_migrations (version text primary key)")
    sql(
        database_url,
        "insert into supabase_migrations.schema_migrations select unnest($1::text[]) on conflict do nothing",
        [migration.version for migration in schema.bundled()],
    )


@pytest.fixture
def doctor(rhythmai, monkeypatch):
    """Examines a box with exactly this environment; returns the exit code and (check, verdict): texts."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def call(*arguments, **environment):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        said = rhythmai("doctor", "--json", *arguments, **environment)
        found = {}
        for finding in json.loads(said.out):
            line = f"{finding['text']} -> {finding['remedy']}"
            found.setdefault((finding["check"], finding["verdict"]), []).append(line)
        return said.code, found

    return call


def fails(found):
    return sorted(check for check, verdict in found if verdict == "fail")


def test_a_healthy_box(doctor, healthy):
    """Everything is there: each part is ok, and the exit code is 0."""
    code, found = doctor(**healthy)
    assert (code, fails(found)) == (0, [])
    assert {check for check, verdict in found if verdict == "ok"} >= {
        "environment",
        "database",
        "realtime",
        "storage",
        "tokens",
        "ffmpeg",
    }
    assert any("LISTEN works" in line for line in found["database", "ok"])


def test_for_people(rhythmai, healthy):
    """Without --json each finding is a line that begins with its verdict, and what to do follows an arrow."""
    lines = rhythmai("doctor", "--api-only", **healthy).out.splitlines()
    assert all(line.startswith(("ok ", "note ", "fail ", " ")) for line in lines)
    assert any(line.split()[:2] == ["ok", "storage"] for line in lines)


def test_nothing_is_set(doctor):
    """Without a stack the doctor says how to start one, and what a project would need; the rest is left for later."""
    code, found = doctor()
    (line,) = found["environment", "fail"]
    assert code == 1
    assert "no local stack runs" in line
    for word in ("`rhythmai up`", "SUPABASE_URL", "SUPABASE_KEY", "DATABASE_URL", "`rhythmai env --example`"):
        assert word in line
    assert "not examined: DATABASE_URL first" in found["database", "note"][0]


def test_something_is_missing(doctor, healthy):
    """Every missing variable of a project is a finding of its own, and what needs it is left for later."""
    code, found = doctor("--api-only", DATABASE_URL=healthy["DATABASE_URL"])
    assert code == 1
    assert [line.split()[0] for line in found["environment", "fail"]] == ["SUPABASE_URL", "SUPABASE_KEY"]
    assert "not examined: SUPABASE_KEY, SUPABASE_URL first" in found["storage", "note"][0]


@pytest.mark.parametrize(("asked", "verdict"), [({}, "note"), ({"ENGINE": "mmaudio"}, "fail")])
def test_a_laptop_has_no_gpu(doctor, healthy, monkeypatch, asked, verdict):
    """A missing GPU fails where ENGINE=mmaudio was asked for; a laptop, which asked for nothing, is told of ENGINE=sketch."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    code, found = doctor(**{name: value for name, value in healthy.items() if name != "ENGINE"}, **asked)
    assert (code, "gpu" in fails(found)) == ((1, True) if asked else (0, False))
    assert "set ENGINE=sketch" in found["gpu", verdict][0]


def test_malformed_variables(doctor, healthy):
    """A malformed variable, of the worker or of the API, is named; the rest is examined."""
    code, found = doctor(**{**healthy, "LEASE_S": "soon", "JWT_SECRET": "short"})
    assert code == 1
    assert [line.split()[0] for line in found["environment", "fail"]] == ["JWT_SECRET", "LEASE_S"]
    assert ("storage", "ok") in found


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("sb_publishable_x", "publishable"),
        (jwt.encode({"role": "anon"}, JWT_SECRET), "role anon"),
        ("eyJnonsense", "neither"),
    ],
)  # fmt: skip
def test_the_wrong_key(doctor, healthy, key, word):
    """A key that is not the secret one is recognised by its look."""
    _, found = doctor("--api-only", **{**healthy, "SUPABASE_KEY": key})
    assert word in found["environment", "fail"][0]
    assert {"realtime", "storage"} <= set(fails(found))
    assert all("SUPABASE_KEY" in line for line in found["storage", "fail"])


def test_a_legacy_key(doctor, healthy):
    """A legacy service_role JWT is as good as an sb_secret_ key."""
    key = jwt.encode({"role": "service_role", "exp": 4_000_000_000}, JWT_SECRET)
    code, found = doctor("--api-only", **{**healthy, "SUPABASE_KEY": key})
    assert (code, fails(found)) == (0, [])


def test_a_machine_of_its_own(rhythmai, doctor, healthy, sql, database_url):
    """With a program's login and a worker's key everything is in order; the owner's login and the secret key are worth a note."""
    _, found = doctor("--api-only", **healthy)
    assert any("`rhythmai roles`" in line for line in found["database", "note"])
    url = json.loads(rhythmai("roles", "worker", "--json", **healthy).out)["worker"]["database_url"]
    key = rhythmai("worker-key").out.strip().removeprefix("SUPABASE_KEY=")
    own = {"DATABASE_URL": url, "SUPABASE_KEY": key, "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE}
    code, found = doctor("--api-only", **{**healthy, **own})
    sql(database_url, "alter role rhythmai_worker nologin")
    assert (code, fails(found), [check for check, verdict in found if verdict == "note"]) == (0, [], [])
    assert "with a worker's key" in found["environment", "ok"][0]
    assert [line for line in found["database", "ok"] if "as rhythmai_worker, which may call 25 functions" in line], (
        found
    )
    assert "joined the private topic `jobs`" in found["realtime", "ok"][0]
    assert any("put, read and deleted" in line for line in found["storage", "ok"])


def test_a_worker_s_key_wants_the_publishable_one(doctor, healthy):
    """On a hosted project the gateway lets no key in but its own."""
    key, url = jwt.encode({"role": WORKER_KEY}, JWT_SECRET), f"https://{'a' * 20}.supabase.co"
    _, found = doctor("--api-only", **{**healthy, "SUPABASE_URL": url, "SUPABASE_KEY": key})
    assert "SUPABASE_PUBLISHABLE_KEY" in found["environment", "fail"][0]


def test_a_proxy_is_to_be_trusted(doctor, healthy):
    """On the API's machine of a hosted project it is told that no proxy is trusted; where one is, or a worker runs, it is not."""
    hosted = {**healthy, "SUPABASE_URL": f"https://{'a' * 20}.supabase.co"}

    def told(*arguments, **more):
        _, found = doctor(*arguments, **hosted, **more)
        return any("TRUSTED_PROXIES" in line for line in found.get(("environment", "note"), []))

    assert told("--api-only")
    assert not told("--api-only", TRUSTED_PROXIES="127.0.0.1")


def test_two_projects(doctor, healthy):
    """URL and database of different projects are noticed by their names."""
    url, database = f"https://{'a' * 20}.supabase.co", f"postgresql://postgres.{'b' * 20}:p@127.0.0.1:9/postgres"
    _, found = doctor("--api-only", **{**healthy, "SUPABASE_URL": url, "DATABASE_URL": database})
    assert "project " + "b" * 20 in found["environment", "fail"][0]


def test_migrations_are_missing(doctor, healthy, empty_database):
    """A database without our migrations is told with the command that brings them."""
    _, found = doctor("--api-only", **{**healthy, "DATABASE_URL": empty_database})
    assert "rhythmai migrate" in found["database", "fail"][0]
    assert "realtime" in fails(found)


def test_a_database_that_is_away(doctor, healthy):
    """A database that does not answer is a failure with a place to look."""
    _, found = doctor("--api-only", **{**healthy, "DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x"})
    assert "Connect" in found["database", "fail"][0]


def test_a_declared_transaction_pooler_is_fine(doctor, healthy, pooler):
    """Behind a transaction pooler that DATABASE_URL tells of, everything is ok and one note says what is different."""
    code, found = doctor("--api-only", **{**healthy, "DATABASE_URL": pooler.url(healthy["DATABASE_URL"])})
    assert (code, fails(found)) == (0, [])
    assert any("no LISTEN" in line for line in found["database", "note"])


def test_an_undeclared_transaction_pooler_is_found_out(doctor, healthy, pooler):
    """A transaction pooler on an unusual port is recognised, before LISTEN silently hears nothing there."""
    _, found = doctor("--api-only", **{**healthy, "DATABASE_URL": pooler.url(healthy["DATABASE_URL"], "")})
    assert "pgbouncer=true" in found["database", "fail"][0]


def test_a_user_who_may_not(doctor, healthy, sql):
    """A database user without rights is told of another user, not of the password."""
    sql(healthy["DATABASE_URL"], "create role guest login password 'guest'")
    place = healthy["DATABASE_URL"].partition("@")[2]
    _, found = doctor("--api-only", **{**healthy, "DATABASE_URL": f"postgresql://guest:guest@{place}"})
    sql(healthy["DATABASE_URL"], "drop role guest")
    assert "permission denied" in found["database", "fail"][0]
    assert "the user postgres" in found["database", "fail"][0]


def test_a_missing_bucket(doctor, healthy, sql):
    """A bucket that is not there is brought by our migrations; a Storage that is away is not."""
    sql(healthy["DATABASE_URL"], "update storage.buckets set id = 'elsewhere' where id = 'videos'")
    _, found = doctor("--api-only", **healthy)
    sql(healthy["DATABASE_URL"], "update storage.buckets set id = 'videos' where id = 'elsewhere'")
    assert "Run `rhythmai migrate`" in found["storage", "fail"][0]
    _, found = doctor("--api-only", **{**healthy, "SUPABASE_URL": "http://127.0.0.1:9"})
    assert "SUPABASE_URL" in found["storage", "fail"][0]
    assert "migrate" not in found["storage", "fail"][0]


def test_a_private_bucket(doctor, healthy, sql):
    """A bucket that nobody may read is a failure that names it."""
    sql(healthy["DATABASE_URL"], "update storage.buckets set public = false where id = 'videos'")
    _, found = doctor("--api-only", **healthy)
    sql(healthy["DATABASE_URL"], "update storage.buckets set public = true where id = 'videos'")
    assert "bucket videos is not public" in found["storage", "fail"][0]


def test_a_project_with_a_lower_limit_than_its_buckets(doctor, healthy, database_url, tmp_path):
    """A bucket's limit above the project's own, which is 50 MB on the Free plan, is told for each bucket, with the way out."""
    with running_gateway(database_url, tmp_path / "storage", FILE_SIZE_LIMIT=str(50 * 2**20)) as small:
        _, found = doctor("--api-only", **{**healthy, "SUPABASE_URL": small.url})
    told = [line for line in found["storage", "note"] if "the project takes 50 MB a file" in line]
    assert [line.split()[1] for line in told] == ["uploads", "videos", "audios"]
    assert all("Raise the global file size limit: dashboard, Storage, Settings" in line for line in told)


def test_buckets_that_jobs_may_name(doctor, healthy, rhythmai, sql):
    """A bucket of INPUT_BUCKETS that does not exist, that the worker's key may not read, or that `rhythmai migrate` has not opened is told."""
    url = healthy["DATABASE_URL"]
    _, found = doctor("--api-only", **healthy, INPUT_BUCKETS="films")
    assert "bucket films of INPUT_BUCKETS is not there" in found["storage", "fail"][0]
    assert "jobs may name objects of no bucket, and INPUT_BUCKETS is films" in found["database", "fail"][0]
    sql(url, "insert into storage.buckets (id, name) values ('films', 'films')")
    code, found = doctor("--api-only", **healthy, INPUT_BUCKETS="films")
    assert (code, fails(found)) == (1, ["database"])

    key = rhythmai("worker-key", JWT_SECRET=JWT_SECRET).out.strip().removeprefix("SUPABASE_KEY=")
    box = {**healthy, "SUPABASE_KEY": key, "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE, "INPUT_BUCKETS": "films"}
    _, found = doctor(**box)
    assert "or the worker's key may not read it -> Make it" in found["storage", "fail"][0]
    assert sql(url, "select queue.set_input_buckets('{films}')")[0][0]
    code, found = doctor(**box)
    assert any(line.startswith("bucket films of INPUT_BUCKETS is there") for line in found["storage", "ok"])
    assert (code, fails(found)) == (0, [])
    sql(url, "select queue.set_input_buckets('{}')")
    _, found = doctor(**{**box, "INPUT_BUCKETS": "films,a/b"})
    assert "INPUT_BUCKETS is malformed: 'a/b' is no bucket" in found["environment", "fail"][0]


def test_published_keys_verify_tokens(doctor, healthy):
    """Without JWT_SECRET the project's signing keys are looked up, and told by their algorithms."""
    jwks = Jwks()
    jwks.publish("k", KEYS["ES256"], "ES256")
    with publishing(*jwks.keys) as url:
        _, found = doctor("--api-only", **{**healthy, "SUPABASE_URL": url, "JWT_SECRET": ""})
    assert "public keys (ES256)" in found["tokens", "ok"][0]


@pytest.mark.parametrize(("require_auth", "verdict"), [("false", "note"), ("true", "fail")])
def test_nothing_verifies_tokens(doctor, healthy, require_auth, verdict):
    """A project without signing keys, or without an Auth, needs JWT_SECRET: a failure where only users are let in."""
    box = {**healthy, "JWT_SECRET": "", "REQUIRE_AUTH": require_auth}
    _, found = doctor("--api-only", **box)
    assert "Check SUPABASE_URL" in found["tokens", verdict][0]
    with publishing() as url:
        _, found = doctor("--api-only", **{**box, "SUPABASE_URL": url})
    assert "Set JWT_SECRET (dashboard" in found["tokens", verdict][0]
