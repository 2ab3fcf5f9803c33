"""Titles: an adjective of the mood and something the picture might show."""

from collections.abc import Collection

import numpy as np

from worker.pipeline.direct.looks import Look
from worker.pipeline.direct.vocabulary import MOODS, NOUNS


def title_for(mood: str, look: Look, taken: Collection[str], rng: np.random.Generator) -> str:
    """A title nobody has yet, such as "Faded Harbour Lights"."""
    light = "warm" if look.warmth > 0.55 else "cold" if look.warmth < 0.4 else "light"
    nouns = NOUNS["night" if look.brightness < 0.35 else light]
    if look.energy > 0.5:
        nouns += NOUNS["busy"]
    choices = [f"{first} {noun}" for first in MOODS[mood].adjectives for noun in nouns if not noun.startswith(first)]
    used = {word for title in taken for word in title.split()}
    fresh = [title for title in choices if not used & set(title.split())]
    fresh = fresh or [title for title in choices if title not in taken]
    return fresh[int(rng.integers(len(fresh)))]
