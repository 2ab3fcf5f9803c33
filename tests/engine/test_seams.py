"""The seam meter hears what it should: hard cuts, level steps and blur, and nothing in one piece of music."""

import numpy as np
import pytest

from bench import seams

RATE, SECONDS = 22050, 30
AT = [6.0, 12.0, 18.0, 24.0]


def take(seed):
    """Wandering partials over noise: sound that changes everywhere a little."""
    dice = np.random.default_rng(seed)
    t = np.arange(RATE * SECONDS) / RATE
    wave = 0.02 * dice.standard_normal(len(t))
    for hz in dice.uniform(100, 4000, 12):
        slow = np.interp(t, np.arange(SECONDS + 1), dice.uniform(0.3, 1, SECONDS + 1))
        wave += 0.05 * slow * np.sin(2 * np.pi * hz * t + dice.uniform(0, 6))
    return wave


def spliced(change):
    """One take whose stretches between seams are changed in turn."""
    wave = take(1)
    for n, (start, end) in enumerate(zip([0, *AT], [*AT, SECONDS], strict=True)):
        part = slice(int(start * RATE), int(end * RATE))
        wave[part] = change(wave[part], n, part)
    return wave


def blurred(wave):
    """The highs are gone for half a second around each seam, as averaging of latents does."""
    spectrum = np.fft.rfft(wave)
    spectrum[np.fft.rfftfreq(len(wave), 1 / RATE) > 7000] = 0
    low, mask = np.fft.irfft(spectrum, len(wave)), np.zeros(len(wave))
    for at in AT:
        mask[int((at - 0.45) * RATE) : int((at + 0.45) * RATE)] = 1
    return wave * (1 - mask) + low * mask


def test_one_piece_of_music_has_no_seams():
    """Nothing is heard where nothing was cut."""
    assert seams.listen(take(1), RATE, AT).heard == []


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: spliced(lambda part, n, where: take(n + 2)[where]), "jumps"),
        (lambda: spliced(lambda part, n, where: part * (0.5 if n % 2 else 1.0)), "loudness"),
        (lambda: blurred(take(1)), "highs"),
    ],
    ids=["hard concatenation", "level steps", "blur"],
)
def test_bad_seams_are_heard(make, word):
    """Independent takes set side by side, level steps and blurred overlaps are each told."""
    assert any(word in sentence for sentence in seams.listen(make(), RATE, AT).heard)


def test_the_engines_seams_lie_in_the_overlaps():
    """A film of 30 s has its windows' meetings every 6.08 s, about 7 s in; one of 8 s has none."""
    found = seams.engine_seams(30.0)
    assert found[0] == pytest.approx((6.08 + 8.01) / 2, abs=0.05)
    assert np.diff(found)[:-1] == pytest.approx(6.08, abs=0.05)
    assert seams.engine_seams(8.0) == []
