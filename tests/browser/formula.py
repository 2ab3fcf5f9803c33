"""The formula of docs/contract.md for a merge, and films and tracks to be mixed by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.browser.films import RATE, clicks, write_film, write_wav

FILM_S = 6
MUSIC_DB = -6
CLICK_S = 1.0
SPEECH = [{"start": 1.5, "end": 2.4}, {"start": 4.2, "end": 4.6}]
LAYOUTS = {"mono": 1, "stereo": 2, "5.1": 6}
LENGTHS_S = {"shorter": 4.0, "longer": 9.0}
HALF = 0.5**0.5
BLOCK = round(0.4 * RATE)


def tone(hz: float, seconds: float, level: float) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def originals(layout: str) -> np.ndarray:
    """A click, and another tone in each channel, (channels, samples); of 5.1 in the order left, right, centre, bass, back left, back right."""
    click = clicks(FILM_S, (CLICK_S,))
    return np.stack([tone(200 + 130 * i, FILM_S, 0.05 + 0.01 * i) + click for i in range(LAYOUTS[layout])])


def music(name: str) -> np.ndarray:
    return np.stack([tone(700, LENGTHS_S[name], 0.2), tone(900, LENGTHS_S[name], 0.3)])


def formula(original: np.ndarray, track: np.ndarray, speech: list[dict[str, float]]) -> np.ndarray:
    """original * 1 + music * gain * envelope * fade, (2, samples)."""
    count = FILM_S * RATE
    if len(original) == 6:
        left, right, centre, _, back_left, back_right = original
        original = np.stack([left + HALF * (centre + back_left), right + HALF * (centre + back_right)])
    elif len(original) == 1:
        original = np.repeat(original, 2, axis=0)
    under = np.zeros((2, count))
    under[:, : min(count, track.shape[1])] = track[:, :count]
    time = np.arange(count) / RATE
    corners = [(0.0, 0.0)]
    for span in speech:
        start, end = span["start"], span["end"]
        corners += [(start - 0.15, 0), (start, -10), (end + 0.25, -10), (end + 0.65, 0)]
    envelope = 10 ** (np.interp(time, *zip(*corners, strict=True)) / 20)
    fade = np.interp(time, [FILM_S - min(3, FILM_S / 3), FILM_S], [1, 0]) if track.shape[1] > count else 1
    return original[:, :count] + under * 10 ** (MUSIC_DB / 20) * envelope * fade


def blocks_db(samples: np.ndarray) -> np.ndarray:
    """The level of each 400 ms, (2, blocks)."""
    count = samples.shape[1] // BLOCK
    squares = samples[:, : count * BLOCK].reshape(2, count, BLOCK) ** 2
    return 10 * np.log10(squares.mean(axis=2) + 1e-12)


def alike(heard_db: np.ndarray, rendered_db: np.ndarray, unlimited: np.ndarray | None = None) -> None:
    """Within 1 dB wherever one of them is over -50 dBFS, and no limiter had to act: clicks of six channels add up to more than a file holds."""
    count = min(heard_db.shape[1], rendered_db.shape[1])
    assert count >= FILM_S / 0.4 - 3
    heard_db, rendered_db = heard_db[:, :count], rendered_db[:, :count]
    loud = np.maximum(heard_db, rendered_db) > -50
    if unlimited is not None:
        loud &= unlimited[:, :count]
    assert np.abs(heard_db - rendered_db)[loud].max() < 1, np.round(heard_db - rendered_db, 2)


def write_pieces(folder: Path) -> None:
    """Films with sound of each layout, tracks of each length."""
    for layout in LAYOUTS:
        write_film(folder / f"{layout}.mp4", originals(layout), layout, seconds=FILM_S)
    for name in LENGTHS_S:
        write_wav(folder / f"{name}.wav", music(name))
