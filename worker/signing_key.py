"""SigningKey: the operator's certificate and key, with which files are signed (C2PA)."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from worker.certificates import name_of, read_chain
from worker.errors import Misconfigured, ServiceAway
from worker.pipeline.origin import SIGNATURE_BYTES

PATIENCE_S: Final = 60.0
"""For C2PA_SIGNER: a key may lie far away."""
_KINDS: Final = "take P-256, P-384, P-521, Ed25519 or RSA"
_CURVES: Final[Mapping[str, tuple[str, type[hashes.HashAlgorithm]]]] = {
    "secp256r1": ("ES256", hashes.SHA256),
    "secp384r1": ("ES384", hashes.SHA384),
    "secp521r1": ("ES512", hashes.SHA512),
}
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A certificate and what makes signatures that fit it."""

    chain: str
    """PEM, the signer's own certificate first."""
    algorithm: str
    """As COSE names it: ES256, ES384, ES512, PS256 or Ed25519."""
    name: str
    """Whom the certificate names."""
    until: datetime
    key: Private | None
    command: Sequence[str]

    @classmethod
    def load(cls, cert: Path | None, key: Path | None, command: str) -> Self | None:
        """C2PA_CERT, C2PA_KEY and C2PA_SIGNER; None where none of them is set. Raises Misconfigured."""
        if cert is None and key is None and not command:
            return None
        if cert is None:
            raise Misconfigured(
                f"{'C2PA_KEY' if key else 'C2PA_SIGNER'} is set and C2PA_CERT is not: set its certificate, or neither"
            )
        if (key is None) == (not command):
            raise Misconfigured("C2PA_CERT wants either C2PA_KEY, a file, or C2PA_SIGNER, a command: set one of them")
        if find_spec("c2pa") is None:
            raise Misconfigured("C2PA_CERT needs c2pa: pip install 'rhythmai[c2pa]'")
        chain = read_chain(cert)
        own = chain[0]
        public = own.public_key()
        private = None
        if key is not None:
            private = _private(key)
            if _der(private.public_key()) != _der(public):
                raise Misconfigured(f"C2PA_KEY is not the key of C2PA_CERT: {key} belongs to another certificate")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise Misconfigured(f"C2PA_SIGNER is malformed: {error}: {command}") from None
        if words and shutil.which(words[0]) is None:
            raise Misconfigured(f"C2PA_SIGNER is malformed: there is no program {words[0]}")
        return cls(
            chain="".join(one.public_bytes(Encoding.PEM).decode() for one in chain),
            algorithm=_algorithm(public),
            name=name_of(own),
            until=min(one.not_valid_after_utc for one in chain),
            key=private,
            command=words,
        )

    async def sign(self, data: bytes) -> bytes:
        """What the certificate's key makes of the data; of elliptic curves in DER. Raises ServiceAway, also when the certificate expires."""
        if self.until < datetime.now(UTC):
            raise ServiceAway(f"C2PA_CERT has expired on {self.until:%Y-%m-%d}: get another", code="signing_failed")
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return self.key.sign(data, ec.ECDSA(_CURVES[self.key.curve.name][1]()))
            case rsa.RSAPrivateKey():
                sha256 = hashes.SHA256()
                return self.key.sign(data, padding.PSS(padding.MGF1(sha256), sha256.digest_size), sha256)
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(data)
            case None:
                return await self._commanded(data)

    async def _commanded(self, data: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(*self.command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(PATIENCE_S):
                signature, complaints = await process.communicate(data)
        except TimeoutError:
            raise _no_signature(f"it said nothing for {PATIENCE_S:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not 0 < len(signature) <= SIGNATURE_BYTES:
            said = " ".join(complaints.decode(errors="replace").split())[-300:]
            raise _no_signature(
                f"it ended with code {process.returncode}, {len(signature)} bytes and the words: {said or 'none'}"
            )
        return signature


def _no_signature(why: str) -> ServiceAway:
    return ServiceAway(f"C2PA_SIGNER made no signature: {why}", code="signing_failed")


def _private(path: Path) -> Private:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise Misconfigured(f"C2PA_KEY cannot be read: {path}: {error.strerror}") from None
    except TypeError:
        raise Misconfigured(
            f"C2PA_KEY is encrypted: nobody is here to type the password of {path}; decrypt it, or use C2PA_SIGNER"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Misconfigured(f"C2PA_KEY is malformed: {path} holds no private key in PEM") from None
    if not isinstance(key, Private):
        raise Misconfigured(f"C2PA_KEY is of a kind that C2PA does not take: {path}; {_KINDS}")
    return key


def _algorithm(public: object) -> str:
    match public:
        case ec.EllipticCurvePublicKey() if public.curve.name in _CURVES:
            return _CURVES[public.curve.name][0]
        case rsa.RSAPublicKey():
            return "PS256"
        case ed25519.Ed25519PublicKey():
            return "ED25519"
    raise Misconfigured(f"C2PA_CERT has a key of a kind that C2PA does not take; {_KINDS}")


def _der(public: PublicKeyTypes) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
