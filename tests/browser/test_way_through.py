"""From a film to an MP4 with music, with a real worker: the whole way, as a stranger goes it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import av
import pytest
from playwright.async_api import Request

from tests.browser.conftest import World, worker
from tests.browser.films import FILM_S

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value, (window.which ??= []).push([entry.value, ...entry.sources.map(({ node, previousRect: a, currentRect: b }) => `${(node?.outerHTML ?? node?.textContent ?? "").slice(0, 80)} ${a.x},${a.y},${a.height} ${b.x},${b.y},${b.height}`)]);
}).observe({ type: "layout-shift", buffered: true });
"""


async def test_from_a_film_to_an_mp4_with_music(world: World, files, tmp_path):
    """A film is picked, tracks appear and each is heard, one is used, the MP4 has the film's length and sound; nothing jumps,
    no other host is asked, no cookie is set; a reload finds all of it."""
    async with worker(world, tmp_path):
        page = await world.open()
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        await page.evaluate(SHIFTS)
        await page.set_input_files("input[type=file]", files / "film.mp4")
        await page.get_by_label("What should the music be like?").fill("warm and light")
        await page.get_by_text("More", exact=True).click()
        await page.get_by_label("Tracks").fill("2")
        await page.get_by_role("button", name="Make music").click()
        uses = page.get_by_role("button", name="Use this one")
        await uses.nth(1).wait_for(timeout=60_000)
        await page.get_by_label("Original sound").uncheck()
        for title in await page.locator("article h2").all_inner_texts():
            await page.get_by_role("slider", name="Place in the film").fill("0")
            await page.get_by_role("button", name=f"Play {title}", exact=True).click()
            await page.wait_for_function("() => window.analyser && loudest().db > -60")
        await uses.nth(1).click()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download MP4").click(timeout=60_000)
        await (await coming.value).save_as(tmp_path / "film.mp4")
        assert hosts - {""} == {urlsplit(world.url).netloc}
        assert await page.context.cookies() == []
        assert await page.evaluate("shifts") == 0, await page.evaluate("which")
        await page.reload()
        await page.get_by_role("link", name="Download MP4").wait_for()
        assert await uses.count() == 2
    with av.open(tmp_path / "film.mp4") as made:
        assert abs(made.duration / 1e6 - FILM_S) < 0.1
        assert [stream.type for stream in made.streams] == ["video", "audio"]
    (made,) = [row["options"] for row in await world.db.fetch("select options from public.jobs where kind = 'merge'")]
    assert '"replace"' in made


async def test_the_first_paint_is_light(world: World):
    """Until somebody chooses a film, at most 60 kB of script come, compressed."""
    context = await world.browser.new_context()
    world.contexts.append(context)
    page = await context.new_page()
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))  # noqa: PLW0108 (Playwright marks its listeners)
    await page.goto(world.url)
    await page.wait_for_load_state("networkidle")
    scripts = [(await one.sizes())["responseBodySize"] for one in requests if one.resource_type == "script"]
    assert scripts
    assert sum(scripts) <= 60_000


async def test_the_sample_takes_one_click(world: World):
    """The sample of the server goes the way of any other film."""
    page = await world.open()
    await page.get_by_role("button", name="Try our sample").click()
    await page.get_by_text("sample.mp4 has arrived").first.wait_for()
    await page.get_by_role("button", name="Make music").click()
    await page.wait_for_url("**/#job=*")
    async with asyncio.timeout(10):
        assert await world.db.fetchval("select count(*) from public.jobs where kind = 'generate'") == 1
