"""A film on its way into Storage: cut, resumed, tried again."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Route

from tests.browser.conftest import World

pytestmark = pytest.mark.asyncio(loop_scope="session")
CHUNK = 32 * 1024


class Tus:
    """A Storage that takes a film in pieces, and breaks the connection once after so much of it."""

    def __init__(self, world: World, size: int) -> None:
        self._endpoint = f"{world.url}/storage/v1/upload/resumable/sign"
        self._size = size
        self._breaks_at = size * 0.6
        self.got = b""
        self.created = 0
        self.broken = 0
        self.away_from: int | None = None

    async def sign(self, route: Route) -> None:
        answer = await route.fetch()
        signed = await answer.json()
        metadata = {"bucketName": "uploads", "objectName": signed["video_url"].rpartition("/")[2]}
        resumable = {
            "endpoint": self._endpoint,
            "headers": {"x-signature": "s"},
            "metadata": metadata,
            "chunk_size": CHUNK,
        }
        await route.fulfill(response=answer, json={**signed, "resumable": resumable})

    async def take(self, route: Route) -> None:
        request = route.request
        headers = {"Tus-Resumable": "1.0.0"}
        if self.away_from is not None and len(self.got) >= self.away_from:
            await route.abort()
            return
        assert request.headers["x-signature"] == "s"
        if request.method == "POST":
            self.created += 1
            headers["Location"] = f"{self._endpoint}/1"
        elif request.method == "PATCH":
            assert int(request.headers["upload-offset"]) == len(self.got)
        if request.method in {"POST", "PATCH"}:
            if len(self.got) >= self._breaks_at and not self.broken:
                self.broken += 1
                await route.abort()
                return
            self.got += request.post_data_buffer or b""
        headers |= {"Upload-Offset": str(len(self.got)), "Upload-Length": str(self._size)}
        await route.fulfill(
            status=201 if request.method == "POST" else 200 if request.method == "HEAD" else 204, headers=headers
        )


@pytest.fixture
def large(files, tmp_path):
    """A film of many pieces."""
    film = tmp_path / "large.mp4"
    film.write_bytes((files / "film.mp4").read_bytes() + bytes(range(256)) * 4000)
    return film


async def test_a_film_is_dropped(world: World, files, tmp_path):
    """On the zone: what is no film is refused in one sentence, a film plays and arrives; the light of the zone goes out."""
    page = await world.open()
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
    assert await page.locator(".zone.over").count() == 0
    await drag(files / "film.mp4", "dragEnter", "dragOver", "drop")
    await page.wait_for_function("() => document.querySelector('video').currentTime > 0")
    await page.get_by_text("film.mp4 has arrived").first.wait_for()


async def test_an_upload_that_is_cut_goes_on_where_it_was(world: World, large):
    """At 60 % the connection breaks: nothing is sent twice, and the film arrives whole, with speed and rest told on the way."""
    storage = Tus(world, large.stat().st_size)
    page = await world.open()
    await page.route("**/api/v1/upload", storage.sign)
    await page.route("**/storage/v1/upload/resumable/**", storage.take)
    await page.set_input_files("input[type=file]", large)
    await page.get_by_text("large.mp4 has arrived").first.wait_for()
    assert storage.got == large.read_bytes()
    assert (storage.created, storage.broken) == (1, 1)


async def test_an_upload_goes_on_after_a_reload(world: World, large):
    """The same file, chosen again, is not begun anew."""
    storage = Tus(world, large.stat().st_size)
    page = await world.open()
    await page.route("**/api/v1/upload", storage.sign)
    await page.route("**/storage/v1/upload/resumable/**", storage.take)
    storage.away_from = 200_000
    await page.set_input_files("input[type=file]", large)
    await page.get_by_text("The connection is gone.").wait_for()
    await page.reload()
    storage.away_from = None
    await page.set_input_files("input[type=file]", large)
    await page.get_by_text("large.mp4 has arrived").first.wait_for()
    assert storage.got == large.read_bytes()
    assert storage.created == 1


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
    held: list[Route] = []
    await page.route("**/storage/v1/object/upload/**", lambda route: held.append(route))  # noqa: PLW0108
    await page.set_input_files("input[type=file]", files / "film.mp4")
    await page.get_by_role("button", name="Make music").click()
    await page.get_by_text("The music is made as soon as the film has arrived").wait_for()
    await held[0].continue_()
    await page.wait_for_url(re.compile("#job="))
