"""Bad input: always a clean problem with a stable code and a word on what to do."""

from __future__ import annotations

import asyncio
import gzip
import json
from uuid import uuid4

import aiohttp
import pytest

from edge_api.problems import STATUS

VIDEO = "https://example.com/holiday.mp4"
GEN = "/api/v1/gen"


async def refused(session, method, path, **options) -> dict:
    """The problem that answers the request, after a look at its form."""
    async with session.request(method, path, **options) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert problem["type"] == "about:blank"
        assert problem["status"] == answer.status == STATUS[problem["code"]]
        assert problem["title"]
        assert problem["detail"]
        assert answer.headers["X-Request-Id"]
        assert "Traceback" not in str(problem)
        return problem


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "holiday.mp4", "/etc/passwd", "file:///etc/passwd", "ftp://example.com/a", "javascript:alert(1)",
        "http://", "http:///a", "https://?a", "https://user:word@example.com/a.mp4", "https://user@example.com/",
        "https://exa mple.com/", "https://example.com/a b", "https://example.com/a\n", " https://example.com/",
        "https://example.com/\x00", "https://example.com\\@evil.example/", "https://a\x85b/", "https://a\u202eb/", "https://example.com/" + "a" * 2048,
    ],
)  # fmt: skip
async def test_a_video_url_must_be_a_plain_web_address(api, url):
    """Anything but http(s) with a host, without credentials, in 2048 characters, is 422 and names the field."""
    problem = await refused(api, "post", GEN, json={"video_url": url})
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0]["field"] == "video_url"


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "HTTPS://Example.com:8443/a@b?c=d#e",
        "http://[::1]:80/",
        "https://münchen.example/grüße.mp4",
        "http://127.0.0.1/x",
    ],
)
async def test_unusual_addresses_are_taken(api, ask, url):
    """Ports, IPv6, names and paths in any script pass: where they lead is the worker's question."""
    assert (await ask(api, "post", GEN, json={"video_url": url}))[0] == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"variants": 0}, "variants"),
        ({"variants": 99}, "variants"),
        ({"variants": "3"}, "variants"),
        ({"variants": 2.5}, "variants"),
        ({"variants": True}, "variants"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"duration": 0}, "duration"),
        ({"duration": "8"}, "duration"),
        ({"conditioning": "magic"}, "conditioning"),
        ({"format": "ogg"}, "format"),
        ({"user_request": "x" * 2001}, "user_request"),
        ({"user_request": "x" * 100_000}, "user_request"),
        ({"user_request": "a\x00b"}, "user_request"),
        ({"user_request": ["x"]}, "user_request"),
        ({"plan": []}, "plan"),
        ({"plan": [{}]}, "plan.0.prompt"),
        ({"plan": [{"prompt": "x"}] * 9}, "plan"),
        ({"plan": [{"prompt": ""}]}, "plan.0.prompt"),
        ({"plan": [{"prompt": "x", "key": "H dur"}]}, "plan.0.key"),
        ({"plan": [{"prompt": "x", "tempo_bpm": 1000}]}, "plan.0.tempo_bpm"),
        ({"callback_url": "ftp://example.com"}, "callback_url"),
    ],
)
async def test_a_wrong_value_is_named(api, fields, field):
    """A value out of range or of another type is 422 and the problem names its field, not its content."""
    problem = await refused(api, "post", GEN, json={"video_url": VIDEO, **fields})
    assert problem["code"] == "invalid_request"
    assert problem["errors"][0]["field"] == field
    assert "xxx" not in str(problem)


async def test_text_of_2000_characters_of_any_script_is_taken(api, ask):
    """The limit counts characters, not bytes."""
    assert (await ask(api, "post", GEN, json={"video_url": VIDEO, "user_request": "🎻" * 2000}))[0] == 200


