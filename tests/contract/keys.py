"""Every key and token of a run, so that its output can be searched for all of them."""

from __future__ import annotations

import time
from typing import Final
from uuid import uuid4

import jwt

SECRET: Final = "a-secret-of-at-least-thirty-two-characters-and-even-sixty-four-of-them"
SERVICE_KEY: Final = "sb_secret_that_nobody_may_ever_read_anywhere"
API_KEY: Final = "sk-the-key-of-the-director-0123456789"
USED: Final = {SECRET, SERVICE_KEY, API_KEY}


def make_token(user=None, *, secret=SECRET, algorithm="HS256", headers=None, **claims) -> str:
    """An access token as Supabase Auth makes them."""
    whole = {"sub": str(user or uuid4()), "aud": "authenticated", "role": "authenticated", "exp": time.time() + 86_400}
    whole = {name: value for name, value in {**whole, **claims}.items() if value is not None}
    token = jwt.encode(whole, secret, algorithm=algorithm, headers=headers)
    USED.add(token)
    return token


def bearer(user=None, **claims) -> dict[str, str]:
    """The header of a signed-in user."""
    return {"Authorization": f"Bearer {make_token(user, **claims)}"}


def spoken(text: str) -> set[str]:
    """Which of all keys stand in a text; of a token its signature is enough."""
    return {
        key for key in USED if key in text or (key.count(".") == 2 and len(key) > 40 and key.rpartition(".")[2] in text)
    }
