"""docs/provenance.md: the certificate that it tells how to make signs."""

from __future__ import annotations

import subprocess

from tests.docs.blocks import DOCS, blocks
from worker.pipeline.finish.signing import C2paSigner
from worker.signing_key import SigningKey


async def test_an_authority_of_ones_own(tmp_path):
    """The commands make a chain and a key that a worker takes."""
    (made,) = [block.text for block in blocks(DOCS / "provenance.md") if block.order == "run"]
    subprocess.run(["bash", "-euc", made], cwd=tmp_path, check=True, capture_output=True)
    key = SigningKey.load(tmp_path / "chain.pem", tmp_path / "key.pem", "")
    assert key.name == "Example Music"
    await C2paSigner(chain=key.chain, algorithm=key.algorithm, sign=key.sign).check()


async def test_a_command_of_openssl(tmp_path):
    """`openssl dgst` is such a command as C2PA_SIGNER wants."""
    (made,) = [block.text for block in blocks(DOCS / "provenance.md") if block.order == "run"]
    subprocess.run(["bash", "-euc", made], cwd=tmp_path, check=True, capture_output=True)
    command = f"openssl dgst -sha256 -sign {tmp_path / 'key.pem'}"
    assert command.replace(str(tmp_path / "key.pem"), "key.pem") in (DOCS / "provenance.md").read_text()
    key = SigningKey.load(tmp_path / "chain.pem", None, command)
    await C2paSigner(chain=key.chain, algorithm=key.algorithm, sign=key.sign).check()
