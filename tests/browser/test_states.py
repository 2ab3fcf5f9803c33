"""Every state of the page, on a desktop and on a phone: what stands there, and that axe-core finds nothing."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page

from tests.browser.conftest import TABLET, World, on_both, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
LICENCES = (
    {"name": "CC-BY-NC-4.0", "commercial": False, "url": "https://creativecommons.org/licenses/by-nc/4.0/"},
    {"name": "MIT", "commercial": True, "url": "https://opensource.org/license/mit"},
)


async def sound(world: World, page: Page, axe: str, state: str) -> None:
    """Axe finds nothing, in either light; nothing is wider than the page; whatever can be pressed has 44 pixels each way."""
    ours = list(world.complaints)
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(axe)
    for scheme, rules in (("light", "{ runOnly: 'color-contrast' }"), ("dark", "{}")):
        await page.emulate_media(color_scheme=scheme)
        found = await page.evaluate(f"axe.run({rules}).then({VIOLATIONS})")
        assert found == [], (state, scheme)
    world.complaints[:] = ours  # axe measures with inline styles
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state
    assert await page.evaluate(SMALL) == [], state


VIOLATIONS = "({ violations }) => violations.map(({ id, nodes }) => [id, nodes[0].html])"
SMALL = """
() => [...document.querySelectorAll("button, a, label.check, label.button, summary, select, input:not([type=checkbox], [type=file])")]
  .filter((one) => one.checkVisibility())
  .filter((one) => Math.min(one.getBoundingClientRect().height, one.getBoundingClientRect().width) < 44)
  .map((one) => one.outerHTML)
"""


@on_both
async def test_every_state_is_sound(world: World, files, axe, viewport):
    """Empty, uploading, waiting, directions, two of three tracks, each with what its licence allows, a mix under speech, done; on a tablet, too."""
    page = await world.open(viewport=viewport)
    await sound(world, page, axe, "empty")
    hold = asyncio.Event()

    async def slow(route):
        await hold.wait()
        await route.continue_()

    await page.route("**/storage/v1/object/upload/**", slow)
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_text("Uploading film.mp4").first.wait_for()
    await page.get_by_text("More", exact=True).click()
    await sound(world, page, axe, "uploading")
    hold.set()
    await page.get_by_role("button", name="Make music").click()
    await page.wait_for_selector("article")
    await page.get_by_text("Next in the queue").wait_for()
    await sound(world, page, axe, "waiting")
    hand = await world.hand()
    await hand.stage("composing")
    await hand.plan("Tender Clearing", "Pale Skyline", "Easy Run")
    await page.get_by_role("heading", name="Easy Run").wait_for()
    await sound(world, page, axe, "directions")
    for index in (0, 1):
        await hand.result(
            index=index,
            audio_url=await world.put(files / f"track-{index + 1}.wav"),
            title="A",
            duration=8,
            licence=LICENCES[index],
        )
    await page.get_by_role("button", name="Use this one").nth(1).wait_for()
    said = ["Commercial use: no (CC-BY-NC-4.0)", "Commercial use: yes (MIT)"]
    assert await page.get_by_text("Commercial use").all_inner_texts() == said
    await sound(world, page, axe, "two of three")
    await hand.result(index=2, audio_url=await world.put(files / "track-3.wav"), title="C", duration=8)
    await hand.finish()
    await page.get_by_text("All tracks are ready").wait_for()
    await page.get_by_role("button", name="Play C").click()
    await page.get_by_role("button", name="Edit words").first.click()
    await page.get_by_role("button", name="Use this one").nth(2).click()
    await page.get_by_text("Putting “C” under your film").wait_for()
    merging = await world.hand()
    await merging.result(index=0, video_url=await world.put(files / "film.mp4", "uploads", "video/mp4"))
    await merging.finish()
    await page.get_by_role("link", name="Download MP4").wait_for()
    await sound(world, page, axe, "done")
    await page.set_viewport_size(TABLET)
    await sound(world, page, axe, "done, on a tablet")
    await page.evaluate("shifts.length = 0")  # the tablet's


async def test_a_job_that_fails_says_what_to_do(world: World, files, axe):
    """The job's own words, what to do, and the way on: the same once more, or another film."""
    job = await world.job(await world.put(files / "film.mp4", "uploads", "video/mp4"))
    page = await world.open(f"#job={job}")
    hand = await world.hand(job)
    await hand.fail("not_a_video", "The file is not a video but text; send a video file")
    await page.get_by_role("alert").get_by_text("not a video but text").wait_for()
    await page.get_by_text("Choose a file that is a film.").wait_for()
    await sound(world, page, axe, "failed")
    await page.get_by_role("button", name="Try once more").click()
    await page.wait_for_url(lambda url: url.endswith(f"&beside={job}"))  # which reads the film, too, and goes with it
    await page.get_by_role("button", name="Another film").first.click()
    await page.get_by_text("Drop a film here").wait_for()
    await page.get_by_role("link", name="Open A film").first.wait_for()


async def test_a_link_that_leads_nowhere_says_so(world: World, axe):
    """Also a film that is no film, and a link that is none, each in one sentence."""
    page = await world.open("#job=b0de608f-7fa1-4bc6-a0f9-3b0fd0b83373", ready="[role=alert]")
    await page.get_by_text("There is nothing at this link").wait_for()
    await sound(world, page, axe, "missing")
    await page.get_by_role("button", name="Another film").first.click()
    await page.set_input_files("input[type=file]", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"hello"})
    await page.get_by_text("notes.txt is not a film.").wait_for()
    await page.get_by_label("or paste a link to one").fill("ftp://example.com/a.mp4")
    await page.get_by_role("button", name="Open").click()
    await page.get_by_text("That is no link.").wait_for()
    await sound(world, page, axe, "complaint")


@pytest.mark.parametrize(
    ("name", "why"), [(None, "This film lies elsewhere"), ("old.mp4", "Your browser cannot play this kind of film.")]
)
async def test_a_film_that_cannot_be_shown_plays_over_its_line_until_there_is_a_copy(
    world: World, files, axe, name, why
):
    """One sentence says why; the tracks play; the copy takes the place of the line when the job has one."""
    film = await world.put(files / name, "uploads", "video/mp4") if name else "https://example.com/holiday.mp4"
    job = await world.job(film, variants=1)
    page = await world.open(f"#job={job}")
    hand = await world.hand(job)
    await hand.plan("Alone")
    await hand.result(index=0, audio_url=await world.put(files / "track-1.wav"), title="Alone", duration=20)
    await page.get_by_text(why).wait_for()
    await page.get_by_role("button", name="Play Alone").click()
    await until(page, "window.analyser && Math.abs(loudest().hz - 220) < 20 && loudest().db > -60")
    await until(page, "document.querySelector('input[aria-label=\"Place in the film\"]').value > 0.5")
    await sound(world, page, axe, why)
    await hand.preview(await world.put(files / "film.mp4", "uploads", "video/mp4"))
    await hand.finish()
    await page.wait_for_selector("video")
