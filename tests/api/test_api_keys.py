"""The keys that verify tokens: published by an Auth that is away, slow, wrong, or has none to give."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from edge_api.auth import Authenticator, ProjectKeys
from edge_api.problems import Problem
from tests.api.jwks import KEYS
from tests.contract.keys import SECRET, make_token

USER = uuid4()


@pytest.fixture
def present():
    """Comes to an authenticator with a token of this key id; returns the user, or the code of the problem."""

    async def present(authenticator, kid="known"):
        bearer = make_token(USER, secret=KEYS["ES256"], algorithm="ES256", headers={"kid": kid})
        try:
            return await authenticator.user(f"Bearer {bearer}")
        except Problem as problem:
            return problem.code

    return present


@pytest.fixture
def authenticator(jwks):
    """An authenticator whose keys are never fresh: every token has them fetched again."""
    jwks.publish("known", KEYS["ES256"], "ES256")
    return Authenticator(ProjectKeys(jwks.url, cooldown_s=0, fresh_s=0))


async def test_both_signing_schemes_hold_at_once(jwks, present):
    """A project that changes from the shared secret to signing keys signs nobody out; each key has its one algorithm."""
    jwks.publish("known", KEYS["ES256"], "ES256")
    authenticator = Authenticator(ProjectKeys(jwks.url, SECRET))
    old = make_token(USER)
    assert await authenticator.user(f"Bearer {old}") == USER
    assert jwks.asked == 0
    assert await present(authenticator) == USER
    for bad in (
        make_token(USER, secret="another-secret-of-at-least-32-characters"),
        make_token(USER, algorithm="HS512"),
        make_token(USER, secret=jwks.keys[0]["x"] * 2, headers={"kid": "known"}),
        make_token(USER, secret=KEYS["RS256"], algorithm="RS256", headers={"kid": "known"}),
    ):
        with pytest.raises(Problem, match="not valid"):
            await authenticator.user(f"Bearer {bad}")


async def test_a_project_that_only_has_the_secret_is_not_told_to_set_it(jwks, present):
    """With JWT_SECRET a project without signing keys is in order."""
    authenticator = Authenticator(ProjectKeys(jwks.url, SECRET))
    with capture_logs() as logs:
        assert await present(authenticator) == "unauthorized"
    assert logs == []


async def test_known_keys_outlive_auth(authenticator, jwks, present):
    """While Auth is away, a token with a key that was fetched is believed, however old that is and whoever knocks beside it."""
    assert await present(authenticator) == USER
    jwks.away = True
    assert await present(authenticator) == USER
    assert await present(authenticator, "invented") == "auth_unavailable"
    assert await present(authenticator) == USER
    assert jwks.asked == 2


async def test_known_keys_do_not_wait_for_a_fetch(authenticator, jwks, present):
    """While the keys are being fetched for somebody else, a token with a known key is believed at once."""
    assert await present(authenticator) == USER
    jwks.answering.clear()
    stranger = asyncio.create_task(present(authenticator, "invented"))
    while jwks.asked < 2:
        await asyncio.sleep(0)
    assert await present(authenticator) == USER
    assert not stranger.done()
    jwks.answering.set()
    assert await stranger == "unauthorized"


async def test_who_hangs_up_does_not_end_the_fetch(jwks, present):
    """A caller who goes away while the keys are fetched leaves the fetch to those who wait with it."""
    jwks.publish("known", KEYS["ES256"], "ES256")
    jwks.answering.clear()
    authenticator = Authenticator(ProjectKeys(jwks.url))
    first, second = (asyncio.create_task(present(authenticator)) for _ in range(2))
    while not jwks.asked:
        await asyncio.sleep(0)
    first.cancel()
    jwks.answering.set()
    assert await second == USER
    assert jwks.asked == 1


async def test_a_rotated_key_is_found(jwks):
    """An unknown key id has the keys fetched again, once the cooldown is over."""
    authenticator, user = Authenticator(ProjectKeys(jwks.url, cooldown_s=0)), uuid4()
    for kid, algorithm in (("old", "ES256"), ("new", "EdDSA")):
        jwks.publish(kid, KEYS[algorithm], algorithm)
        bearer = make_token(user, secret=KEYS[algorithm], algorithm=algorithm, headers={"kid": kid})
        assert await authenticator.user(f"Bearer {bearer}") == user


async def test_a_withdrawn_key_is_forgotten(authenticator, jwks, present):
    """A key that Auth no longer publishes verifies nothing once the keys are fetched again."""
    assert await present(authenticator) == USER
    jwks.keys.clear()
    assert await present(authenticator) == "unauthorized"


@pytest.mark.parametrize("keys", [[], [{"kty": "oct", "kid": "known", "alg": "HS256", "k": "eHh4"}], ["nonsense"]])
async def test_a_project_without_signing_keys_is_told_of_once(jwks, present, keys):
    """Where no asymmetric key is published, tokens are refused, Auth is asked once a cooldown, the log says what to set."""
    jwks.keys = keys
    authenticator = Authenticator(ProjectKeys(jwks.url))
    with capture_logs() as logs:
        assert {await present(authenticator) for _ in range(10)} == {"unauthorized"}
    assert jwks.asked == 1
    assert [line["log_level"] for line in logs if "JWT_SECRET" in line.get("remedy", "")] == ["error"]


@pytest.mark.parametrize("body", ["<html>Sign in to this Wi-Fi</html>", "[]", '{"message": "no route"}', "\x00"])
async def test_what_is_no_key_set_is_auth_away(jwks, present, body):
    """A page, or other JSON, in the place of the keys: nothing is said of the token, and Auth gets a moment's rest."""
    jwks.body = body
    authenticator = Authenticator(ProjectKeys(jwks.url))
    assert {await present(authenticator) for _ in range(3)} == {"auth_unavailable"}
    assert jwks.asked == 1
