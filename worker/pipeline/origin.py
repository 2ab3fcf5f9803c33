"""What a file of ours says of where it comes from: its tags and, where it is signed, its manifest (C2PA) say the same."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Final

from worker.domain import MADE_BY_MODEL, Facts
from worker.ports import Engine

GENERATOR: Final = "RhythmAI"
SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's list, in which C2PA and others say how media came to be."""
KEY_USAGES: Final = {
    "1.3.6.1.4.1.62558.2.1": "C2PA claim signing",
    "1.3.6.1.5.5.7.3.4": "e-mail protection",
    "1.3.6.1.5.5.7.3.36": "document signing",
}
"""What a certificate that signs manifests has to be for, one of them."""
SIGNATURE_BYTES: Final = 4096
"""The most; a pipe takes as much in one piece."""


def generator() -> str:
    return f"{GENERATOR} {version('rhythmai')}"


def of_track(engine: Engine, seed: int, prompt: str) -> Facts:
    """What is known of a track. Who has the prompt can tell that it is this track's; the hash gives nobody the prompt."""
    return {
        "generator": generator(),
        "engine": f"{engine.name} {engine.model}".strip(),
        "licence": engine.licence.name,
        "licence_url": engine.licence.url,
        "commercial_use": str(engine.licence.commercial).lower(),
        "seed": str(seed),
        "prompt_sha256": hashlib.sha256(prompt.encode()).hexdigest(),
        "source_type": SOURCE_TYPES + (MADE_BY_MODEL if engine.trained else "algorithmicMedia"),
    }


def of_merge(music: Facts) -> Facts:
    """What is known of a film with music, whose own words are `music`. They come from a file that anybody may have made: only how the
    film came to be is taken from them."""
    trained = music.get("source_type", "").endswith(MADE_BY_MODEL)
    composite = "compositeWithTrainedAlgorithmicMedia" if trained else "composite"
    return {"generator": generator(), "source_type": SOURCE_TYPES + composite}
