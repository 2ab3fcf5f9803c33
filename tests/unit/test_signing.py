"""Tracks that say where they come from: signed manifests (C2PA) in every format."""

from __future__ import annotations

import shlex
import sys

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.certificates import C2PA, DOCUMENTS, EMAIL, signatory
from tests.unit.manifests import TRAINED, assertion, samples, sign, signer_of, told, tune
from worker.errors import ServiceAway, Unavailable
from worker.pipeline.finish.audio_file import FORMATS
from worker.pipeline.origin import SOURCE_TYPES


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return signer_of(signatory(), tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("format", FORMATS)
async def test_a_track_is_signed_in_every_format(signer, tmp_path, format):
    """The library calls it trusted, where its authority is; not a sample is another; the manifest has what the tags have."""
    data = tune(format, TRAINED)
    made = await sign(signer, tmp_path, data, format, facts=TRAINED)
    kind = FORMATS[format].content_type
    manifest, wrong, state = told(made, kind)
    assert (state, wrong) == ("Trusted", [])
    assert told(made, kind, trusted=False)[1:] == (["signingCredential.untrusted"], "Valid")
    (action,) = assertion(manifest, "c2pa.actions.v2")["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"] == SOURCE_TYPES + "trainedAlgorithmicMedia"
    assert action["softwareAgent"]["name"] == "mmaudio large"
    assert assertion(manifest, "rhythmai.origin") == TRAINED
    assert manifest["claim_generator_info"][0]["name"] == "RhythmAI"
    assert manifest["title"] == "Tune"
    assert np.array_equal(samples(made), samples(data))


@pytest.mark.parametrize("format", FORMATS)
async def test_a_tampered_file_is_told(signer, tmp_path, format):
    """One other bit in the sound, and the manifest is of another file."""
    made = bytearray(await sign(signer, tmp_path, tune(format), format))
    sound = {"m4a": b"mdat", "wav": b"data"}.get(format)
    made[made.index(sound) + 1000 if sound else -2000] ^= 1
    _, wrong, state = told(bytes(made), FORMATS[format].content_type)
    assert state == "Invalid"
    assert wrong[0] in {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
@pytest.mark.parametrize("usage", [EMAIL, C2PA, DOCUMENTS])
async def test_certificates_of_many_kinds_sign(tmp_path, curve, usage):
    """What a certificate's key is decides how it signs; what it has to be for is one of three."""
    if (curve, usage) == (ec.SECP256R1, EMAIL):
        return
    await signer_of(signatory(curve=curve, usage=usage), tmp_path).check()


SIGNER = f"""{shlex.quote(sys.executable)} -c '
import sys
from pathlib import Path
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = serialization.load_pem_private_key(Path(sys.argv[1]).read_bytes(), None)
sys.stdout.buffer.write(key.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))
'"""


async def test_a_command_signs(tmp_path):
    """C2PA_SIGNER gets the bytes and gives the signature: the key may be where the worker is not."""
    who = signatory()
    elsewhere = tmp_path / "elsewhere.pem"
    elsewhere.write_bytes(who.key_pem)
    made = await sign(signer_of(who, tmp_path, f"{SIGNER} {elsewhere}"), tmp_path, tune("wav"), "wav")
    assert told(made, "audio/wav")[2] == "Trusted"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo the vault is sealed >&2; exit 4'", "code 4, 0 bytes and the words: the vault is sealed"),
        ("true", "code 0, 0 bytes"),
        ("head -c 5000 /dev/zero", "code 0, 5000 bytes"),
    ],
)
async def test_a_command_that_does_not_sign(tmp_path, command, words):
    """Whose key is away counts no attempt of a job, and is told in its own words."""
    with pytest.raises(ServiceAway, match=words):
        await signer_of(signatory(), tmp_path, command).check()
    assert list(tmp_path.glob("signed*")) == []


async def test_a_signature_by_another_key_is_not_kept(tmp_path):
    """The library looks at what it made."""
    other = tmp_path / "other.pem"
    other.write_bytes(signatory("Another").key_pem)
    with pytest.raises(Unavailable, match="signature does not match"):
        await signer_of(signatory(), tmp_path, f"{SIGNER} {other}").check()
