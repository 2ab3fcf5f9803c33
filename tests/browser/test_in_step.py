"""Film and track in step, measured on the audio graph."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from playwright.async_api import Page

from tests.browser.conftest import World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def apart(page: Page) -> np.ndarray:
    """How far the track's clicks are behind the film's, in seconds, in the next seconds."""
    await page.evaluate("listen()")
    await until(page, "heard.every((clicks) => clicks.length > 4)")
    left, right = (np.array(clicks) for clicks in await page.evaluate("heard"))
    return np.array([right[np.argmin(np.abs(right - click))] - click for click in left[:4]])


async def in_step(page: Page) -> bool:
    """A busy machine makes a film stutter, and the track catches up: it is looked for again."""
    for _ in range(5):
        if np.abs(await apart(page)).max() < 0.04:
            return True
    return False


DECODED = """
const decode = BaseAudioContext.prototype.decodeAudioData;
BaseAudioContext.prototype.decodeAudioData = async function (...given) {
  const made = await decode.apply(this, given);
  buffers.push(new WeakRef(made));
  return made;
};
window.buffers = [];
"""


async def test_at_most_two_tracks_are_decoded(world: World, files):
    """The one that sounds and the one before it, which sounds again without another decoding; the memory of a third is free."""
    job = await world.job(await world.put(files / "long.mp4", "uploads", "video/mp4"), variants=3)
    hand = await world.hand(job)
    for index in range(3):
        url = await world.put(files / f"track-{index + 1}.wav")
        await hand.result(index=index, audio_url=url, title=f"T{index + 1}", duration=20)
    await hand.finish()
    page = await world.open(f"#job={job}", ready="article")
    await page.evaluate(DECODED)
    chromium = await page.context.new_cdp_session(page)
    for number, decoded in ((1, 1), (2, 2), (3, 3), (2, 3), (3, 3), (1, 4)):
        await page.get_by_role("button", name=f"Play T{number}").click()
        await until(page, f"window.analyser && Math.abs(loudest().hz - {220 * number}) < 20")
        assert await page.evaluate("buffers.length") == decoded
        if decoded == 2:
            continue
        async with asyncio.timeout(20):
            while await page.evaluate("buffers.filter((one) => one.deref()).length") > 2:
                await chromium.send("HeapProfiler.collectGarbage")


async def test_film_and_track_are_in_step(world: World, files):
    """A click of the film and the same click of the track are within 40 ms: from the start, after a seek, after a pause, and
    when another track takes over, whose clicks an encoder has made."""
    job = await world.job(await world.put(files / "clicks.mp4", "uploads", "video/mp4"), variants=2)
    hand = await world.hand(job)
    for index, (track, kind) in enumerate((("clicks.wav", "audio/wav"), ("clicks.m4a", "audio/mp4"))):
        await hand.result(index=index, audio_url=await world.put(files / track, kind=kind), title=kind, duration=30)
    await hand.finish()
    page = await world.open(f"#job={job}", ready="article")
    await page.get_by_role("button", name="Play audio/wav").click()
    await page.get_by_role("slider", name="Music").fill("0")
    await page.evaluate("listen()")
    await until(page, "heard[1].length > 0")  # the track has been loaded
    assert await in_step(page)
    place = page.get_by_role("slider", name="Place in the film")
    await place.fill("7.2")
    assert await in_step(page)
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("button", name="Play", exact=True).click()
    assert await in_step(page)
    before = float(await place.input_value())
    await page.get_by_role("button", name="Play audio/mp4").click()
    await page.get_by_role("button", name="Pause audio/mp4").wait_for()
    assert await in_step(page)
    assert float(await place.input_value()) > before
