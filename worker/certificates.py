"""The certificates of C2PA_CERT: read, and looked at for what a signature by them would be refused for."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from worker.errors import Misconfigured
from worker.pipeline.origin import KEY_USAGES


def read_chain(path: Path) -> list[x509.Certificate]:
    """The certificates in a file, the signer's own first. Raises Misconfigured."""
    try:
        chain = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"C2PA_CERT cannot be read: {path}: {error.strerror}") from None
    except ValueError:
        raise Misconfigured(f"C2PA_CERT is malformed: {path} holds no certificates in PEM") from None
    now = datetime.now(UTC)
    for one in chain:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise Misconfigured(
                f"C2PA_CERT is not valid now: the certificate of {name_of(one)} holds from {one.not_valid_before_utc:%Y-%m-%d} to "
                f"{one.not_valid_after_utc:%Y-%m-%d}; get another"
            )
    for one, above in pairwise(chain):
        try:
            one.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            raise Misconfigured(
                f"C2PA_CERT is out of order: {name_of(above)} has not signed {name_of(one)}; put the signer's own certificate first, "
                "then each the one that signed it"
            ) from None
    _for_signing(chain[0])
    return chain


def _for_signing(own: x509.Certificate) -> None:
    """Raises Misconfigured: the certificate is for something else."""
    with suppress(x509.ExtensionNotFound):
        if own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise Misconfigured(
                f"C2PA_CERT begins with an authority, {name_of(own)}: put the signer's own certificate first"
            )
    usages: list[str] = []
    signs = False
    with suppress(x509.ExtensionNotFound):
        usages = [usage.dotted_string for usage in own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value]
    with suppress(x509.ExtensionNotFound):
        signs = own.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    if not signs or not KEY_USAGES.keys() & usages:
        wanted = " or ".join(f"{name} ({number})" for number, name in KEY_USAGES.items())
        raise Misconfigured(
            f"C2PA_CERT is not for signing: {name_of(own)} lacks "
            + ("the key usage digitalSignature" if not signs else f"an extended key usage: {wanted}")
        )


def name_of(certificate: x509.Certificate) -> str:
    """Whom it names."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
