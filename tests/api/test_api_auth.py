"""Who may see what: owners, visitors, and tokens of every kind."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.jwks import KEYS

VIDEO = "https://example.com/holiday.mp4"


async def test_an_owned_job_is_its_owners(api, gen, db, bearer, ask):
    """A job made with a user's token is seen, cancelled, repeated and followed by that user; others get a 404."""
    user = uuid4()
    job = await gen(headers=bearer(user))
    assert await db.fetchval("select owner from public.jobs where id = $1", UUID(job)) == user
    for method, tail in (("get", ""), ("post", "/again"), ("delete", ""), ("get", "/events")):
        path = f"/api/v1/job/{job}{tail}"
        for stranger in ({}, bearer(uuid4()), {"Authorization": "Bearer sb_publishable_x"}):
            assert (await ask(api, method, path, headers=stranger))[0] == 404
        async with api.request(method, path, headers=bearer(user)) as answer:
            assert answer.status == 200


async def test_an_ownerless_job_needs_only_its_id(api, gen, bearer, ask):
    """Whoever knows the id sees a visitor's job, signed in or not."""
    job = await gen()
    for headers in ({}, bearer()):
        assert (await ask(api, "get", f"/api/v1/job/{job}", headers=headers))[0] == 200


async def test_a_signed_in_user_owns_the_repetition_of_an_ownerless_job(api, gen, bearer, db, ask):
    """`again` belongs to who asks for it."""
    user = uuid4()
    _, answer = await ask(api, "post", f"/api/v1/job/{await gen()}/again", headers=bearer(user))
    assert await db.fetchval("select owner from public.jobs where id = $1", UUID(answer["job_id"])) == user


async def test_public_keys_are_visitors(start_api, token, ask, db):
    """A publishable or anon key as Bearer, as supabase-js sends it, makes an ownerless job."""
    api = await start_api(supabase_publishable_key="the-publishable-key-of-this-project")
    anon = token(sub=None, aud=None, role="anon")
    for key in ("sb_publishable_abc", "sb_secret_abc", "the-publishable-key-of-this-project", anon):
        headers = {"Authorization": f"Bearer {key}"}
        status, answer = await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=headers)
        assert status == 200
        assert await db.fetchval("select owner from public.jobs where id = $1", UUID(answer["job_id"])) is None


def unsigned(claims) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def bad_tokens(token) -> dict[str, str]:
    claims = {"sub": str(uuid4()), "aud": "authenticated", "role": "authenticated", "exp": time.time() + 600}
    return {
        "garbage": "abc",
        "dots": "a.b.c",
        "empty parts": "..",
        "another secret": token(secret="another-secret-of-at-least-32-characters"),
        "expired": token(exp=time.time() - 60),
        "no end": token(exp=None),
        "no audience": token(aud=None),
        "another audience": token(aud="somebody"),
        "another role": token(role="service_role"),
        "no role": token(role=None),
        "no subject": token(sub=None),
        "a subject that is no UUID": token(sub="42"),
        "no algorithm": unsigned(claims),
        "another algorithm of the same secret": token(algorithm="HS512"),
        "not yet": token(nbf=time.time() + 600),
    }


async def test_an_invalid_user_token_is_401(api, token, ask):
    """Every token that is not a valid one of a signed-in user is refused, for every call, and never taken for a visitor."""
    for name, bad in bad_tokens(token).items():
        async with api.post(
            "/api/v1/gen", json={"video_url": VIDEO}, headers={"Authorization": f"Bearer {bad}"}
        ) as answer:
            problem = await answer.json(content_type=None)
            assert (answer.status, problem["code"]) == (401, "unauthorized"), name
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert bad not in str(problem)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjp3b3Jk", "bearer\u00e4", "Token x"])
async def test_an_authorization_header_must_be_a_bearer(api, ask, header):
    """Another scheme is 401, not a visitor by accident."""
    status, problem = await ask(api, "get", f"/api/v1/job/{uuid4()}", headers={"Authorization": header})
    assert (status, problem["code"]) == (401, "unauthorized")


async def test_the_scheme_is_written_in_any_case(api, token, ask):
    """`bearer` is Bearer."""
    headers = {"Authorization": f"bearer {token()}"}
    assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=headers))[0] == 200


