"""C2PA_CERT, C2PA_KEY and C2PA_SIGNER: what is wrong with them is told in a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from tests.unit.certificates import SERVERS, signatory
from worker.errors import Misconfigured, ServiceAway
from worker.pipeline.finish.signing import C2paSigner
from worker.signing_key import SigningKey


def load(folder, who=None, *, cert=None, key=None, command=""):
    """Of what is given instead, the content of the file."""
    who = who or signatory()
    who.written(folder)
    for name, content in (("chain.pem", cert), ("key.pem", key)):
        if content is not None:
            (folder / name).write_bytes(content)
    return SigningKey.load(folder / "chain.pem", None if command else folder / "key.pem", command)


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_none_is_none():
    """Nothing is set, nothing is signed."""
    assert SigningKey.load(None, None, "") is None


def test_who_signs_and_until_when(tmp_path):
    """A key tells whom its certificate names and how long it holds."""
    key = load(tmp_path)
    assert (key.name, key.algorithm) == ("A Signer", "ES256")
    assert "PRIVATE" not in key.chain


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cert": b"no certificate"}, "C2PA_CERT is malformed: .*chain.pem holds no certificates in PEM"),
        ({"key": b"no key"}, "C2PA_KEY is malformed: .*key.pem holds no private key in PEM"),
        ({"key": pem(signatory().key, BestAvailableEncryption(b"x"))}, "C2PA_KEY is encrypted.*decrypt it, or use C2PA_SIGNER"),
        ({"key": signatory("Another").key_pem}, "C2PA_KEY is not the key of C2PA_CERT"),
        ({"key": pem(x25519.X25519PrivateKey.generate())}, "kind that C2PA does not take.*P-256"),
        ({"cert": signatory().authority}, "begins with an authority, An Authority"),
        ({"cert": signatory().chain + signatory("B").authority}, "out of order: An Authority has not signed An Authority"),
        ({"who": signatory(days=-1)}, "not valid now: the certificate of A Signer holds from .* get another"),
        ({"who": signatory(usage=SERVERS)}, "lacks an extended key usage: C2PA claim signing .*e-mail"),
        ({"who": signatory(signs=False)}, "lacks the key usage digitalSignature"),
        ({"who": signatory(curve=ec.SECP256K1)}, "C2PA_CERT has a key of a kind that C2PA does not take"),
        ({"command": "no-such-program --sign"}, "C2PA_SIGNER is malformed: there is no program no-such-program"),
        ({"command": "sh -c 'open"}, "C2PA_SIGNER is malformed: No closing quotation"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path, given, words):
    """Each of them in a sentence that names the variable and what to do."""
    with pytest.raises(Misconfigured, match=words):
        load(tmp_path, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((None, Path("k"), ""), "C2PA_KEY is set and C2PA_CERT is not"),
        ((None, None, "sign"), "C2PA_SIGNER is set and C2PA_CERT is not"),
        ((Path("c"), None, ""), "wants either C2PA_KEY, a file, or C2PA_SIGNER"),
        ((Path("c"), Path("k"), "sign"), "set one of them"),
        ((Path("/nowhere/c.pem"), Path("k"), ""), "C2PA_CERT cannot be read: /nowhere/c.pem: No such file"),
    ],
)
def test_what_is_missing_is_told(given, words):
    """A certificate goes with a key or with a command."""
    with pytest.raises(Misconfigured, match=words):
        SigningKey.load(*given)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
async def test_other_kinds_of_keys_sign(tmp_path, key):
    """RSA and Ed25519, too, as the library wants it of them."""
    loaded = load(tmp_path, signatory(key=key), key=pem(key))
    await C2paSigner(chain=loaded.chain, algorithm=loaded.algorithm, sign=loaded.sign).check()


async def test_a_certificate_that_has_expired_meanwhile(tmp_path):
    """Nothing more is signed, and no job loses an attempt by it."""
    key = replace(load(tmp_path), until=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(ServiceAway, match=r"C2PA_CERT has expired on 20.* get another"):
        await key.sign(b"data")