async def test_unknown_fields_are_refused_by_name(api):
    """An unknown field is named, together with those that are known."""
    problem = await refused(api, "post", GEN, json={"video_url": VIDEO, "colour": 1, "steps": 3})
    assert problem["code"] == "unknown_field"
    assert problem["detail"].startswith("Unknown field colour, steps; known are video_url, user_request, ")
    problem = await refused(api, "post", GEN, json={"video_url": VIDEO, "plan": [{"prompt": "x", "colour": 1}]})
    assert problem["errors"] == [{"field": "plan.0.colour", "message": "Extra inputs are not permitted"}]


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"video_url"', b"\xff\xfe", b'{"video_url": "\xff"}', b"NaN", b'{"a": \x00}', b"{'a': 1}",
        b'{"video_url": "\\ud800"}', b"[" * 100_000, b'{"plan":' * 20_000, b'{"seed": ' + b"9" * 100_000 + b"}",
    ],
)  # fmt: skip
async def test_what_is_not_json_is_400(api, body):
    """Broken, deep, endless or oddly encoded JSON is a 400 (or a 422 where it is JSON after all)."""
    problem = await refused(api, "post", GEN, data=body, headers={"Content-Type": "application/json"})
    assert problem["code"] in {"invalid_json", "invalid_request"}


@pytest.mark.parametrize("body", ["null", "[]", "3", '"x"', "true"])
async def test_json_that_is_no_object_is_422(api, body):
    """The body must be an object, and is told so."""
    problem = await refused(api, "post", GEN, data=body, headers={"Content-Type": "application/json"})
    assert (problem["code"], problem["detail"]) == ("invalid_request", "The body must be a JSON object")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense", ""]
)
async def test_a_body_must_be_declared_as_json(api, kind):
    """Another media type than JSON is 415."""
    problem = await refused(api, "post", GEN, data=json.dumps({"video_url": VIDEO}), headers={"Content-Type": kind})
    assert problem["code"] == "unsupported_media_type"


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.api+json"])
async def test_json_media_types_are_taken(api, kind):
    """JSON with parameters or by a suffix is JSON."""
    async with api.post(GEN, data=json.dumps({"video_url": VIDEO}), headers={"Content-Type": kind}) as answer:
        assert answer.status == 200


async def test_a_body_over_256_kb_is_413(api):
    """A large body is refused whether it says its size or not."""
    big = json.dumps({"video_url": VIDEO, "user_request": "x" * 300_000}).encode()

    async def chunks():
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    for data in (big, chunks()):
        problem = await refused(api, "post", GEN, data=data, headers={"Content-Type": "application/json"})
        assert problem["code"] == "payload_too_large"


async def test_a_compressed_body_is_refused(api):
    """Nothing is unpacked: a small body may be a bomb."""
    for encoding in ("gzip", "deflate", "br", "x-odd"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        problem = await refused(api, "post", GEN, data=gzip.compress(b"{}" * 1000), headers=headers)
        assert problem["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1", "/api/v1/", "/api/v1/job", "/api/v1/job/", "/api/v2/gen", "/nothing", "//api/v1/ping", "/api/v1/ping/",
        "/api/v1/job/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/api/v1/job/%00", "/static/../edge_api/app.py",
        "/openapi.yaml", "/api/v1/job/x", "/api/v1/job/" + "a" * 5000,
    ],
)  # fmt: skip
async def test_there_is_nothing_anywhere_else(api, path):
    """Unknown paths, tricks with dots and ids that are none are 404."""
    from yarl import URL

    url = URL(f"{api._base_url}".rstrip("/") + path, encoded=True)
    assert (await refused(api, "get", url))["code"] == "not_found"