async def test_require_auth_turns_visitors_away(start_api, bearer, ask):
    """With REQUIRE_AUTH every call on jobs and uploads wants a user; ping, health and the description do not."""
    api = await start_api(require_auth=True)
    job = str(uuid4())
    calls = [
        ("post", "/api/v1/gen"), ("post", "/api/v1/merge"), ("post", "/api/v1/upload"), ("get", f"/api/v1/job/{job}"),
        ("delete", f"/api/v1/job/{job}"), ("post", f"/api/v1/job/{job}/again"), ("get", f"/api/v1/job/{job}/events"),
    ]  # fmt: skip
    for method, path in calls:
        for headers in ({}, {"Authorization": "Bearer sb_publishable_x"}):
            assert (await ask(api, method, path, headers=headers))[0] == 401
    for path in ("/api/v1/ping", "/healthz", "/openapi.json"):
        assert (await ask(api, "get", path))[0] == 200
    assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=bearer()))[0] == 200


async def test_asymmetric_tokens_are_checked_by_the_published_keys(start_api, jwks, bearer, ask):
    """Without JWT_SECRET the project's keys verify tokens of all their algorithms, and are asked for once."""
    for algorithm, key in KEYS.items():
        jwks.publish(algorithm, key, algorithm)
    api = await start_api(jwt_secret=None, supabase_url=jwks.url)
    for algorithm, key in KEYS.items():
        headers = bearer(secret=key, algorithm=algorithm, headers={"kid": algorithm})
        assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}, headers=headers))[0] == 200
    assert jwks.asked == 1


async def test_the_key_fixes_the_algorithm(start_api, jwks, token, ask):
    """A token signed with the public key as an HS256 secret, by another key, or without a key id is refused."""
    jwks.publish("k", KEYS["ES256"], "ES256")
    jwks.keys.append({"kty": "oct", "kid": "shared", "alg": "HS256", "k": base64.urlsafe_b64encode(b"x" * 32).decode()})
    api = await start_api(jwt_secret=None, supabase_url=jwks.url)
    tokens = [
        token(secret=jwks.keys[0]["x"], headers={"kid": "k"}),
        token(secret="x" * 32, headers={"kid": "shared"}),
        token(secret=ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "k"}),
        token(secret=KEYS["RS256"], algorithm="RS256", headers={"kid": "k"}),
        token(secret=KEYS["ES256"], algorithm="ES256"),
        token(secret=KEYS["ES256"], algorithm="ES256", headers={"kid": "unknown"}),
    ]
    for bad in tokens:
        headers = {"Authorization": f"Bearer {bad}"}
        assert (await ask(api, "get", f"/api/v1/job/{uuid4()}", headers=headers))[0] == 401


async def test_a_rotated_key_is_found(jwks, token):
    """An unknown key id has the keys fetched again, once the cooldown is over."""
    from edge_api.auth import Doorkeeper, JwksKeys

    jwks.publish("old", KEYS["ES256"], "ES256")
    door = Doorkeeper(JwksKeys(jwks.url, cooldown_s=0))
    user = uuid4()
    assert (
        await door.user(f"Bearer {token(user, secret=KEYS['ES256'], algorithm='ES256', headers={'kid': 'old'})}")
        == user
    )
    jwks.publish("new", KEYS["EdDSA"], "EdDSA")
    assert (
        await door.user(f"Bearer {token(user, secret=KEYS['EdDSA'], algorithm='EdDSA', headers={'kid': 'new'})}")
        == user
    )


async def test_unknown_key_ids_cannot_make_us_ask_again_and_again(start_api, jwks, bearer, ask):
    """Within the cooldown tokens with invented key ids cost the auth server nothing."""
    jwks.publish("k", KEYS["ES256"], "ES256")
    api = await start_api(jwt_secret=None, supabase_url=jwks.url)

    async def knock(kid: str) -> int:
        headers = bearer(secret=KEYS["ES256"], algorithm="ES256", headers={"kid": kid})
        return (await ask(api, "get", f"/api/v1/job/{uuid4()}", headers=headers))[0]

    assert set(await asyncio.gather(*(knock(f"invented-{i}") for i in range(20)))) == {401}
    assert jwks.asked == 1


async def test_keys_that_are_away_are_503(start_api, jwks, bearer, ask):
    """When the keys cannot be fetched, tokens are neither believed nor called wrong; visitors are served."""
    jwks.away = True
    api = await start_api(jwt_secret=None, supabase_url=jwks.url)
    headers = bearer(secret=KEYS["ES256"], algorithm="ES256", headers={"kid": "k"})
    for _ in range(3):
        async with api.get(f"/api/v1/job/{uuid4()}", headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
            assert (await answer.json(content_type=None))["code"] == "auth_unavailable"
    assert jwks.asked == 1
    assert (await ask(api, "post", "/api/v1/gen", json={"video_url": VIDEO}))[0] == 200
