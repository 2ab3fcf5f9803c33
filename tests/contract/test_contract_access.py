"""Who may see what on both hosts: owners, visitors, and tokens of every kind."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from rhythmai.roles import Role, admit
from tests.contract.conftest import VIDEO, ask
from tests.contract.hosts import HOSTS
from tests.contract.keys import bearer, make_token

BODY = {"video_url": VIDEO}
KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


async def test_an_owned_job_is_its_owners(api, gen, db):
    """A job made with a user's token is seen, repeated, cancelled and followed by that user; others get a 404."""
    user = uuid4()
    job = await gen(headers=bearer(user))
    assert await db.fetchval("select owner from public.jobs where id = $1", UUID(job)) == user
    for method, tail in (("get", ""), ("post", "/again"), ("delete", ""), ("get", "/events")):
        path = f"/api/v1/job/{job}{tail}"
        for stranger in ({}, bearer(uuid4()), {"Authorization": "Bearer sb_publishable_x"}):
            assert (await ask(api, method, path, headers=stranger))[0] == 404
        async with api.request(method, path, headers=bearer(user)) as answer:
            assert answer.status == 200


async def test_an_ownerless_job_needs_only_its_id(api, gen, db):
    """Whoever knows the id sees a visitor's job; a signed-in user who repeats it owns the repetition."""
    job, user = await gen(), uuid4()
    for headers in ({}, bearer()):
        assert (await ask(api, "get", f"/api/v1/job/{job}", headers=headers))[0] == 200
    _, answer = await ask(api, "post", f"/api/v1/job/{job}/again", headers=bearer(user))
    assert await db.fetchval("select owner from public.jobs where id = $1", UUID(answer["job_id"])) == user


async def test_public_keys_are_visitors(start, db):
    """A publishable or anon key as Bearer, as supabase-js sends it, makes an ownerless job."""
    anon = make_token(sub=None, aud=None, role="anon")
    async with start(SUPABASE_PUBLISHABLE_KEY="the-publishable-key-of-this-project").session() as api:
        for key in ("sb_publishable_abc", "sb_secret_abc", "the-publishable-key-of-this-project", anon):
            status, answer = await ask(
                api, "post", "/api/v1/gen", json=BODY, headers={"Authorization": f"Bearer {key}"}
            )
            assert status == 200
            assert await db.fetchval("select owner from public.jobs where id = $1", UUID(answer["job_id"])) is None


def unsigned(claims) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


async def test_an_invalid_user_token_is_401(api):
    """Every token that is not a valid one of a signed-in user is refused, and never taken for a visitor."""
    claims = {"sub": str(uuid4()), "aud": "authenticated", "role": "authenticated", "exp": time.time() + 600}
    tokens = {
        "garbage": "abc",
        "dots": "a.b.c",
        "empty parts": "..",
        "another secret": make_token(secret="another-secret-of-at-least-32-characters"),
        "expired": make_token(exp=time.time() - 60),
        "no end": make_token(exp=None),
        "no audience": make_token(aud=None),
        "another audience": make_token(aud="somebody"),
        "another role": make_token(role="service_role"),
        "no role": make_token(role=None),
        "no subject": make_token(sub=None),
        "a subject that is no UUID": make_token(sub="42"),
        "no algorithm": unsigned(claims),
        "another algorithm of the same secret": make_token(algorithm="HS512"),
        "not yet": make_token(nbf=time.time() + 600),
    }
    for name, bad in tokens.items():
        async with api.post("/api/v1/gen", json=BODY, headers={"Authorization": f"Bearer {bad}"}) as answer:
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (401, "unauthorized"), name
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert bad not in str(problem)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic dXNlcjp3b3Jk", "bearer\u00e4", "Token x", "Bearer ä"]
)
async def test_an_authorization_header_must_be_a_bearer(api, header):
    """Another scheme is 401, not a visitor by accident."""
    status, problem = await ask(api, "get", f"/api/v1/job/{uuid4()}", headers={"Authorization": header})
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_the_scheme_is_written_in_any_case(api):
    """`bearer` is Bearer."""
    headers = {"Authorization": f"bearer {make_token()}"}
    assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=headers))[0] == 200


async def test_require_auth_turns_visitors_away(start):
    """With REQUIRE_AUTH every call on jobs and uploads wants a user; ping, health and the description do not."""
    job = f"/api/v1/job/{uuid4()}"
    calls = [
        ("post", "/api/v1/gen"), ("post", "/api/v1/merge"), ("post", "/api/v1/upload"), ("get", job), ("delete", job),
        ("post", f"{job}/again"), ("get", f"{job}/events"),
    ]  # fmt: skip
    async with start(REQUIRE_AUTH="true").session() as api:
        for method, path in calls:
            for headers in ({}, {"Authorization": "Bearer sb_publishable_x"}):
                assert (await ask(api, method, path, headers=headers))[0] == 401
        for path in ("/api/v1/ping", "/healthz", "/openapi.json"):
            assert (await ask(api, "get", path))[0] == 200
        assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=bearer()))[0] == 200