@pytest.mark.parametrize("job", [str(uuid4()), "1", f"{{{uuid4()}}}", f"urn:uuid:{uuid4()}", uuid4().hex, "null", "🎻"])
@pytest.mark.parametrize(("method", "tail"), [("get", ""), ("delete", ""), ("post", "/again"), ("get", "/events")])
async def test_an_unknown_job_is_404(api, job, method, tail):
    """A job that is not there, and what is no id at all, are 404 for every call on jobs."""
    assert (await refused(api, method, f"/api/v1/job/{job}{tail}"))["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", GEN, "POST"),
        ("put", "/api/v1/ping", "GET, HEAD"),
        ("patch", f"/api/v1/job/{uuid4()}", "DELETE, GET, HEAD"),
        ("options", GEN, "POST"),
        ("trace", "/healthz", "GET, HEAD"),
        ("head", f"/api/v1/job/{uuid4()}/events", None),
    ],
)
async def test_a_wrong_method_is_405_and_says_what_is_right(api, method, path, allowed):
    """The Allow header lists what the address takes."""
    async with api.request(method, path) as answer:
        assert answer.status == 405
        assert allowed is None or answer.headers["Allow"] == allowed


async def test_a_wrong_expectation_is_417(api):
    """`Expect` with anything but 100-continue is refused in our words."""
    assert (await refused(api, "get", "/api/v1/ping", headers={"Expect": "miracles"}))["code"] == "expectation_failed"


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"BREW /api/v1/merge HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /api/v1/gen HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nA\x00: b\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_one_clean_answer(api, ask, raw):
    """Bytes that are no request get a 400 problem and the connection ends; the server lives on."""
    base = api._base_url
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(raw)
    async with asyncio.timeout(30):
        said = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 ")), said
    assert b"application/problem+json" in head
    assert b"aiohttp" not in head
    assert json.loads(body)["code"] == "bad_request"
    assert (await ask(api, "get", "/api/v1/ping"))[0] == 200


async def test_a_thousand_posts_at_once_all_get_an_answer(api, db):
    """A crowd on connections of their own waits its turn; who waits too long is told when to come back."""
    before = await db.fetchval("select count(*) from public.jobs")

    async def post(crowd: aiohttp.ClientSession) -> int:
        async with crowd.post(GEN, json={"video_url": VIDEO}) as answer:
            assert answer.status == 200 or answer.headers["Retry-After"]
            return answer.status

    async with aiohttp.ClientSession(api._base_url, connector=aiohttp.TCPConnector(limit=0)) as crowd:
        statuses = await asyncio.gather(*(post(crowd) for _ in range(1000)))
    assert set(statuses) <= {200, 503}
    assert await db.fetchval("select count(*) from public.jobs") - before == statuses.count(200) > 0


async def test_a_request_id_is_kept_when_it_is_sane(api):
    """The caller's X-Request-Id comes back, a strange one is replaced."""
    for sent, kept in (("trace-0123456789", True), ("short", False), ("a b c d e f g h", False), ("x" * 65, False)):
        async with api.get("/api/v1/ping", headers={"X-Request-Id": sent}) as answer:
            assert (answer.headers["X-Request-Id"] == sent) is kept


async def test_a_word_about_us_is_at_the_root(api):
    """Without a built page `/` says what this is and where the API is described."""
    async with api.get("/") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert 'href="/openapi.json"' in text


async def test_a_built_page_is_served_from_its_folder(start_api, tmp_path, ask):
    """index.html is at `/`, hashed assets may be kept for ever, the API keeps its own addresses, nothing else is served."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<h1>Studio</h1>")
    (tmp_path / "assets" / "app-1f2e.js").write_text("go()")
    api = await start_api(static=tmp_path)
    async with api.get("/") as answer:
        assert await answer.text() == "<h1>Studio</h1>"
        assert answer.headers["Cache-Control"] == "no-cache"
    async with api.get("/assets/app-1f2e.js") as answer:
        assert "javascript" in answer.headers["Content-Type"]
        assert "immutable" in answer.headers["Cache-Control"]
    assert (await refused(api, "get", "/assets/other.js"))["code"] == "not_found"
    assert (await refused(api, "get", GEN))["code"] == "method_not_allowed"
