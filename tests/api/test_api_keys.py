"""The keys that verify tokens: published by an Auth that is away, slow, wrong, or has none to give."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from edge_api.auth import Doorkeeper, JwksKeys
from edge_api.problems import Problem
from tests.api.jwks import KEYS
from tests.contract.keys import make_token

USER = uuid4()


@pytest.fixture
def knock():
    """Comes to a door with a token of this key id; returns the user, or the code of the problem."""

    async def knock(door, kid="known"):
        bearer = make_token(USER, secret=KEYS["ES256"], algorithm="ES256", headers={"kid": kid})
        try:
            return await door.user(f"Bearer {bearer}")
        except Problem as problem:
            return problem.code

    return knock


@pytest.fixture
def door(jwks):
    """A door whose keys are never fresh: every token has them fetched again."""
    jwks.publish("known", KEYS["ES256"], "ES256")
    return Doorkeeper(JwksKeys(jwks.url, cooldown_s=0, fresh_s=0))


async def test_known_keys_outlive_auth(door, jwks, knock):
    """While Auth is away, a token with a key that was fetched is believed, however old that is and whoever knocks beside it."""
    assert await knock(door) == USER
    jwks.away = True
    assert await knock(door) == USER
    assert await knock(door, "invented") == "auth_unavailable"
    assert await knock(door) == USER
    assert jwks.asked == 2


async def test_known_keys_do_not_wait_for_a_fetch(door, jwks, knock):
    """While the keys are being fetched for somebody else, a token with a known key is believed at once."""
    assert await knock(door) == USER
    jwks.answering.clear()
    stranger = asyncio.create_task(knock(door, "invented"))
    while jwks.asked < 2:
        await asyncio.sleep(0)
    assert await knock(door) == USER
    assert not stranger.done()
    jwks.answering.set()
    assert await stranger == "unauthorized"


async def test_who_hangs_up_does_not_end_the_fetch(jwks, knock):
    """A caller who goes away while the keys are fetched leaves the fetch to those who wait with it."""
    jwks.publish("known", KEYS["ES256"], "ES256")
    jwks.answering.clear()
    door = Doorkeeper(JwksKeys(jwks.url))
    first, second = (asyncio.create_task(knock(door)) for _ in range(2))
    while not jwks.asked:
        await asyncio.sleep(0)
    first.cancel()
    jwks.answering.set()
    assert await second == USER
    assert jwks.asked == 1


async def test_a_rotated_key_is_found(jwks):
    """An unknown key id has the keys fetched again, once the cooldown is over."""
    door, user = Doorkeeper(JwksKeys(jwks.url, cooldown_s=0)), uuid4()
    for kid, algorithm in (("old", "ES256"), ("new", "EdDSA")):
        jwks.publish(kid, KEYS[algorithm], algorithm)
        bearer = make_token(user, secret=KEYS[algorithm], algorithm=algorithm, headers={"kid": kid})
        assert await door.user(f"Bearer {bearer}") == user


async def test_a_withdrawn_key_is_forgotten(door, jwks, knock):
    """A key that Auth no longer publishes verifies nothing once the keys are fetched again."""
    assert await knock(door) == USER
    jwks.keys.clear()
    assert await knock(door) == "unauthorized"


@pytest.mark.parametrize("keys", [[], [{"kty": "oct", "kid": "known", "alg": "HS256", "k": "eHh4"}], ["nonsense"]])
async def test_a_project_without_signing_keys_is_told_of_once(jwks, knock, keys):
    """Where no asymmetric key is published, tokens are refused, Auth is asked once a cooldown, the log says what to set."""
    jwks.keys = keys
    door = Doorkeeper(JwksKeys(jwks.url))
    with capture_logs() as logs:
        assert {await knock(door) for _ in range(10)} == {"unauthorized"}
    assert jwks.asked == 1
    assert [line["log_level"] for line in logs if "JWT_SECRET" in line.get("remedy", "")] == ["error"]


@pytest.mark.parametrize("body", ["<html>Sign in to this Wi-Fi</html>", "[]", '{"message": "no route"}', "\x00"])
async def test_what_is_no_key_set_is_auth_away(jwks, knock, body):
    """A page, or other JSON, in the place of the keys: nothing is said of the token, and Auth gets a moment's rest."""
    jwks.body = body
    door = Doorkeeper(JwksKeys(jwks.url))
    assert {await knock(door) for _ in range(3)} == {"auth_unavailable"}
    assert jwks.asked == 1