async def test_published_keys_check_tokens(start, project):
    """Without JWT_SECRET the project's keys verify tokens of all their algorithms, each by its own; asked for once."""
    for algorithm, key in KEYS.items():
        project.publish(algorithm, key, algorithm)
    project.keys.append(
        {"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    )
    bad = [
        {"secret": project.keys[0]["x"], "headers": {"kid": "ES256"}},
        {"secret": "x" * 32, "headers": {"kid": "shared"}},
        {"secret": ec.generate_private_key(ec.SECP256R1()), "algorithm": "ES256", "headers": {"kid": "ES256"}},
        {"secret": KEYS["RS256"], "algorithm": "RS256", "headers": {"kid": "ES256"}},
        {"secret": KEYS["ES256"], "algorithm": "ES256"},
        *({"secret": KEYS["ES256"], "algorithm": "ES256", "headers": {"kid": f"invented-{n}"}} for n in range(20)),
    ]
    async with start(JWT_SECRET="", SUPABASE_URL=project.url).session() as api:
        for algorithm, key in KEYS.items():
            headers = bearer(secret=key, algorithm=algorithm, headers={"kid": algorithm})
            assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=headers))[0] == 200, algorithm
        answers = await asyncio.gather(
            *(ask(api, "get", f"/api/v1/job/{uuid4()}", headers=bearer(**token)) for token in bad)
        )
        assert {status for status, _ in answers} == {401}
    assert project.asked == 1


async def test_both_signing_schemes_hold_at_once(start, project):
    """With JWT_SECRET and published keys, tokens of both are taken, each by its own algorithm: a change of keys signs nobody out."""
    project.publish("new", KEYS["ES256"], "ES256")
    good = [{}, {"headers": {"kid": "old"}}, {"secret": KEYS["ES256"], "algorithm": "ES256", "headers": {"kid": "new"}}]
    bad = [
        {"secret": "another-secret-of-at-least-32-characters"},
        {"algorithm": "HS512"},
        {"secret": project.keys[0]["x"] * 2, "headers": {"kid": "new"}},
        {"secret": KEYS["ES256"], "algorithm": "ES256", "headers": {"kid": "invented"}},
    ]
    async with start(SUPABASE_URL=project.url).session() as api:
        for token in good:
            assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=bearer(**token)))[0] == 200, token
        for token in bad:
            status, problem = await ask(api, "post", "/api/v1/gen", json=BODY, headers=bearer(**token))
            assert (status, problem["code"]) == (401, "unauthorized"), token


async def test_keys_that_are_away_are_503(start, project):
    """When the keys cannot be fetched, tokens are neither believed nor called wrong; visitors are served."""
    project.away = True
    headers = bearer(secret=KEYS["ES256"], algorithm="ES256", headers={"kid": "k"})
    async with start(JWT_SECRET="", SUPABASE_URL=project.url).session() as api:
        for _ in range(3):
            async with api.get(f"/api/v1/job/{uuid4()}", headers=headers) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                assert (await answer.json(content_type=None))["code"] == "auth_unavailable"
        assert project.asked == 1
        assert (await ask(api, "post", "/api/v1/gen", json=BODY))[0] == 200


async def test_a_project_whose_storage_is_away_is_503(start, project, db):
    """Storage that answers nonsense is a clean 503 with a time to come back, and costs no ticket; it is not asked for what its bucket refuses."""
    project.away = True
    tickets = await db.fetchval("select count(*) from private.uploads")
    body = {"filename": "a", "content_type": "video/mp4", "size": 1}
    async with (
        start(SUPABASE_URL=project.url).session() as api,
        api.post("/api/v1/upload", json=body) as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert (await answer.json(content_type=None))["code"] == "storage_unavailable"
        assert await db.fetchval("select count(*) from private.uploads") == tickets
        assert (await ask(api, "post", "/api/v1/upload", json={**body, "size": 512 * 2**20 + 1}))[0] == 413
        assert (await ask(api, "post", "/api/v1/upload", json={**body, "content_type": "text/html"}))[0] == 422


async def test_a_database_that_is_away_is_503(start, settings):
    """Without the database `ping` answers still, everything else is a clean 503 with a time to come back."""
    where, _, name = settings["SUPABASE_DB_URL"].rpartition("/")
    nobody = f"{where.rpartition(':')[0]}:1/{name}"
    for url in (nobody, f"{where}/no_such_database", settings["SUPABASE_DB_URL"].replace("postgres:", "stranger:")):
        async with start(SUPABASE_DB_URL=url).session() as api:
            for method, path in (
                ("get", "/healthz"),
                ("get", f"/api/v1/job/{uuid4()}"),
                ("get", f"/api/v1/job/{uuid4()}/events"),
            ):
                async with api.request(method, path) as answer:
                    problem = await answer.json(content_type=None)
                    assert (answer.status, answer.headers["Retry-After"], problem["code"]) == (
                        503, "5", "database_unavailable",
                    ), url  # fmt: skip
            assert (await ask(api, "get", "/api/v1/ping"))[0] == 200


async def test_too_many_pending_jobs_are_429_with_a_time(name, start, db):
    """A client over its limit is told so and when to come back, whether its proxy writes ports or not; another one is served."""
    proxied = {"edge_api": {"TRUSTED_PROXIES": "127.0.0.0/8"}, "function": {"CLIENT_ADDRESS_HEADER": "x-forwarded-for"}}
    number = HOSTS.index(name) + 1
    client = {"X-Forwarded-For": f"198.51.100.9, [2001:db8:{number}::1]:443"}
    neighbour = {"X-Forwarded-For": f"2001:db8:{number}::2"}
    other = {"X-Forwarded-For": f"192.0.2.{number}:5678"}
    itself = {"X-Forwarded-For": f"192.0.2.{number}"}
    await db.execute("update private.settings set pending_per_client = 2")
    async with start(**proxied[name]).session() as api:
        for headers in (client, neighbour, other, itself):
            assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=headers))[0] == 200
        for headers in (neighbour, itself):
            async with api.post("/api/v1/gen", json=BODY, headers=headers) as answer:
                assert answer.status == 429
                assert int(answer.headers["Retry-After"]) > 0
                assert (await answer.json(content_type=None))["code"] == "too_many_jobs"
    await db.execute("update private.settings set pending_per_client = 100000")


