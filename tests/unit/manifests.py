"""Signing and reading as tests do it; what is read is read by the library itself, and not by our words."""

from __future__ import annotations

import io
import json
from pathlib import Path

import av
import c2pa
import numpy as np

from tests.unit.certificates import C2PA, DOCUMENTS, EMAIL, signatory
from worker.domain import Track
from worker.engines.sketch.engine import SketchEngine
from worker.pipeline.finish.audio_file import FORMATS
from worker.pipeline.finish.master import master
from worker.pipeline.finish.signing import C2paSigner
from worker.pipeline.origin import SOURCE_TYPES, of_track
from worker.signing_key import SigningKey

FACTS = of_track(SketchEngine(), 7, "a calm piano")
TRAINED = FACTS | {"engine": "mmaudio large", "source_type": SOURCE_TYPES + "trainedAlgorithmicMedia"}


def signer_of(who, folder, command=""):
    named = who.written(folder)
    key = SigningKey.load(Path(named["C2PA_CERT"]), None if command else Path(named["C2PA_KEY"]), command)
    return C2paSigner(chain=key.chain, algorithm=key.algorithm, sign=key.sign)


def tune(format: str, facts=FACTS) -> bytes:
    wave = (0.3 * np.sin(np.arange(96_000) / np.array([[20], [30]]))).astype(np.float32)
    track = Track(index=0, samples=wave, sample_rate=48_000, bpm=90, key="C major")
    return master(track, duration_s=2, loudness_lufs=-14, format=format, tags={"title": "Tune", **facts}).data


async def sign(signer, folder, data, suffix, *, facts=FACTS, parts=None) -> bytes:
    file = folder / f"file.{suffix}"
    file.write_bytes(data)
    kind = FORMATS[suffix].content_type if suffix in FORMATS else "video/mp4"
    made = await signer.sign(file, folder, content_type=kind, title="Tune", facts=facts, parts=parts or {})
    assert file.read_bytes() == data
    return made.read_bytes()


def told(data: bytes, content_type: str, *, trusted: bool = True):
    """The active manifest as the library reads it, what it found wrong, and the state."""
    settings = {
        "verify": {"remote_manifest_fetch": False},
        "trust": {"trust_config": f"{C2PA}\n{DOCUMENTS}\n{EMAIL}"},
    }
    if trusted:
        settings["trust"]["trust_anchors"] = signatory().authority.decode()
    with c2pa.Reader(content_type, io.BytesIO(data), context=c2pa.Context.from_dict(settings)) as reader:
        store = json.loads(reader.json())
        wrong = [status["code"] for status in store.get("validation_status", [])]
        return store["manifests"][store["active_manifest"]], wrong, reader.get_validation_state()


def samples(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])


def assertion(manifest, label):
    (found,) = [one["data"] for one in manifest["assertions"] if one["label"] == label]
    return found
