"""From a film to an MP4 with music, with a real worker: the whole way, as a stranger goes it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import av
import pytest
from playwright.async_api import Request

from tests.browser.conftest import World, configured, until, worker
from tests.browser.films import FILM_S

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


async def test_from_a_film_to_an_mp4_with_music(world: World, files, tmp_path):
    """A film is picked, tracks appear and each is heard, one is used, the MP4 has the film's length and sound; no other host
    is asked, no cookie is set; a reload finds all of it."""
    async with worker(world, tmp_path):
        page = await world.open(moves=True)
        hosts: set[str] = set()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        await page.set_input_files("input[type=file]", files / "film.mp4")
        await page.get_by_label("What should the music be like?").fill("warm and light")
        await page.get_by_text("More", exact=True).click()
        await page.get_by_label("Tracks").fill("2")
        await page.get_by_label("Format").select_option("mp3")
        await page.get_by_role("button", name="Make music").click()
        uses = page.get_by_role("button", name="Use this one")
        await uses.nth(1).wait_for(timeout=60_000)
        assert re.match(r"\d+ bpm · [A-G]", await page.locator(".facts").first.inner_text())
        assert await page.locator(".wave canvas").count() > 0
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download", exact=False).first.click()
        assert (await coming.value).suggested_filename.endswith(".mp3")
        await page.get_by_label("Original sound").uncheck()
        for title in await page.locator("article h2").all_inner_texts():
            await page.get_by_role("slider", name="Place in the film").fill("0")
            await page.get_by_role("button", name=f"Play {title}", exact=True).click()
            await until(page, "window.analyser && loudest().db > -60")
        await uses.nth(1).click()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="Download MP4").click(timeout=60_000)
        await (await coming.value).save_as(tmp_path / "film.mp4")
        assert hosts - {""} == {urlsplit(world.url).netloc}
        assert await page.context.cookies() == []
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
    page = await (await world.alone()).new_page()
    requests: list[Request] = []
    page.on("requestfinished", lambda request: requests.append(request))  # noqa: PLW0108 (Playwright marks its listeners)
    await page.goto(world.url)
    await page.wait_for_load_state("networkidle")
    scripts = [(await one.sizes())["responseBodySize"] for one in requests if one.resource_type == "script"]
    assert scripts
    assert sum(scripts) <= 60_000


async def test_the_sample_takes_one_click(world: World):
    """The sample of the server goes the way of any other film; the job gets what is wished, the engine too, where several are there."""
    page = await world.open(answers={"/config.json": await configured(world, engines=["mmaudio", "sketch"])})
    await page.get_by_role("button", name="Try our sample").click()
    await page.get_by_text("sample.mp4 has arrived").first.wait_for()
    await page.get_by_role("button", name="Dark, slow and tense").click()
    await page.get_by_text("More", exact=True).click()
    await page.get_by_label("First seconds only").fill("5")
    await page.get_by_label("Seed").fill("7")
    await page.get_by_label("Keep the original sound").uncheck()
    await page.get_by_label("Engine").select_option("Sketch")
    refusal = {"status": 400, "code": "invalid_request", "detail": "Not today; come back tomorrow"}
    await page.route("**/api/v1/gen", lambda route: route.fulfill(status=400, json=refusal))
    async with page.expect_request("**/api/v1/gen") as asked:
        await page.get_by_role("button", name="Make music").click()
    wish = (await asked.value).post_data_json
    assert wish.pop("video_url").startswith(world.url)
    assert wish == {
        "user_request": "Dark, slow and tense", "variants": 3, "duration": 5, "seed": 7, "engine": "sketch", "format": "flac",
        "metadata": {"name": "sample.mp4", "original": "gone", "format": "flac", "seconds": "5"},
    }  # fmt: skip
    await page.get_by_role("alert").get_by_text("Not today; come back tomorrow").wait_for()


async def test_what_moves_stands_where_that_is_asked_for(world: World, files):
    """With reduced motion no film begins by itself; without a choice of engines none is offered."""
    page = await world.open()
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_text("film.mp4 has arrived").first.wait_for()
    assert await page.evaluate("document.querySelector('video').paused")
    assert await page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration") == "0s"
    await page.get_by_text("More", exact=True).click()
    assert await page.get_by_label("Engine").count() == 0
