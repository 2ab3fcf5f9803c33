"""The form of every answer on both hosts: problems, headers, CORS, methods, addresses, and bodies that are refused."""

from __future__ import annotations

import gzip
import json

import pytest
from yarl import URL

from edge_api.contract import contract
from edge_api.problems import meaning
from tests.contract.conftest import NO_JOB, VIDEO, ask

GEN = "/api/v1/gen"
PREFLIGHT = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
JSON = {"Content-Type": "application/json"}


async def refused(session, method, path, **options) -> dict:
    """The problem that answers the request, after a look at its form."""
    async with session.request(method, path, **options) as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert list(problem)[:5] == ["type", "title", "status", "detail", "code"]
        about = meaning(problem["code"])
        assert problem["type"] == f"{str(session._base_url).rstrip('/')}/api/v1/problems/{problem['code']}"
        assert problem["status"] == answer.status == about["status"]
        assert (problem["title"], bool(problem["detail"])) == (about["title"], True)
        for name, value in GUARDS.items():
            assert answer.headers[name] == value
        assert answer.headers["X-Request-Id"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return problem


GUARDS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Server": "RhythmAI",
}


async def test_answers_guard_themselves(api):
    """No answer is cached, sniffed, or tells a referrer or what it runs on."""
    for path in ("/api/v1/ping", "/healthz", "/openapi.json"):
        async with api.get(path) as answer:
            assert answer.content_type == "application/json"
            assert {name: answer.headers[name] for name in GUARDS} == GUARDS


@pytest.mark.parametrize("code", contract()["components"]["schemas"]["Code"]["enum"])
async def test_a_problem_leads_to_a_page_about_it(api, code):
    """Under its `type` stand its title, status and code, and what to do, in plain HTML."""
    about = meaning(code)
    async with api.get(f"/api/v1/problems/{code}") as answer:
        assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
        text = await answer.text()
    for said in (
        f"<h1>{about['title']}</h1>",
        f"<p>{about['remedy']}</p>",
        f"Status {about['status']}, code <code>{code}</code>",
    ):
        assert said in text


async def test_there_is_no_page_about_what_is_no_problem(api):
    """Another code is 404, names of JavaScript's own too."""
    for code in ("nothing", "constructor", "__proto__", "NOT_FOUND"):
        assert (await refused(api, "get", f"/api/v1/problems/{code}"))["code"] == "not_found"


