"""A job as it happens: in two pages, over a reload, over breaks."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from playwright.async_api import Route

from tests.browser.conftest import World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def begun(world: World, files, **options) -> tuple[str, object]:
    job = await world.job(await world.put(files / "long.mp4", "uploads", "video/mp4"), **options)
    return job, await world.hand(job)


async def finish(world: World, files, hand, *titles: str) -> None:
    for index, title in enumerate(titles):
        await hand.result(
            index=index,
            audio_url=await world.put(files / f"track-{index + 1}.wav"),
            title=title,
            prompt=title,
            duration=8,
        )
    await hand.finish()


async def test_a_reload_in_the_middle_finds_everything(world: World, files):
    """What there is is there at once, what comes is live, and told to a screen reader; what is drawn is not drawn again."""
    job, hand = await begun(world, files, variants=2)
    page = await world.open(f"#job={job}")
    await hand.plan("Dawn", "Dusk")
    await page.get_by_role("heading", name="Dusk").wait_for()
    await hand.result(index=0, audio_url=await world.put(files / "track-1.wav"), title="Dawn", duration=8)
    await page.get_by_role("log").get_by_text("Track 1 of 2 is ready: Dawn").wait_for()
    await page.reload()
    await page.get_by_role("button", name="Play Dawn").wait_for()
    await page.wait_for_selector(".wave canvas")
    await page.evaluate("document.querySelector('.wave > div > div').seen = true")
    for _ in range(2):
        async with page.expect_response(f"**/api/v1/job/{job}"):
            pass
    assert await page.evaluate("document.querySelector('.wave > div > div').seen"), "drawn again"
    await finish(world, files, hand, "Dawn", "Dusk")
    await page.get_by_text("All tracks are ready").wait_for()
    assert await page.locator("article h2").all_inner_texts() == ["Dawn", "Dusk"]


@pytest.mark.long
async def test_two_browsers_agree(world: World, files):
    """Directions, tracks, the film with its music and what is deleted are the same in both."""
    job, hand = await begun(world, files, variants=2)
    both = [await world.open(f"#job={job}", storage_state={}) for _ in range(2)]
    await hand.plan("Dawn", "Dusk")
    for page in both:
        await page.get_by_role("heading", name="Dusk").wait_for()
    await finish(world, files, hand, "Dawn", "Dusk")
    for page in both:
        await page.get_by_text("All tracks are ready").wait_for()
        assert await page.locator("article h2").all_inner_texts() == ["Dawn", "Dusk"]
    await both[0].get_by_role("button", name="Delete film and music").click()
    await both[0].get_by_role("button", name="Delete", exact=True).click()
    await both[0].get_by_text("Film and music are deleted.").first.wait_for()
    await both[1].reload()
    await both[1].get_by_text("There is nothing at this link").wait_for()


async def test_a_lost_connection_comes_back(world: World, files):
    """What happened while it was away is there when it is back, and both are said."""
    job, hand = await begun(world, files, variants=2)
    page = await world.open(f"#job={job}", offline=False)
    await hand.plan("Dawn", "Dusk")
    await page.get_by_role("heading", name="Dusk").wait_for()
    await page.context.set_offline(True)
    await page.get_by_role("region").get_by_text("The connection is lost").wait_for()
    await page.get_by_role("log").get_by_text("The connection is lost").wait_for()
    await hand.result(index=0, audio_url=await world.put(files / "track-1.wav"), title="Dawn", duration=8)
    await page.context.set_offline(False)
    for news in ("The connection is back.", "Track 1 of 2 is ready: Dawn"):  # in the same moment
        await page.get_by_role("log").get_by_text(news).wait_for()
    await finish(world, files, hand, "Dawn", "Dusk")
    await page.get_by_text("All tracks are ready").wait_for()
    assert await page.get_by_role("button", name="Use this one").count() == 2


async def test_a_job_waits_and_comes_on_until_it_is_cancelled(world: World, files):
    """Its place in the queue, how far it is and the rest of the time are told, and that too many ask; one click ends it, and the
    page says so."""
    film = await world.put(files / "film.mp4", "uploads", "video/mp4")
    first, job = [await world.job(film) for _ in range(2)]
    page = await world.open(f"#job={job}")
    await page.get_by_text("Number 2 in the queue").wait_for()

    async def for_an_engine(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json={**await answer.json(), "waiting_for": "engine"})

    await page.route(f"**/api/v1/job/{job}", for_an_engine)
    await page.get_by_text("Waiting for the engine that you chose").wait_for()
    busy = {"status": 429, "code": "too_many_requests", "detail": "Ask again in a moment"}
    await page.route(f"**/api/v1/job/{job}", lambda route: route.fulfill(status=429, json=busy), times=1)
    await page.get_by_role("region").get_by_text("The connection is lost").wait_for()
    await page.unroute_all(behavior="wait")
    await world.hand(first)
    await page.get_by_text("Next in the queue").wait_for()
    hand = await world.hand(job)
    await hand.stage("composing")
    await page.get_by_text(re.compile(r"^Composing, 0 of 3 ready, about \d+ sec left$")).wait_for()
    await until(page, "document.querySelector('[role=progressbar]').ariaValueNow > 0")
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_text("Cancelled. Nothing more is made.").first.wait_for()
    assert await world.db.fetchval("select cancel_requested from public.jobs where id::text = $1", job)


async def test_takes_and_other_words(world: World, files):
    """Another take keeps the direction, other words go to the composer as they stand; both join the tracks and the link."""
    job, hand = await begun(world, files, variants=1, metadata={"seconds": "5"})
    page = await world.open(f"#job={job}")
    await hand.plan("Dawn")
    await finish(world, files, hand, "Dawn")
    await page.get_by_role("button", name="Another take").click()
    take = await world.hand()
    await take.plan("Dawn")
    await finish(world, files, take, "Dawn")
    await page.get_by_text("take 2").wait_for()
    await page.get_by_role("button", name="Edit words").first.click()
    await page.get_by_label("What the composer is told").fill("slow piano")
    await page.get_by_role("button", name="Compose it").click()
    await page.locator("article").nth(2).wait_for()
    plan = await world.db.fetchval(
        "select options -> 'plan' -> 0 ->> 'prompt' from public.jobs order by seq desc limit 1"
    )
    assert plan == "slow piano"
    assert await world.db.fetchval("select options ->> 'duration' from public.jobs order by seq desc limit 1") == "5"
    link = parse_qs(urlsplit(page.url).fragment)
    assert (link["job"], len(link["takes"][0].split(","))) == ([job], 2)
    other = await world.open(f"#{urlsplit(page.url).fragment}")
    await other.locator("article").nth(2).wait_for()


async def test_delete_takes_film_and_music(world: World, files):
    """Asked once more, then the API is told for each job, of a film that was made twice, too; the page forgets it and says so."""
    jobs = []
    for _ in range(4):
        job, hand = await begun(world, files, variants=1)
        await finish(world, files, hand, "Dawn")
        jobs.append(job)
    job, take, *merges = jobs
    page = await world.open(f"#job={job}&takes={take}&merge={','.join(merges)}")
    async with aiohttp.ClientSession() as session:
        await session.delete(f"{world.url}/api/v1/job/{take}?files=true")  # in another page, say
    told = []
    page.on("request", lambda request: request.method == "DELETE" and told.append(request.url))
    await page.get_by_role("button", name="Delete film and music").click()
    await page.get_by_role("button", name="Keep").click()
    await page.get_by_role("button", name="Delete film and music").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_text("Film and music are deleted.").first.wait_for()
    assert told == [f"{world.url}/api/v1/job/{one}?files=true" for one in (*merges, take, job)]
    assert await world.db.fetchval("select count(*) from public.jobs") == 0
    assert await page.get_by_text("Recent in this browser").count() == 0


async def test_recent_films_can_be_opened_and_forgotten(world: World, files):
    """A job of this browser stands on the first screen until it is forgotten."""
    job, hand = await begun(world, files, variants=1, metadata={"name": "holiday.mov"})
    await finish(world, files, hand, "Dawn")
    page = await world.open(f"#job={job}")
    await page.get_by_role("button", name="Play Dawn").wait_for()
    await page.get_by_role("button", name="Another film").click()
    await page.get_by_role("link", name="Open holiday.mov").click()
    await page.get_by_role("button", name="Play Dawn").wait_for()
    await page.get_by_role("button", name="Another film").click()
    await page.get_by_role("button", name="Forget holiday.mov").click()
    assert await page.get_by_role("link", name="Open holiday.mov").count() == 0


async def test_the_keyboard_plays_only_while_nothing_has_the_focus(world: World, files):
    """Space, arrows and numbers act on the page, not in a field, and not when they are switched off."""
    job, hand = await begun(world, files, variants=2)
    await hand.plan("Dawn", "Dusk")
    await finish(world, files, hand, "Dawn", "Dusk")
    page = await world.open(f"#job={job}")
    await page.get_by_role("button", name="Play Dusk").wait_for()
    await page.keyboard.press("2")
    await page.get_by_role("button", name="Pause Dusk").wait_for()
    place = page.get_by_role("slider", name="Place in the film")
    await place.fill("2.5")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("ArrowUp")
    await page.get_by_role("button", name="Pause Dawn").wait_for()
    assert float(await place.input_value()) >= 2.5  # another track, the same place
    await page.keyboard.press(" ")
    await page.get_by_role("button", name="Play Dawn").wait_for()
    before = float(await place.input_value())
    await page.keyboard.press("ArrowLeft")
    assert float(await place.input_value()) <= before
    await page.get_by_role("button", name="Edit words").first.click()
    await page.get_by_label("What the composer is told").press_sequentially(" 2")
    assert await page.get_by_role("button", name="Play Dawn").count() == 1
    await page.get_by_label(re.compile("^Keyboard")).uncheck()
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press(" ")
    assert await page.get_by_role("button", name="Pause", exact=True).count() == 0


async def test_no_place_is_chosen_in_a_film_that_has_not_come(world: World, files):
    """Until its length is known there is nowhere to go; then the place that is chosen is where it plays."""
    job, hand = await begun(world, files, variants=1)
    comes = asyncio.Event()

    async def hold(route):
        await comes.wait()
        await route.continue_()

    page = await world.open()
    await page.route("**/*.mp4", hold)
    await page.evaluate(f"location.hash = 'job={job}'")
    place = page.get_by_role("slider", name="Place in the film")
    await place.wait_for()
    assert await place.is_disabled()
    comes.set()
    await place.fill("2.5")
    assert await page.evaluate("document.querySelector('video').currentTime") >= 2.5
    await hand.finish()


async def test_a_link_starts_mute_where_sound_is_forbidden(world: World, files):
    """The film runs without sound until somebody turns it on."""
    job, hand = await begun(world, files, variants=1)
    page = await world.open(f"#job={job}", ready="video", moves=True)
    await until(page, "document.querySelector('video').currentTime > 0.1")
    assert await page.evaluate("document.querySelector('video').muted")
    await page.locator(".cut").first.wait_for(state="attached")  # each second another grey
    await page.get_by_role("button", name="Turn the sound on").click()
    await until(page, "window.analyser && Math.abs(loudest().hz - 110) < 10 && loudest().db > -60")
    await hand.finish()


async def test_the_link_is_copied_with_a_warning(world: World, files):
    """The address of the page, and a sentence about who hears it."""
    job, hand = await begun(world, files, variants=1)
    page = await world.open(f"#job={job}", permissions=["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy link").click()
    await page.get_by_text("Whoever has this link hears it.").wait_for()
    assert (await page.evaluate("navigator.clipboard.readText()")).endswith(f"#job={job}")
    await hand.finish()


async def test_a_card_praises_what_chance_does_not_give(world: World, files):
    """Cuts on beats are told where chance would not meet as many, and the best track is named; a lucky one is not praised."""
    fit = {"cuts": 5, "on_beat": 4, "chance": 0.24, "luck": 0.013, "curve": 0.1, "lra_lu": 4.2, "score": 0.56}
    job, hand = await begun(world, files, variants=2)
    page = await world.open(f"#job={job}")
    await hand.plan("Dawn", "Dusk")
    for index, (title, told) in enumerate({"Dawn": fit | {"luck": 0.6, "on_beat": 2, "score": 0}, "Dusk": fit}.items()):
        url = await world.put(files / f"track-{index + 1}.wav")
        await hand.result(index=index, audio_url=url, title=title, duration=8, bpm=72, key="D minor", fit=told)
    await hand.finish()
    await page.get_by_text("All tracks are ready").wait_for()
    fits = page.locator("article .fit")
    await fits.get_by_text("best fit").wait_for()
    assert await fits.all_inner_texts() == ["", "4 of 5 cuts on a beat · best fit"]