async def test_too_many_uploads_are_429_with_a_time(name, start, db):
    """A visitor has so many uploads within an hour, then is told when to come back; a user has a measure of their own."""
    body = {"filename": "a", "content_type": "video/mp4", "size": 1}
    await db.execute("delete from private.uploads; update private.settings set pending_per_client = 1")
    async with start().session() as api:
        for _ in range(2):
            assert (await ask(api, "post", "/api/v1/upload", json=body))[0] == 200
        async with api.post("/api/v1/upload", json=body) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (429, "too_many_uploads")
            assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert (await ask(api, "post", "/api/v1/upload", json=body, headers=bearer()))[0] == 200
    await db.execute("update private.settings set pending_per_client = 100000")


async def test_a_role_of_its_own_is_enough(start, settings, db):
    """With the login of rhythmai_api every call works, and nothing but the functions of the API is open to the host."""
    access = await admit(db, Role.API, settings["SUPABASE_DB_URL"])
    async with start(DATABASE_URL=access.url, MERGE_WAIT_S="0.01").session() as api:
        job = (await ask(api, "post", "/api/v1/gen", json=BODY))[1]["job_id"]
        merge = {"video_url": "https://example.com/a.mp4", "audio_url": "https://example.com/a.flac"}
        upload = {"filename": "a", "content_type": "video/mp4", "size": 1}
        calls = [
            ("get", f"/api/v1/job/{job}", None, 200), ("post", f"/api/v1/job/{job}/again", {}, 200), ("post", "/api/v1/merge", merge, 202),
            ("post", "/api/v1/upload", upload, 200), ("get", "/healthz", None, 200), ("delete", f"/api/v1/job/{job}", None, 200),
        ]  # fmt: skip
        for method, path, body, status in calls:
            assert (await ask(api, method, path, json=body))[0] == status, path
        async with api.get(f"/api/v1/job/{job}/events") as stream:
            assert '"cancelled"' in await stream.text()
    await db.execute("alter role rhythmai_api nologin")


async def test_a_proxy_that_is_not_trusted_is_said_once(name, start):
    """Whoever forwards callers and is not trusted is named once in the log, with the setting; a trusted one and a plain caller are not."""
    setting = {"edge_api": "TRUSTED_PROXIES", "function": "CLIENT_ADDRESS_HEADER"}[name]
    forwarded = {"X-Forwarded-For": "198.51.100.9"}
    for trusted, headers, times in (
        ("", forwarded, 1),
        ("", {}, 0),
        ({"edge_api": "127.0.0.1"}.get(name, "x-forwarded-for"), forwarded, 0),
    ):
        host = start(**{setting: trusted})
        async with host.session() as api:
            for _ in range(3):
                assert (await ask(api, "post", "/api/v1/gen", json=BODY, headers=headers))[0] == 200
        host.stop()
        said = [line for line in host.output.splitlines() if "proxy.untrusted" in line]
        assert [setting in line and "127.0.0.1" in line for line in said] == [True] * times


async def test_a_header_moves_nobody_past_the_limit(host, api, db):
    """Where no proxy is trusted, no header makes another client of one."""
    tenants = "select distinct tenant from public.jobs where video_url = 'https://example.com/spoof'"
    for header in ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Forwarded", "True-Client-IP"):
        body = {"video_url": "https://example.com/spoof"}
        assert (await ask(api, "post", "/api/v1/gen", json=body, headers={header: "203.0.113.7"}))[0] == 200
    assert len(await db.fetch(tenants)) == 1
