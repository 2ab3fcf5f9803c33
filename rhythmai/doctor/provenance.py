"""Provenance: the certificate and the key with which a worker signs what it makes (C2PA)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from rhythmai.doctor.finding import Finding, fail, note, ok
from worker.errors import Misconfigured, Unavailable
from worker.pipeline.finish.signing import C2paSigner
from worker.settings import Settings
from worker.signing_key import SigningKey

CHECK: Final = "provenance"
SOON: Final = timedelta(days=30)
PAGE: Final = "docs/provenance.md tells which certificate, and how to get one"


async def examine(settings: Settings) -> list[Finding]:
    """Certificate and key are read, and a moment of silence is signed with them."""
    try:
        key = SigningKey.load(settings.c2pa_cert, settings.c2pa_key, settings.c2pa_signer)
        if key is None:
            return [note(CHECK, "files are not signed: where they come from is in their tags alone", PAGE)]
        await C2paSigner(chain=key.chain, algorithm=key.algorithm, sign=key.sign).check()
    except (Misconfigured, Unavailable) as error:
        return [fail(CHECK, str(error), PAGE)]
    said = f"files are signed as {key.name} ({key.algorithm}), until {key.until:%Y-%m-%d}"
    if key.until - datetime.now(UTC) < SOON:
        return [note(CHECK, said, "Get the next certificate: when this one expires, no job ends any more")]
    return [ok(CHECK, said)]
