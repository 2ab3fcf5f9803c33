"""Titles: an adjective of the mood and something the picture might show."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from worker.pipeline.direct.looks import Look
from worker.pipeline.direct.vocabulary import MOODS, Words

_NIGHT: Words = (
    "Harbour Lights",
    "Afterglow",
    "Midnight Road",
    "Lanterns",
    "Empty Streets",
    "Signal",
    "Undertow",
    "Cellar Door",
)
_WARM: Words = ("Orchard", "Late Sun", "Copper Fields", "Homeward", "Embers", "Long Shadows", "Market Day", "Clay")
_COLD: Words = (
    "Tideline",
    "First Frost",
    "Glass",
    "North Window",
    "Distant Water",
    "Slate",
    "Thin Air",
    "Winter Garden",
)
_LIGHT: Words = (
    "Horizon",
    "Open Window",
    "Meadow",
    "Skyline",
    "White Sails",
    "Morning Run",
    "Paper Planes",
    "Clearing",
)
_BUSY: Words = ("Crossing", "Carousel", "Crowd", "Rush Hour", "Overpass", "Turnstile", "Traffic", "Downhill")


def title_for(mood: str, look: Look, taken: Collection[str], rng: np.random.Generator) -> str:
    """A title nobody has yet, such as "Faded Harbour Lights"."""
    nouns = (
        _NIGHT if look.brightness < 0.35 else _WARM if look.warmth > 0.55 else _COLD if look.warmth < 0.4 else _LIGHT
    )
    if look.energy > 0.5:
        nouns += _BUSY
    choices = [f"{first} {noun}" for first in MOODS[mood].adjectives for noun in nouns if not noun.startswith(first)]
    used = {word for title in taken for word in title.split()}
    fresh = [title for title in choices if not used & set(title.split())]
    fresh = fresh or [title for title in choices if title not in taken]
    return fresh[int(rng.integers(len(fresh)))]
