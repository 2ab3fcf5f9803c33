"""The page at the root: built or not, with what a browser is told about it."""

from __future__ import annotations

import re

import pytest

from tests.contract.conftest import ask


@pytest.fixture
def built(tmp_path):
    """A folder as studio/ fills it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta property="csp-nonce" nonce="NONCE"><h1>Studio</h1>')
    (tmp_path / "assets" / "app-1f2e.js").write_text("go()")
    (tmp_path / "assets" / "app-1f2e.js.gz").write_bytes(bytes.fromhex("1f8b08000000000002ff4bcfd7d0040000") + bytes(8))
    return tmp_path


async def test_a_word_about_us_is_at_the_root(start_api, tmp_path):
    """Without a built page `/` says what this is and where the API is described."""
    api = await start_api(static=tmp_path)
    async with api.get("/") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert 'href="/openapi.json"' in text


async def test_a_built_page_is_served_from_its_folder(start_api, built):
    """index.html is at `/` alone, hashed assets may be kept for ever and go compressed, the API keeps its own addresses, nothing else is served."""
    api = await start_api(static=built)
    async with api.get("/") as answer:
        assert (await answer.text()).endswith("<h1>Studio</h1>")
        assert answer.headers["Cache-Control"] == "no-store"
    async with api.get("/assets/app-1f2e.js", auto_decompress=False) as answer:
        assert "javascript" in answer.headers["Content-Type"]
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
    for path, code in (
        ("/assets/other.js", "not_found"),
        ("/index.html", "not_found"),
        ("/assets/app-1f2e.js.gz", "not_found"),
        ("/api/v1/gen", "method_not_allowed"),
    ):
        assert (await ask(api, "get", path))[1]["code"] == code


async def test_a_browser_keeps_the_page_to_itself(start_api, built):
    """No script but ours, no frame, no referrer, no robot, no cookie, no host but the project's and its Storage's; a new nonce each time."""
    api = await start_api(static=built, supabase_url="https://abcd.supabase.co")
    nonces = set()
    for _ in range(2):
        async with api.get("/") as answer:
            policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
            (nonce,) = re.findall(r'nonce="([^"]+)"', await answer.text())
            nonces.add(nonce)
            headers = answer.headers
    assert len(nonces) == 2
    assert policy["style-src"] == f"'self' 'nonce-{nonce}'"
    assert {name: policy[name] for name in ("default-src", "script-src", "frame-ancestors", "base-uri")} == {
        "default-src": "'none'", "script-src": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
    }  # fmt: skip
    project = {"https://abcd.supabase.co", "https://abcd.storage.supabase.co"}
    assert set(policy["media-src"].split()) == {"'self'", "blob:"} | project
    assert set(policy["connect-src"].split()) == {"'self'", "blob:", "wss://abcd.supabase.co"} | project
    assert (headers["X-Robots-Tag"], headers["Referrer-Policy"]) == ("none", "no-referrer")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in headers


async def test_the_page_offers_the_engines_of_living_workers(api, start_api, db):
    """Each once, those that load included; none of workers that are gone, and none while nobody knows."""
    await db.execute("delete from public.jobs")
    await db.execute("delete from public.workers")
    for engines in ("{sketch,acestep}", "{acestep}", "{mmaudio}"):
        worker = await db.fetchval(
            "select queue.register('box', '{generate}', $1::text::text[], '1', '1 hour')", engines
        )
    assert (await ask(api, "get", "/config.json"))[1]["engines"] == ["acestep", "mmaudio", "sketch"]
    sells = await start_api(commercial_only=True)
    assert (await ask(sells, "get", "/config.json"))[1]["engines"] == ["acestep", "sketch"]
    await db.execute("select queue.leave($1)", worker)
    assert (await ask(api, "get", "/config.json"))[1]["engines"] == ["acestep", "sketch"]
    away = await start_api(database_url="postgresql://nobody@127.0.0.1:9/none")
    status, config = await ask(away, "get", "/config.json")
    assert (status, config["engines"]) == (200, [])


async def test_the_page_learns_its_project(start_api, built, db):
    """/config.json has the address, the publishable key and what the page offers; no key that is secret."""
    await db.execute("delete from public.jobs")
    await db.execute("delete from public.workers")
    (built / "sample.mp4").write_bytes(b"a film")
    api = await start_api(
        static=built, supabase_publishable_key="sb_publishable_x", studio_sign_in="anonymous", retention_days=30
    )
    status, config = await ask(api, "get", "/config.json")
    assert (status, config) == (
        200,
        {
            "engines": [],
            "project_url": "http://127.0.0.1:9",
            "publishable_key": "sb_publishable_x",
            "sign_in": "anonymous",
            "retention_days": 30,
            "sample": True,
        },
    )
