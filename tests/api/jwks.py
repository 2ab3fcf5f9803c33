"""Supabase Auth, as far as its public keys go."""

from __future__ import annotations

import asyncio
import json

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

KEYS = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


class Jwks:
    """Publishes keys as Supabase Auth does, and counts how often it was asked; hangs while `answering` is not set."""

    def __init__(self) -> None:
        self.keys: list[dict] = []
        self.asked = 0
        self.away = False
        self.body: str | None = None
        self.answering = asyncio.Event()
        self.answering.set()

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        await self.answering.wait()
        body = json.dumps({"keys": self.keys}) if self.body is None else self.body
        return web.Response(status=502 if self.away else 200, text=body)

    def publish(self, kid: str, key, algorithm: str) -> None:
        codec = {
            "ES256": jwt.algorithms.ECAlgorithm,
            "RS256": jwt.algorithms.RSAAlgorithm,
            "EdDSA": jwt.algorithms.OKPAlgorithm,
        }
        public = codec[algorithm].to_jwk(key.public_key(), as_dict=True)
        self.keys.append({**public, "kid": kid, "alg": algorithm, "use": "sig"})
