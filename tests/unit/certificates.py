"""Certificates and keys, made when they are needed: an authority, and who signs under it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

EMAIL = "1.3.6.1.5.5.7.3.4"
C2PA = "1.3.6.1.4.1.62558.2.1"
DOCUMENTS = "1.3.6.1.5.5.7.3.36"
SERVERS = "1.3.6.1.5.5.7.3.1"


@dataclass(frozen=True)
class Signatory:
    """Certificates as PEM, the signer's own first; the authority's, and the key."""

    chain: bytes
    authority: bytes
    key: Any

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def written(self, folder: Path) -> dict[str, str]:
        """What the environment of a worker says of it."""
        (folder / "chain.pem").write_bytes(self.chain)
        (folder / "key.pem").write_bytes(self.key_pem)
        (folder / "authority.pem").write_bytes(self.authority)
        return {"C2PA_CERT": str(folder / "chain.pem"), "C2PA_KEY": str(folder / "key.pem")}


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests")]
    )


def _certificate(name, key, issuer, issuer_key, *, usage, days, authority, signs=True):
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(os.urandom(8), "big") | 1)
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=signs and not authority, content_commitment=not signs, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ObjectIdentifier(usage)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )  # fmt: skip


@cache
def signatory(
    name: str = "A Signer",
    *,
    usage: str = EMAIL,
    days: int = 300,
    curve: type[ec.EllipticCurve] = ec.SECP256R1,
    signs: bool = True,
    key: Any = None,
) -> Signatory:
    """Whose certificate holds for so many days more."""
    above, key = ec.generate_private_key(ec.SECP256R1()), key or ec.generate_private_key(curve())
    root = _certificate("An Authority", above, "An Authority", above, usage=usage, days=3000, authority=True)
    own = _certificate(name, key, "An Authority", above, usage=usage, days=days, authority=False, signs=signs)
    pems = [one.public_bytes(Encoding.PEM) for one in (own, root)]
    return Signatory(chain=b"".join(pems), authority=pems[1], key=key)
