"""The built page in Debian's chromium, over a real database, gateway and API; the worker is led by the hand, or a real one."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Route, async_playwright

from rhythmai.local.postgres import free_port
from supabase_standin.gateway import Gateway, GatewaySettings
from supabase_standin.realtime.limits import Limits
from tests.browser.films import as_m4a, click_film, click_track, film, wav
from tests.contract.hand import Hand
from tests.contract.hosts import ROOT, Host
from tests.contract.keys import SECRET, SERVICE_KEY
from tests.warm.start import warm

PUBLISHABLE_KEY = "sb_publishable_0123456789abcdef"
TAP = ROOT / "tests" / "browser" / "tap.js"
AXE = ROOT / "studio" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP = {"width": 1280, "height": 800}
LONG_S = 20
PHONE = {"width": 360, "height": 740}
TABLET = {"width": 768, "height": 1024}
on_both = pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])


@pytest.fixture(scope="session")
def built() -> None:
    """The page, built from the sources of today."""
    done = subprocess.run([sys.executable, ROOT / "studio" / "build.py"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """A folder of films and tracks."""
    folder = tmp_path_factory.mktemp("films")
    click_film(folder / "clicks.mp4")
    click_track(folder / "clicks.wav")
    as_m4a(folder / "clicks.wav")
    film(folder / "film.mp4")
    film(folder / "old.mp4", picture="mpeg4")
    film(folder / "long.mp4", LONG_S)  # what is to be heard in it is heard, however slow the machine
    for number in range(1, 4):
        wav(folder / f"track-{number}.wav", 220.0 * number, LONG_S)
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    # The shell has no windows to draw around a page: half of the whole browser's processor.
    chromium = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    assert chromium, "chromium-headless-shell is missing: make system installs it"
    async with async_playwright() as playwright:
        # Chromium does not run as root with a sandbox. A process for each page would start cold.
        arguments = ["--no-sandbox", "--renderer-process-limit=1", "--disable-site-isolation-trials"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        await browser.close()


async def new_context(browser: Browser, **options: Any) -> BrowserContext:
    context = await browser.new_context(**{"viewport": DESKTOP, **options})
    await context.add_init_script(path=TAP)
    return context


@dataclass
class World:
    """A project with its page."""

    url: str
    database_url: str
    storage: Path
    browser: Browser
    shared: BrowserContext
    contexts: list[BrowserContext] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    db: asyncpg.Connection | None = None

    async def open(
        self, where="", *, ready="h1", viewport=DESKTOP, moves=False, answers: dict | None = None, **options
    ) -> Page:
        """A page at that # of the address, with options in a browser of its own; `answers` are those of the API and of Auth.
        What it complains of fails the test. Only where it `moves` a film begins by itself."""
        context = await self.alone(**options) if options else self.shared
        page = await context.new_page()
        await page.set_viewport_size(viewport)
        await page.emulate_media(reduced_motion="no-preference" if moves else "reduce")
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        for path, answer in (answers or {}).items():
            await page.route(f"**{path}*", functools.partial(Route.fulfill, json=answer))
        await page.goto(f"{self.url}/{where}")
        await page.wait_for_selector(ready)
        return page

    async def alone(self, **options: Any) -> BrowserContext:
        """A browser of its own, closed at the end of the test."""
        context = await new_context(self.browser, **options)
        self.contexts.append(context)
        return context

    async def clear(self) -> None:
        """Closes all pages; the browser that tests share forgets what they kept."""
        for page in (page for context in (self.shared, *self.contexts) for page in context.pages):
            self.complaints += await page.evaluate("window.shifts ?? []")
        for context in self.contexts:
            await context.close()
        self.contexts.clear()
        for page in self.shared.pages[1:]:
            chromium = await self.shared.new_cdp_session(page)
            await chromium.send("Storage.clearDataForOrigin", {"origin": self.url, "storageTypes": "local_storage"})
            await page.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "violates" in message.text:
            self.complaints.append(message.text)

    async def put(self, file: Path, bucket: str = "audios", kind: str = "audio/wav") -> str:
        """A file in Storage; its public address."""
        name = f"{secrets.token_hex(16)}{file.suffix}"
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {SERVICE_KEY}", "apikey": SERVICE_KEY}) as session,
            session.post(
                f"{self.url}/storage/v1/object/{bucket}/{name}",
                data=io.BytesIO(await asyncio.to_thread(file.read_bytes)),
                headers={"Content-Type": kind},
            ) as answer,
        ):
            assert answer.status == 200, await answer.text()
        return f"{self.url}/storage/v1/object/public/{bucket}/{name}"

    async def job(self, video_url: str, **options: Any) -> str:
        """A job for that film."""
        body = {"video_url": video_url, **options}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/v1/gen", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return (await answer.json())["job_id"]

    async def hand(self, job: str | None = None) -> Hand:
        """A worker that has the job in its hand."""
        hand = Hand(self.db)
        async with asyncio.timeout(30):
            while await hand.claim(job) is None:
                await asyncio.sleep(0.05)
        return hand


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(built, browser, postgres, template, tmp_path_factory) -> AsyncIterator[World]:
    """Database, gateway and API of all these tests; no worker."""
    name = f"studio_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres.url())
    await admin.execute(f"create database {name} template {template}")
    await admin.close()
    folder = tmp_path_factory.mktemp("house")
    port, api_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    async with gateway(folder, port, api_port, postgres.url(name)):
        with api(folder, url, api_port, postgres.url(name)):
            # A browser of its own for each test is a process more, which starts cold; so is the first page of a browser, which stays.
            shared = await new_context(browser)
            await (await shared.new_page()).goto(f"{url}/icon.svg")
            yield World(url, postgres.url(name), folder / "storage", browser, shared)


def gateway(folder: Path, port: int, api_port: int, database_url: str) -> Gateway:
    settings = GatewaySettings(
        port=port, database_url=database_url, jwt_secret=SECRET, secret_key=SERVICE_KEY,
        publishable_key=PUBLISHABLE_KEY, storage_dir=folder / "storage", api_upstream=f"http://127.0.0.1:{api_port}",
    )  # fmt: skip
    return Gateway(settings, Limits())


def api(folder: Path, url: str, port: int, database_url: str, **settings: str) -> Host:
    return Host(
        "edge_api", folder, API_PORT=str(port), SUPABASE_URL=url, SUPABASE_KEY=SERVICE_KEY, SUPABASE_DB_URL=database_url,
        JWT_SECRET=SECRET, SUPABASE_PUBLISHABLE_KEY=PUBLISHABLE_KEY, RETENTION_DAYS="30", **settings,
    )  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def world(house: World) -> AsyncIterator[World]:
    """The same for one test: no jobs, no pages; at its end nothing may have broken in a page."""
    house.db = await asyncpg.connect(house.database_url)
    await house.db.execute("update private.settings set pending_per_client = 100000, pending_per_owner = 100000")
    house.complaints.clear()
    yield house
    await house.clear()
    await house.db.execute("truncate public.jobs, public.workers cascade")
    await house.db.close()
    assert house.complaints == []


async def until(page: Page, condition: str) -> None:
    """That holds in the page: asked 20 times a second, for asking at each frame makes the page draw each of them."""
    await page.wait_for_function(f"() => {condition}", polling=50)


async def configured(world: World, **told: Any) -> dict[str, Any]:
    """What /config.json says, and that."""
    async with aiohttp.ClientSession() as session, session.get(f"{world.url}/config.json") as answer:
        return {**await answer.json(), **told}


@asynccontextmanager
async def worker(world: World, folder: Path) -> AsyncIterator[None]:
    """A real one, with the sketch engine."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ENGINE": "sketch", "METRICS_PORT": "0", "POLL_S": "1",
        "SUPABASE_URL": world.url, "SUPABASE_KEY": SERVICE_KEY, "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "DATABASE_URL": world.database_url, "JWT_SECRET": SECRET, "GRACE_S": "1",
    }  # fmt: skip
    with (folder / "worker.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *warm("worker"), cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 60)


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core."""
    return AXE.read_text()
