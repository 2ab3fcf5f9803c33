"""Where a request comes from: its page (CORS) and its client (behind proxies)."""

from __future__ import annotations

import ipaddress

import pytest

from edge_api.addresses import client_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.9, 10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("fd00::1", ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, ["198.51.100.9"], "unknown"),
        ("10.0.0.1", ["198.51.100.9:5678"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9:5678, 10.0.0.2:80"], "198.51.100.9"),
        ("10.0.0.1", ["[2001:db8:1:2::9]:443"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["[2001:db8:1:2::9]"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["198.51.100.9:nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["[]:80"], "10.0.0.1"),
    ],
)
def test_headers_count_only_as_far_as_trusted_proxies_wrote_them(peer, forwarded, client):
    """X-Forwarded-For is read from the right, up to the first address that is no proxy of ours."""
    assert client_of(peer, forwarded, PROXIES) == client


PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}


async def test_every_page_may_call_by_default(api):
    """Preflights and answers, errors too, carry `*` and never credentials."""
    async with api.options("/api/v1/gen", headers=PREFLIGHT) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"]
        assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for path in ("/api/v1/ping", "/nothing"):
        async with api.get(path) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "retry-after" in answer.headers["Access-Control-Expose-Headers"]


async def test_only_listed_pages_may_call(start_api):
    """With CORS_ORIGINS only those origins are named, and caches are told that it depends."""
    api = await start_api(cors_origins="https://App.Example/, http://localhost:5173")
    for origin, allowed in (
        ("https://app.example", True),
        ("http://localhost:5173", True),
        ("https://evil.example", False),
    ):
        async with api.get("/api/v1/ping", headers={"Origin": origin}) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
            assert answer.headers["Vary"] == "Origin"


async def test_answers_guard_themselves(api):
    """No answer is cached, sniffed, or tells a referrer or what it runs on."""
    async with api.get("/api/v1/ping") as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Server"] == "RhythmAI"