async def test_addresses_in_answers_are_absolute(api, start):
    """PUBLIC_URL, a path of it too, stands before them, whatever a Host claims; else the request's own Host, where it is one."""
    async with api.get("/nothing", headers={"Host": "music.example:8080"}) as answer:
        assert (await answer.json(content_type=None))["type"] == "http://music.example:8080/api/v1/problems/not_found"
    for odd in ("a:b:c", "[", "a:123456"):
        async with api.get("/nothing", headers={"Host": odd}) as answer:
            assert (await answer.json(content_type=None))["type"] == "/api/v1/problems/not_found"
    async with start(PUBLIC_URL="https://music.example/rhythm/").session() as own:
        for headers in ({}, {"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
            async with own.get("/nothing", headers=headers) as answer:
                problem = await answer.json(content_type=None)
                assert problem["type"] == "https://music.example/rhythm/api/v1/problems/not_found"


async def test_a_request_id_is_kept_when_it_is_sane(api):
    """The caller's X-Request-Id comes back, a strange one is replaced."""
    for sent, kept in (("trace-0123456789", True), ("short", False), ("a b c d e f g h", False), ("x" * 65, False)):
        async with api.get("/api/v1/ping", headers={"X-Request-Id": sent}) as answer:
            assert (answer.headers["X-Request-Id"] == sent) is kept
            assert answer.headers["X-Request-Id"]


async def test_a_trace_that_begins_elsewhere_goes_on(api):
    """The id of the caller's trace is the X-Request-Id; a traceparent of another shape begins a new one."""
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    good = f"00-{trace}-{parent}-01"
    wrong = (
        f"00-{trace.upper()}-{parent}-01",
        f"00-{'0' * 32}-{parent}-01",
        f"ff-{trace}-{parent}-01",
        f"{good}-x",
        f"{good}, {good}",
    )
    for sent in (good, *wrong):
        async with api.get("/api/v1/ping", headers={"traceparent": sent}) as answer:
            assert (answer.headers["X-Request-Id"] == trace) is (sent == good)
            assert len(answer.headers["X-Request-Id"]) == 32


async def test_every_page_may_call_by_default(api):
    """Preflights and answers, errors too, carry `*` and never credentials."""
    async with api.options(GEN, headers=PREFLIGHT) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "idempotency-key" in answer.headers["Access-Control-Allow-Headers"]
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, DELETE"
        assert answer.headers["Access-Control-Max-Age"] == "7200"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for path, headers in (("/api/v1/ping", {"Origin": "https://app.example"}), ("/nothing", {}), ("/api/v1/ping", {})):
        async with api.get(path, headers=headers) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "retry-after" in answer.headers["Access-Control-Expose-Headers"]


async def test_only_listed_pages_may_call(start):
    """With CORS_ORIGINS only those origins are named, and caches are told that it depends."""
    async with start(CORS_ORIGINS="https://App.Example/, http://localhost:5173").session() as api:
        for origin, allowed in (
            ("https://app.example", True),
            ("http://localhost:5173", True),
            ("https://evil.example", False),
            ("null", False),
        ):
            async with api.get("/api/v1/ping", headers={"Origin": origin}) as answer:
                assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
                assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", GEN, "POST"),
        ("put", "/api/v1/ping", "GET, HEAD"),
        ("patch", f"/api/v1/job/{NO_JOB}", "DELETE, GET, HEAD"),
        ("options", GEN, "POST"),
        ("delete", f"/api/v1/job/{NO_JOB}/again", "POST"),
        ("post", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_405_and_says_what_is_right(api, method, path, allowed):
    """The Allow header lists what the address takes."""
    async with api.request(method, path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        assert (await answer.json(content_type=None))["code"] == "method_not_allowed"


async def test_head_is_get_without_its_body(api, gen):
    """HEAD answers like GET where there is an end to tell of, and is no method of a stream."""
    for path, status in (("/api/v1/ping", 200), (f"/api/v1/job/{await gen()}", 200), (f"/api/v1/job/{NO_JOB}", 404)):
        async with api.head(path) as answer:
            assert (answer.status, await answer.read()) == (status, b"")
    async with api.head(f"/api/v1/job/{NO_JOB}/events") as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1", "/api/v1/", "/api/v1/job", "/api/v1/job/", "/api/v2/gen", "/nothing", "//api/v1/ping", "/api/v1/ping/",
        "/api/v1/job/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/api/v1/job/%00", "/static/../edge_api/app.py",
        "/openapi.yaml", "/api/v1/job/x", "/api/v1/job/" + "a" * 5000, "/API/V1/ping", "/api/v1/ping;x", "/api/v1/p%69ng%20",
        "/index.ts", "/.env", "/__proto__", "/api/v1/constructor", "/api/v1/job/%F0%9F%8E%BB", "/api/v1/job/%ff%fe",
    ],
)  # fmt: skip
async def test_there_is_nothing_anywhere_else(api, path):
    """Unknown paths, tricks with dots and ids that are none are 404."""
    url = URL(str(api._base_url).rstrip("/") + path, encoded=True)
    assert (await refused(api, "get", url))["code"] == "not_found"


@pytest.mark.parametrize(
    "job", [NO_JOB, "1", f"{{{NO_JOB}}}", f"urn:uuid:{NO_JOB}", NO_JOB.replace("-", ""), "null", "🎻"]
)
@pytest.mark.parametrize(("method", "tail"), [("get", ""), ("delete", ""), ("post", "/again"), ("get", "/events")])
async def test_an_unknown_job_is_404(api, job, method, tail):
    """A job that is not there, and what is no id at all, are 404 for every call on jobs."""
    assert (await refused(api, method, f"/api/v1/job/{job}{tail}"))["code"] == "not_found"


async def test_an_expectation_other_than_100_continue_is_417(api):
    """`Expect` with anything else is refused in our words."""
    assert (await refused(api, "get", "/api/v1/ping", headers={"Expect": "miracles"}))["code"] == "expectation_failed"


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b'{"video_url"', b"\xff\xfe", b'{"video_url": "\xff"}', b'{"a": \x00}', b"{'a': 1}", b"\xef\xbb\xbf{}",
        b'{"video_url": "\\ud800"}', b"[" * 100_000, b'{"plan":' * 20_000, b"[" * 100_000 + b"]" * 100_000, b'{"a": 01}',
        b'{"plan":' * 20_000 + b"1" + b"}" * 20_000, b"NaN", "{}".encode("utf-16"), b"{} {}", b'{"video_url": "a\nb"}',
    ],
)  # fmt: skip
async def test_what_is_not_json_is_400(api, body):
    """Broken, deep, endless or oddly encoded JSON is a 400, with nothing of it in the answer."""
    problem = await refused(api, "post", GEN, data=body, headers=JSON)
    assert problem["code"] == "invalid_json"


@pytest.mark.parametrize("body", ["null", "[]", "3", '"x"', "true"])
async def test_json_that_is_no_object_is_422(api, body):
    """The body must be an object, and is told so."""
    problem = await refused(api, "post", GEN, data=body, headers=JSON)
    assert (problem["code"], problem["detail"]) == ("invalid_request", "The body must be a JSON object")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("text/plain", "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "unsupported_media_type"),
        ("multipart/form-data; boundary=x", "unsupported_media_type"),
        ("nonsense", "unsupported_media_type"),
        ("", "unsupported_media_type"),
        ("application/json; charset=utf-8", None),
        ("application/vnd.api+json", None),
        ("Application/JSON", None),
    ],
)
async def test_a_body_must_be_declared_as_json(api, kind, code):
    """JSON with parameters or by a suffix is JSON; another media type is 415."""
    status, answer = await ask(api, "post", GEN, data=json.dumps({"video_url": VIDEO}), headers={"Content-Type": kind})
    assert (status, answer.get("code")) == ((415, code) if code else (200, None))


async def test_a_body_over_256_kb_is_413(api):
    """A large body is refused whether it says its size or not."""
    big = json.dumps({"video_url": VIDEO, "user_request": "x" * 300_000}).encode()

    async def chunks():
        for start in range(0, len(big), 1000):
            yield big[start : start + 1000]

    for data in (big, chunks()):
        assert (await refused(api, "post", GEN, data=data, headers=JSON))["code"] == "payload_too_large"


async def test_a_compressed_body_is_refused(api):
    """Nothing is unpacked: a small body may be a bomb."""
    for encoding in ("gzip", "deflate", "br", "x-odd"):
        headers = {**JSON, "Content-Encoding": encoding}
        problem = await refused(api, "post", GEN, data=gzip.compress(b"{}" * 1000), headers=headers)
        assert problem["code"] == "unsupported_media_type"
