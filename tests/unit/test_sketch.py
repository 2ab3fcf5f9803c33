"""The sketch engine makes music: in the key and tempo asked for, whole, alive, and with the picture."""

import itertools

import numpy as np
import pytest

from tests.unit.clips import clip, direction, track_of
from tests.unit.hearing import RATE, key_ranking, level_db, onsets, portrait, pulse
from worker.domain import TONICS, Options, Variant
from worker.engines.sketch import SketchEngine
from worker.errors import Cancelled, Rejected
from worker.pipeline.direct.vocabulary import GENRES

ENGINE = SketchEngine()


def track(wanted, film=None, seed=1, **options):
    variant = Variant(index=0, seed=seed, direction=wanted)
    (made,) = ENGINE.compose(film or clip(), [variant], Options(**options), lambda: False)
    return made


@pytest.mark.parametrize("genre", GENRES)
def test_every_genre_sounds_whole(genre):
    """A track is stereo, finite, exactly as long as the clip, never clipped, never silent before its end, and without offset."""
    wave = track_of(genre).samples
    assert wave.shape == (2, 12 * RATE)
    assert wave.dtype == np.float32
    assert np.isfinite(wave).all()
    assert 0.5 < np.abs(wave).max() <= 0.81
    assert abs(float(wave.mean())) < 1e-3
    assert np.abs(wave[0] - wave[1]).max() > 0.01
    levels = [level_db(wave, start, start + 0.5) for start in np.arange(0, 10.5, 0.25)]
    assert min(levels) > max(levels) - 30
    assert 8 < 20 * np.log10(np.abs(wave).max() / wave.std()) < 20


@pytest.mark.parametrize("genre", GENRES)
def test_every_genre_is_in_the_key_it_names(genre):
    """Of the 24 keys, the asked one is among the three that fit best what is heard: its neighbours share all notes but one."""
    made = track_of(genre)
    tonic, mode = made.key.split()
    assert (TONICS.index(tonic), mode) in key_ranking(made.samples)[:3]


@pytest.mark.parametrize("genre", [name for name, genre in GENRES.items() if genre.rhythm])
def test_the_pulse_is_the_tempo_asked_for(genre):
    """Onsets repeat with the beat, and with no other tempo, and the tempo bends by four percent at most."""
    made = track_of(genre)
    assert abs(made.bpm / (sum(GENRES[genre].tempo_bpm) / 2) - 1) <= 0.04
    beat, elsewhere = pulse(made.samples, made.bpm)
    assert beat > 0
    assert beat > 1.2 * elsewhere


def test_genres_do_not_sound_alike():
    """Any two genres differ by a decibel and more in the level or in the movement of some octave."""
    looks = {name: portrait(track_of(name).samples) for name in GENRES}
    for (one, first), (other, second) in itertools.combinations(looks.items(), 2):
        assert np.abs(first - second).max() > 1.0, (one, other)


def test_the_same_seed_gives_the_same_track_in_any_company():
    """A track depends on clip, direction and seed, and on nothing that is made beside it."""
    wanted = direction("lo-fi")
    alone = track(wanted, clip(5.0), seed=7).samples
    variants = [
        Variant(index=n, seed=seed, direction=direction(genre))
        for n, (seed, genre) in enumerate([(3, "rock"), (7, "lo-fi"), (8, "lo-fi")])
    ]
    _, again, other = ENGINE.compose(clip(5.0), variants, Options(), lambda: False)
    assert np.array_equal(alone, again.samples)
    assert again.index == 1
    assert not np.array_equal(alone, other.samples)


@pytest.mark.parametrize("genre", ["cinematic", "pop", "jazz", "synthwave"])
def test_the_music_turns_with_the_picture(genre):
    """Something begins within 60 ms of every cut, and a calm scene before a lively one makes the music rise."""
    cuts = (6.2, 12.9)
    wave = track(direction(genre, tempo_bpm=104), clip(20.0, cuts, motions=(0.1, 0.9, 0.2))).samples
    flux = onsets(wave)
    for cut in cuts:
        frame = round(cut * RATE / 512)
        around = flux[frame - 86 : frame + 86]
        assert flux[frame - 6 : frame + 5].max() > np.quantile(around, 0.93)
    assert level_db(wave, 6.3, 12.5) > level_db(wave, 1.0, 6.0) + 1.0


@pytest.mark.parametrize("duration_s", [0.2, 0.5, 1.0, 1.7, 2.9, 4.4, 7.03])
@pytest.mark.parametrize("genre", ["ambient", "house", "neoclassical"])
def test_short_clips_get_music_too(duration_s, genre):
    """From a fifth of a second on there is sound of exactly the right length."""
    wave = track(direction(genre), clip(duration_s, (duration_s / 2,))).samples
    assert wave.shape == (2, round(duration_s * RATE))
    assert np.isfinite(wave).all()
    assert np.abs(wave).max() > 0.3


def test_a_clip_that_is_no_clip_is_refused():
    """Under a fifth of a second there is nothing to set to music, and the message says so."""
    with pytest.raises(Rejected, match=r"0\.10 s long"):
        track(direction(), clip(0.1))


@pytest.mark.slow
def test_three_minutes_breathe():
    """A long piece keeps its length, has no holes, and its sections differ in level and density."""
    wave = track(direction("house", tempo_bpm=122), clip(180.0, (31.0, 64.0, 100.0, 141.0))).samples
    assert wave.shape == (2, 180 * RATE)
    levels = [level_db(wave, start, start + 4) for start in range(0, 176, 4)]
    assert min(levels) > max(levels) - 18
    assert max(levels) - min(levels) > 2
    flux = onsets(wave)[:15000].reshape(-1, 500).mean(axis=1)
    assert flux.std() / flux.mean() > 0.15


def test_the_end_is_at_home():
    """The last chord is struck before the end, holds the tonic, and dies away instead of being cut."""
    wave = track(direction("pop", key="A major", tempo_bpm=110), clip(14.0)).samples
    assert (9, "major") in key_ranking(wave[:, -2 * RATE :])[:3]
    assert level_db(wave, 13.5, 14.0) < level_db(wave, 8.0, 12.0) - 3


def test_a_cancelled_job_stops_between_two_notes():
    """Every few notes the engine asks whether it should go on, and then raises."""
    asked = itertools.count()
    variant = Variant(index=0, seed=1, direction=direction("pop"))
    with pytest.raises(Cancelled):
        list(ENGINE.compose(clip(20.0), [variant], Options(), lambda: next(asked) >= 20))
    assert next(asked) == 21


def test_unwanted_instruments_stay_silent():
    """A negative prompt that names drums takes them out."""
    wanted = direction("rock", tempo_bpm=120)
    loud = onsets(track(wanted, clip(8.0)).samples).mean()
    quiet = onsets(track(wanted, clip(8.0), negative_prompt="drums, vocals").samples).mean()
    assert quiet < 0.8 * loud


def test_the_engine_says_what_it_is():
    """Its name and model stand in every result."""
    assert (ENGINE.name, ENGINE.model) == ("sketch", "sketch-1")
