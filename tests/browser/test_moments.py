"""Moments that are marked, plans before there is music, parts that are made anew, packs for editors."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.browser.conftest import World, on_both
from tests.browser.test_states import sound

pytestmark = pytest.mark.asyncio(loop_scope="session")
DIRECTIONS = [
    {"title": title, "prompt": f"{title}, slow piano", "description": "It begins alone", "genre": "ambient",
     "instruments": ["piano"], "tempo_bpm": 72, "key": "D minor", "mood": "calm"}
    for title in ("Dawn", "Dusk")
]  # fmt: skip


async def all_is_deleted(world: World, page: Page) -> None:
    """Plans, takes and packs go with the music: each of them reads the film, and would keep it."""
    await page.get_by_role("button", name="Delete film and music").click()
    await page.get_by_role("button", name="Delete", exact=True).click()
    await page.get_by_text("Film and music are deleted.").first.wait_for()
    assert await world.db.fetchval("select count(*) from public.jobs") == 0


@on_both
async def test_what_is_marked_in_the_film_is_asked_for(world: World, files, axe, viewport):
    """A moment stands in the list and in the film's line, goes there when it is pressed, and is asked for; so are loudness and loop."""
    page = await world.open(viewport=viewport)
    await page.set_input_files("input[type=file]", files / "long.mp4")
    await page.get_by_text("long.mp4 has arrived").first.wait_for()
    await page.get_by_text("More", exact=True).click()
    place = page.get_by_role("slider", name="Place in the film")
    await place.fill("7.3")
    await page.get_by_role("button", name="Mark this moment").click()
    await page.get_by_label("What happens at 0:07.3").select_option("Drop")
    await place.fill("12")
    await page.get_by_role("button", name="Other music from here").click()
    await page.get_by_label("What is heard from 0:12.0 on").fill("brass")
    await page.get_by_label("How lively it is from 0:12.0 on").select_option("Lively")
    await page.get_by_role("button", name="Go to 0:07.3").click()
    assert await place.input_value() == "7.3"
    assert await page.locator(".line .hit").count() == 2
    await page.get_by_label("Loudness").select_option("Podcasts, -16 LUFS")
    await page.get_by_label("Make it a loop").check()
    await sound(world, page, axe, "marked")
    async with page.expect_request("**/api/v1/gen") as asked:
        await page.get_by_role("button", name="Make music").click()
    wish = (await asked.value).post_data_json
    assert wish["hits"] == [{"at": 7.3, "kind": "drop"}]
    assert wish["segments"] == [{"start": 12, "prompt": "brass", "energy": 0.9}]
    assert (wish["loudness_lufs"], wish["loop"]) == (-16, True)
    await page.get_by_role("heading", name="Tracks").wait_for()


@on_both
async def test_a_plan_is_changed_before_there_is_music(world: World, files, axe, viewport):
    """What a brief found is told, its link brings it back, and gen gets the directions as they were changed, with its hits and seed."""
    page = await world.open(viewport=viewport)
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_text("film.mp4 has arrived").first.wait_for()
    await page.get_by_role("button", name="Plan first").click()
    await page.get_by_role("heading", name="What the music could be").wait_for()
    hand = await world.hand()
    await hand.stage("describing")
    await page.get_by_text("Watching the film").wait_for()
    scene = {"start": 0, "end": 6, "brightness": 0.5, "saturation": 0, "warmth": 0.5, "motion": 0.1}
    found = {"duration": 6, "scenes": [scene], "cuts": [], "speech": [{"start": 1, "end": 3}], "seed": 42}
    await hand.brief(found | {"hits": [{"at": 2, "kind": "drop"}], "directions": DIRECTIONS})
    await hand.finish()
    await page.get_by_text("Somebody speaks for 2 sec").wait_for()
    await page.reload()
    await page.get_by_label("What track 1 is to be").fill("Dawn, loud brass")
    await page.get_by_role("button", name="Leave Dusk out").click()
    assert await page.get_by_label("What happens at 0:02.0").input_value() == "drop"
    await sound(world, page, axe, "planned")
    async with page.expect_request("**/api/v1/gen") as asked:
        await page.get_by_role("button", name="Make music").click()
    wish = (await asked.value).post_data_json
    assert wish["plan"] == [DIRECTIONS[0] | {"prompt": "Dawn, loud brass"}]
    assert (wish["hits"], wish["seed"]) == ([{"at": 2, "kind": "drop"}], 42)
    await page.get_by_role("heading", name="Tracks").wait_for()
    await all_is_deleted(world, page)


async def test_a_plan_that_fails_says_why(world: World, files):
    """The sentence of the job stands where the plan would; it can be deleted as music can."""
    page = await world.open()
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_text("film.mp4 has arrived").first.wait_for()
    await page.get_by_role("button", name="Plan first").click()
    hand = await world.hand()
    await hand.fail("not_a_video", "That is no film")
    await page.get_by_text("The film could not be planned: That is no film").wait_for()
    await all_is_deleted(world, page)


async def test_a_part_is_made_anew_and_a_track_is_packed(world: World, files, axe):
    """A drag over the wave form is a part, a click a place; the part's take says what of it is new, and the pack is a download."""
    job = await world.job(await world.put(files / "film.mp4", "uploads", "video/mp4"), variants=1)
    hand = await world.hand(job)
    url = await world.put(files / "track-1.wav")
    track = {"audio_url": url, "title": "Dawn", "prompt": "Dawn", "duration": 6, "engine": "sketch", "gain_db": 1.5}
    track["seed"] = 7
    await hand.plan("Dawn")
    await hand.result(index=0, **track)
    await hand.finish()
    page = await world.open(f"#job={job}", ready=".wave canvas")
    box = await page.locator("article .wave .wave").bounding_box()
    await page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 20)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 2 / 3, box["y"] + 20, steps=4)
    await page.mouse.up()
    assert abs(float(await page.get_by_label("From second").input_value()) - 2) <= 0.1
    assert abs(float(await page.get_by_label("To second").input_value()) - 4) <= 0.1
    await page.get_by_label("From second").fill("2.5")
    await sound(world, page, axe, "a part")
    async with page.expect_request("**/again") as asked:
        await page.get_by_role("button", name="Make this part anew").click()
    wish = (await asked.value).post_data_json
    assert (wish["variant"], wish["start"]) == (0, 2.5)
    hand = await world.hand()
    await hand.plan("Dawn")
    await hand.result(index=0, **track | {"mended": {"start_s": 2, "end_s": 4}})
    await hand.finish()
    await page.get_by_text("new from 0:02.0 to 0:04.0").wait_for()
    await page.get_by_role("button", name="Pack Dawn for editors").first.click()
    hand = await world.hand()
    await page.wait_for_timeout(600)  # what moves sooner after a click is excused
    await hand.result(index=0, pack_url=url)
    await hand.finish()
    await page.get_by_role("link", name="Download pack").wait_for()
    await all_is_deleted(world, page)
