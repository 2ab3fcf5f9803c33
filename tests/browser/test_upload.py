"""A film on its way into Storage: cut, resumed, tried again."""

from __future__ import annotations

import asyncio
import re
import secrets
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import CDPSession, Page, Request, Route

from tests.browser.conftest import World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
SIZE = 14 * 2**20
"""Three pieces."""
TEXTS = """
window.texts = [];
new MutationObserver(() => texts.push(document.querySelector(".upload .line")?.textContent))
  .observe(document.body, { subtree: true, childList: true, characterData: true });
"""


class Line:
    """The way to Storage: 8 MB a second, until it is cut; what went over it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._chromium: CDPSession | None = None
        self.created = 0
        self.offsets: list[int] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.created += request.method == "POST" and "/upload/resumable/" in request.url
        if request.method == "PATCH":
            self.offsets.append(int(request.headers["upload-offset"]))

    async def is_there(self, there: bool = True) -> None:
        self._chromium = self._chromium or await self._page.context.new_cdp_session(self._page)
        rate = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": 8e6}
        await self._chromium.send("Network.enable")
        await self._chromium.send("Network.emulateNetworkConditions", {"offline": not there, **rate})


@pytest_asyncio.fixture(loop_scope="session")
async def half(world: World, files, tmp_path) -> tuple[Page, Line, Path]:
    """A page that has sent 60 % of a film, over that line."""
    film = tmp_path / "large.mp4"
    film.write_bytes((files / "film.mp4").read_bytes().ljust(SIZE, secrets.token_bytes(1)))
    page = await world.open()
    await page.evaluate(TEXTS)
    line = Line(page)
    await line.is_there()
    await page.set_input_files("input[type=file]", film)
    await until(page, "document.querySelector('progress')?.value > 0.6")
    return page, line, film


async def arrived(world: World, page: Page, line: Line, film: Path) -> None:
    """All of it, and what had arrived was not sent again."""
    await page.get_by_text("large.mp4 has arrived").first.wait_for()
    assert line.created == 1
    assert line.offsets == sorted(line.offsets)
    assert line.offsets[0] == 6 * 2**20  # what came before went with the creation
    assert film.read_bytes() in [file.read_bytes() for file in world.storage.rglob("*") if file.stat().st_size == SIZE]


async def test_a_film_is_dropped(world: World, files, tmp_path):
    """On the zone: what is no film is refused in one sentence, a film plays and arrives, and another that cannot be played takes
    its place; the light of the zone goes out."""
    page = await world.open(moves=True)
    (tmp_path / "notes.txt").write_text("hello")
    chromium = await page.context.new_cdp_session(page)
    box = await page.locator(".zone").bounding_box()

    async def drag(file, *kinds: str) -> None:
        for kind in kinds:
            place = {"x": box["x"] + 40, "y": box["y"] + 40}
            data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
            await chromium.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})

    await drag(tmp_path / "notes.txt", "dragEnter", "dragOver")
    await page.wait_for_selector(".zone.over")
    await drag(tmp_path / "notes.txt", "drop")
    await page.get_by_text("notes.txt is not a film.").wait_for()
    await page.get_by_text(re.compile(r"Your film goes to 127\.0\.0\.1:\d+ and stays 30.days, or until")).wait_for()
    assert await page.locator(".zone.over").count() == 0
    await drag(files / "film.mp4", "dragEnter", "dragOver", "drop")
    await until(page, "document.querySelector('video').currentTime > 0")
    await page.get_by_text("film.mp4 has arrived").first.wait_for()
    await drag(files / "old.mp4", "dragEnter", "dragOver", "drop")
    await page.get_by_text("A copy that it can play comes with the music.").wait_for()
    await page.get_by_text("old.mp4 has arrived").first.wait_for()


async def test_an_upload_that_is_cut_goes_on_where_it_was(world: World, half):
    """At 60 % the connection breaks and comes back: speed and rest are told on the way, and that it goes on by itself."""
    page, line, film = half
    assert any(re.fullmatch(r".* of 15 MB, .* a second, .* left", text or "") for text in await page.evaluate("texts"))
    await line.is_there(False)
    await page.get_by_text("The connection is gone.").wait_for()
    await line.is_there()
    await arrived(world, page, line, film)


async def test_an_upload_goes_on_after_a_reload(world: World, half):
    """The same file, chosen again, is not begun anew."""
    page, line, film = half
    await page.reload()
    await page.set_input_files("input[type=file]", film)
    await arrived(world, page, line, film)


async def test_a_single_put_that_breaks_is_tried_again(world: World, files):
    """Where there are no pieces the whole film goes once more; the address of the job is the one that was signed."""
    page = await world.open()
    broken = []

    async def breaks(route: Route) -> None:
        if broken:
            await route.continue_()
        else:
            broken.append(route)
            await route.abort()

    await page.route("**/storage/v1/object/upload/**", breaks)
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_text("The connection is gone.").wait_for()
    await page.get_by_text("film.mp4 has arrived").first.wait_for()
    await page.get_by_role("button", name="Make music").click()
    await page.wait_for_url(re.compile("#job="))
    url = await world.db.fetchval("select video_url from public.jobs")
    assert url.startswith(f"{world.url}/storage/v1/object/public/uploads/")


async def test_music_that_is_asked_for_waits_for_the_film(world: World, files):
    """The button may be pressed while the film is on its way: the job is made when it has arrived."""
    page = await world.open()
    hold = asyncio.Event()

    async def slow(route: Route) -> None:
        await hold.wait()
        await route.continue_()

    await page.route("**/storage/v1/object/upload/**", slow)
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_role("button", name="Make music").click()
    await page.get_by_text("The music is made as soon as the film has arrived").wait_for()
    hold.set()
    await page.wait_for_url(re.compile("#job="))
