"""The page of `bench.listen`: one HTML file with everything in it."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import av
import numpy as np
import numpy.typing as npt

from worker.domain import Clip, Direction, Fit, Hit, Recording, Samples

ROWS, COLUMNS = 144, 960
LOWEST_HZ, HIGHEST_HZ, RANGE_DB = 40, 16_000, 80
COLOURS = ((0, 10, 10, 26), (0.35, 52, 31, 105), (0.6, 168, 50, 107), (0.8, 240, 120, 60), (1, 252, 240, 180))
"""From silence to the loudest: place, red, green, blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """The music of one engine for one film."""

    engine: str
    direction: Direction
    hits: tuple[Hit, ...]
    recording: Recording
    samples: Samples  # (channels, n)
    rate: int
    fit: Fit
    played: bytes
    """M4A."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    title: str
    clip: Clip
    takes: tuple[Take, ...]


def page(films: Sequence[Film]) -> str:
    return HEAD + "\n".join(map(_film, films)) + TAIL


def _film(film: Film) -> str:
    clip = film.clip
    between = itertools.pairwise(still.time_s for still in clip.stills)
    starts_s = [
        0.0,
        *(max((cut_s for cut_s in clip.cuts_s if a_s < cut_s <= b_s), default=b_s) for a_s, b_s in between),
    ]
    ends_s = [*starts_s[1:], clip.duration_s]
    stills = "".join(
        f'<img src="{_inline("image/jpeg", still.jpeg)}" alt="" style="{_place(start_s, end_s, clip.duration_s)}">'
        for still, start_s, end_s in zip(clip.stills, starts_s, ends_s, strict=True)
    )
    takes = "".join(_take(film, take) for take in film.takes)
    cuts = f"{len(clip.cuts_s)} cut{'s' * (len(clip.cuts_s) != 1)}"
    return (
        f"<section><h2>{escape(film.title)} <small>{clip.duration_s:.1f} s, {cuts}</small></h2>"
        f'<div class="stills">{stills}{_lines("cut", clip.cuts_s, clip.duration_s)}</div>{takes}</section>'
    )


def _take(film: Film, take: Take) -> str:
    made = take.recording
    fit = take.fit
    figures = {
        "cuts on a beat": _cuts(fit),
        "moments": _hits(take),
        "follows the picture": _figure(fit.curve, ".2f", f"(chance {fit.curve_chance or 0:.2f})"),
        "loudness": _figure(made.loudness_lufs, ".1f", "LUFS"),
        "range": _figure(fit.lra_lu, ".1f", "LU"),
        "true peak": _figure(made.true_peak_db, ".1f", "dBTP"),
        "tempo": _figure(fit.bpm, ".1f", "bpm"),
        "key": fit.key or "none heard",
    }
    told = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
    picture = _inline("image/png", png(spectrogram(take.samples, take.rate)))
    length_s = film.clip.duration_s
    return (
        f"<article><h3>{escape(take.engine)} <small>{escape(take.direction.title)}: {escape(take.direction.prompt)}</small></h3>"
        f'<div class="sound" data-length="{length_s}"><img src="{picture}" alt="spectrogram">'
        f'{_lines("cut", film.clip.cuts_s, length_s)}{_lines("hit", [hit.at_s for hit in take.hits], length_s)}{_lines("beat", fit.beats_s, length_s)}<i class="head"></i></div>'
        f'<audio controls preload="metadata" src="{_inline("audio/mp4", take.played)}"></audio><dl>{told}</dl></article>'
    )


def _cuts(fit: Fit) -> str:
    if not fit.cuts or fit.chance is None:
        return "no beat" if fit.cuts else "no cuts"
    return f"{fit.on_beat} of {fit.cuts}, by chance {fit.cuts * fit.chance:.1f}"


def _hits(take: Take) -> str:
    late = zip(take.hits, take.fit.hit_errors_s, strict=True)
    told = (f"{hit.kind} " + ("not heard" if late_s is None else f"{1000 * late_s:+.0f} ms") for hit, late_s in late)
    return ", ".join(told) or "none"


def _figure(value: float | None, form: str, unit: str) -> str:
    return "none" if value is None else f"{value:{form}} {unit}"


def _place(start_s: float, end_s: float, length_s: float) -> str:
    return f"left:{100 * start_s / length_s:.2f}%;width:{100 * (end_s - start_s) / length_s + 0.2:.2f}%"


def _lines(kind: str, times_s: Sequence[float], length_s: float) -> str:
    return "".join(f'<i class="{kind}" style="left:{100 * at_s / length_s:.3f}%"></i>' for at_s in times_s)


def _inline(content_type: str, data: bytes) -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def spectrogram(samples: Samples, rate: int) -> npt.NDArray[np.uint8]:
    """(ROWS, COLUMNS, 3), RGB: low tones below, a row a step of pitch; 80 dB from the loudest down."""
    size = 4096
    mono = np.pad(samples.mean(axis=0), size // 2)
    starts = np.linspace(0, len(mono) - size, COLUMNS).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[starts] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2  # (columns, bins)
    hz = np.fft.rfftfreq(size, 1 / rate)
    rows_hz = np.geomspace(min(HIGHEST_HZ, 0.48 * rate), LOWEST_HZ, ROWS)
    level = np.stack([np.interp(rows_hz, hz, column) for column in power], axis=1)  # (rows, columns)
    level_db = 10 * np.log10(np.maximum(level / max(float(level.max()), 1e-12), 1e-12))
    place, *colours = zip(*COLOURS, strict=True)
    bright = np.clip(1 + level_db / RANGE_DB, 0, 1)
    return np.stack([np.interp(bright, place, colour) for colour in colours], axis=2).round().astype(np.uint8)


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    encoder = av.CodecContext.create("png", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width, _ = picture.shape
    encoder.pix_fmt, encoder.framerate = "rgb24", 25
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))


HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Films and their music</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1500px; padding: 1.5rem; background: #f6f5f2; color: #1f1d2b }
h1, h2, h3 { margin: 0; line-height: 1.25 } h1 { font-size: 1.5rem } h2 { font-size: 1.1rem } h3 { font-size: .95rem; margin-top: .9rem }
small { font-weight: 400; color: #6a6678 } p { color: #6a6678; max-width: 70ch }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); gap: 1.25rem; align-items: start }
section { background: #fff; border-radius: 10px; padding: 1rem; box-shadow: 0 1px 4px #0002; min-width: 0 }
.stills, .sound { position: relative; overflow: hidden; border-radius: 5px; background: #111 }
.stills { height: 68px; margin-top: .6rem } .stills img { position: absolute; height: 100%; object-fit: cover }
.sound { margin-top: .35rem; padding-bottom: 11px; cursor: pointer } .sound img { display: block; width: 100%; height: 132px }
i { position: absolute; pointer-events: none }
.cut { top: 0; bottom: 0; width: 0; border-left: 1px dashed #fffc } .hit { top: 0; height: 9px; width: 9px; margin-left: -4px; border-radius: 50%; background: #ffc46b } .beat { bottom: 2px; height: 7px; width: 2px; background: #7fdcff }
.head { top: 0; bottom: 0; left: 0; width: 2px; background: #fff; opacity: 0 } .head.on { opacity: 1 }
audio { width: 100%; height: 36px; margin-top: .5rem }
dl { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .5rem 0 0 } dt { color: #6a6678; font-size: .8rem }
dd { margin: 0; font-variant-numeric: tabular-nums }
@media (prefers-color-scheme: dark) { body { background: #16151c; color: #e9e7f0 } section { background: #211f2a } small, p, dt { color: #a09bb0 } }
</style>
<h1>Films and their music</h1>
<p>Dashed lines are cuts of the film, dots are moments that the music is to meet, the ticks below are beats as they are heard on the sound. A click on a spectrogram
(40 Hz to 16 kHz, 80 dB) plays from there; another engine's track goes on where the one before was.</p>
<main>
"""
TAIL = """
</main>
<script>
let last
for (const sound of document.querySelectorAll('.sound')) {
  const player = sound.parentElement.querySelector('audio'), head = sound.querySelector('.head'), length = +sound.dataset.length
  const draw = () => {
    head.style.left = `${100 * player.currentTime / length}%`
    if (!player.paused) requestAnimationFrame(draw)
  }
  player.onplay = () => {
    if (last && last !== player) {
      last.pause()
      if (last.closest('section') === player.closest('section') && !player.currentTime) player.currentTime = last.currentTime
    }
    last = player
    head.classList.add('on')
    draw()
  }
  player.onseeked = draw
  sound.onclick = event => {
    const box = sound.getBoundingClientRect()
    player.currentTime = length * (event.clientX - box.left) / box.width
    player.play()
  }
}
</script>
</html>
"""
