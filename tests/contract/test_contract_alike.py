"""The same bytes to both hosts: status, headers and every word of the answer are the same, but for what is said of a wrong value."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from edge_api.contract import contract
from tests.contract.conftest import NO_JOB, VIDEO, ask, silent
from tests.contract.hosts import HOSTS, Host
from tests.contract.keys import SECRET, bearer, make_token
from tests.contract.test_contract_abuse import HEAD, connection, said

DAY_S = 86_400
"""Tokens are made when the tests are collected; a run may take long."""
OF_THE_CONNECTION = {"date", "x-request-id", "content-length", "transfer-encoding", "connection", "keep-alive"}
A_JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
JSON = "Content-Type: application/json"
GEN = "POST /api/v1/gen"
ANN = uuid4()


@pytest.fixture(scope="module")
def both(settings, tmp_path_factory) -> Iterator[list[Host]]:
    """The two hosts beside each other."""
    hosts = [Host(name, tmp_path_factory.mktemp(name), **settings, MERGE_WAIT_S="0") for name in HOSTS]
    yield hosts
    for host in hosts:
        silent(host)


def post(body: bytes | str, *headers: str, line: str = GEN, kind: str = JSON) -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    return request(line, kind, f"Content-Length: {len(raw)}", *headers) + raw


def request(line: str, *headers: str, host: str = "a") -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]).encode("latin-1")


def signed(user: object = ANN, **claims: object) -> str:
    return "Authorization: " + bearer(user, **claims)["Authorization"]


def sealed(header: dict[str, object]) -> str:
    """A token under a header that no library would write."""
    _, claims, _ = make_token(ANN).split(".")
    text = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=") + b"." + claims.encode()
    seal = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), text, "sha256")).rstrip(b"=")
    return (text + b"." + seal).decode()


def gen(more: str) -> bytes:
    return post(f'{{"video_url": {json.dumps(VIDEO)}, {more}}}')


def answered(text: str) -> tuple[str, list[str], object]:
    """Status, headers and body, without what is another each time."""
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = sorted(A_JOB.sub("JOB", line.partition(":")[0].lower() + line.partition(":")[2]) for line in lines)
    if "\r\n" in body:
        body = "".join(body.split("\r\n")[1::2])  # chunks
    parsed = json.loads(A_JOB.sub("JOB", body)) if body else None
    if parsed and "errors" in parsed:
        parsed["errors"] = [error["field"] for error in parsed["errors"]]
        if parsed["code"] == "invalid_request":
            del parsed["detail"]
    return first.split()[1], [line for line in headers if line.partition(" ")[0] not in OF_THE_CONNECTION], parsed


MANY = ", ".join(f'"{n:x}": 1' for n in range(20_000))
VALUES = [
    '"duration": NaN', '"duration": -Infinity', '"user_request": NaN', '"x": NaN', '"duration": 1e400', '"seed": 1e400',
    f'"seed": {"9" * 308}', f'"seed": {"9" * 400}', f'"seed": {"9" * 5000}', f'"duration": {"9" * 5000}', '"seed": 3.0', '"seed": -0',
    '"variants": 3.0000000000000000001', '"variants": true', '"duration": 8.0', '"duration": "8"', '"seed": 4294967296.0',
    *(f'"x": {"[" * deep}{"]" * deep}' for deep in (99, 100, 101, 150, 250)),
    *(f'"plan": {"[" * deep}1{"]" * deep}' for deep in (99, 100)),
    '"plan": []', '"plan": {}', f'"plan": [{", ".join(["{}"] * 9)}]', '"plan": [null, 1, "x"]', '"plan": [{"prompt": "x", "key": "H"}]',
    '"plan": [{"prompt": "x", "instruments": ["", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""]}]',
    f'"plan": [{"0," * 120_000}0]', f'"plan": [{{"instruments": [{"0," * 110_000}0]}}]', f'"plan": [{"{}," * 80_000}{{}}]',
    f'"plan": [{{{MANY}}}]',
    f'"{"🎻" * 100}": 1', f'"a{"🎻" * 100}": 1', '"\\ud800": 1', '"\\u0000": 1', '"": 1', '"user_request": "\\udfbb\\ud83c"', '"a": 01', '"a": .5',
    '"user_request": "\t"', '"user_request": "\\x"', '"seed": "x", "seed": 1', '"z": 1, "a": 2', '"callback_url": ""', '"format": []',
    '"metadata": {"a b": 1, "": null, "c": 1}', '"metadata": {"a": "\\u0007", "b": 1}', '"metadata": {"__proto__": "x"}', '"events": [1, "x"]',
]  # fmt: skip
BODIES = [
    post(""), post("null"), post("[]"), post("\ufeff{}"), post("{}".encode("utf-16")), post("{} {}"), post(b'{"a": "\xed\xa0\x80"}'),
    post("{}", kind="Content-Type: text/plain"), post("{}", "Content-Encoding: gzip"), post("[" * 100_000), post("x" * 300_000),
    *(post(f'{{"filename": "a", "content_type": "video/mp4", "size": {size}}}', line="POST /api/v1/upload")
      for size in ("0", "536870913", "1e308", "9" * 25, "9" * 5000, "1.5", '"1"', "null")),
]  # fmt: skip
PATHS = [
    "/api/v1/ping", "/api/v1/./ping", "/x/../api/v1/ping", "/api/v1/x/../ping", "/api/v1/job/../ping", "/api/v1/job/%2e%2e/ping",
    "/api/v1\\ping", "/api/v1/p%69ng", "/openapi%2ejson", "//api/v1/ping", "/api/v1/ping?x=%2e%2e", "/api/v1/ping/", "http://a/api/v1/ping",
    "/api/v1/job/%41", "/api/v1/job/1", f"/api/v1/job/{NO_JOB}", f"/api/v1/job/{{{NO_JOB}}}", "/nothing", "/api/v1/ping;x",
    "/api/v1/problems/", "/api/v1/problems/constructor", "/api/v1/problems/not_found/",
]  # fmt: skip
TOKENS = {
    "another header too": [signed(), signed(uuid4())],
    "something behind it": ["Authorization: Bearer sb_x y"],
    "a publishable key": ["Authorization: bearer  sb_publishable_x"],
    "made tomorrow": [signed(iat=time.time() + DAY_S)],
    "made never": [signed(iat="x")],
    "an end in words": [signed(exp=str(int(time.time()) + DAY_S))],
    "a beginning that is a list": [signed(nbf=[1])],
    "no dashes": [signed(sub=ANN.hex)],
    "braces": [signed(sub=f"{{{ANN}}}")],
    "upper case": [signed(sub=str(ANN).upper())],
    "a number for an id": [signed(jti=1)],
    "a number for a key": ["Authorization: Bearer " + sealed({"alg": "HS256", "kid": 1})],
    "null for a key": ["Authorization: Bearer " + sealed({"alg": "HS256", "kid": None})],
    "a list for a subject": [signed(sub=[str(ANN)])],
    "a role alone": ["Authorization: Bearer x." + base64.urlsafe_b64encode(b'{"role": "anon"}').decode() + ".x"],
    "an empty one": ["Authorization: Bearer "],
    "another scheme": ["Authorization: Basic eA=="],
}
KEYS = [
    [f"Idempotency-Key: {uuid4()}", f"Idempotency-Key: {uuid4()}"], ["Idempotency-Key: short"], ['Idempotency-Key: ""'], ["Idempotency-Key:"],
    ["Idempotency-Key: a key with spaces in it"], ["Idempotency-Key: short", signed()],
]  # fmt: skip
OTHERS = [
    *(request("GET /api/v1/ping", host=host) for host in ("a b", "a/b?c@d", "[::1]:80", "a,b", "")),
    request("GET /api/v1/ping", "Expect: miracles"), request("PUT /api/v1/ping"), request("GET /api/v1/gen"),
    request("OPTIONS /api/v1/gen"), request("OPTIONS /api/v1/gen", "Origin: https://a.example", "Access-Control-Request-Method: POST"),
    request(f"GET /api/v1/job/{uuid4()}/events"), request(f"GET /api/v1/job/{uuid4()}/events", "Last-Event-ID: end"),
]  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [*map(gen, VALUES), *BODIES, *(request(f"GET {path}") for path in PATHS), *OTHERS,
     *(post(json.dumps({"video_url": VIDEO}), *headers) for headers in (*TOKENS.values(), *KEYS))],
    ids=[*(f"value-{value[:40]}" for value in VALUES), *(f"body-{n}" for n in range(len(BODIES))), *PATHS,
         *(f"other-{n}" for n in range(len(OTHERS))), *TOKENS, *(f"key-{n}" for n in range(len(KEYS)))],
)  # fmt: skip
async def test_the_same_bytes_get_the_same_answer(both, db, raw):
    """Where our own code is asked, it does not matter which host runs it."""
    one, other = [answered(text) for text in await asyncio.gather(*(said(host, raw, more=True) for host in both))]
    assert one == other


@pytest.mark.parametrize("kind", [JSON, "Content-Type: text/plain", "X-Nothing: 1"])
async def test_an_empty_body_is_none(both, db, kind):
    """Another take needs no body, however a client or a proxy says that there is none."""
    job = await db.fetchval("select queue.submit('generate', $1)", VIDEO)
    line = f"POST /api/v1/job/{job}/again"
    for raw in (
        request(line, kind, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request(line, kind, "Content-Length: 0"),
        request(line, kind),
    ):
        for host in both:
            assert answered(await said(host, raw, more=True))[0] == "200"


async def test_the_pages_about_problems_are_the_same(both):
    """Byte for byte, for every code."""
    for code in contract()["components"]["schemas"]["Code"]["enum"]:
        one, other = [(await said(host, request(f"GET /api/v1/problems/{code}"), more=True)) for host in both]
        assert one.partition("<!doctype")[2] in other
        assert len(one.partition("<!doctype")[2]) > 200


async def test_the_statuses_are_the_right_ones(both, db):
    """What is no JSON is 400; what may be read in two ways is refused."""
    for raw, status in (
        (gen('"duration": NaN'), "400"),
        (gen(f'"x": {"[" * 101}{"]" * 101}'), "400"),
        (gen(f'"x": {"[" * 100}{"]" * 100}'), "422"),
        (gen(f'"seed": {"9" * 5000}'), "422"),
        (request("GET /api/v1/./ping"), "404"),
        (request("GET /api/v1/p%69ng"), "404"),
        (request("GET /api/v1/ping", host="a b"), "400"),
        (post(json.dumps({"video_url": VIDEO}), *TOKENS["another header too"]), "401"),
        (post(json.dumps({"video_url": VIDEO}), *TOKENS["no dashes"]), "401"),
        (post(json.dumps({"video_url": VIDEO}), *TOKENS["an end in words"]), "401"),
        (post(json.dumps({"video_url": VIDEO}), *TOKENS["made tomorrow"]), "200"),
        (post(json.dumps({"video_url": VIDEO}), *KEYS[0]), "422"),
    ):
        for host in both:
            assert answered(await said(host, raw, more=True))[0] == status, raw[:200]


@pytest.mark.parametrize(
    "wish", [{"duration": 8}, {"plan": [{"prompt": "x", "tempo_bpm": 90.0}]}, {"seed": 3.0}, {"duration": 0.7}]
)
async def test_a_key_is_known_to_both_hosts(both, db, wish):
    """A request repeated at the other host, as a client in front of both does, is the same request."""
    key, jobs = uuid4().hex, set()
    for host in [*both, both[0]]:
        async with (
            host.session() as api,
            api.post("/api/v1/gen", json={"video_url": VIDEO, **wish}, headers={"Idempotency-Key": key}) as answer,
        ):
            assert answer.status == 200, await answer.text()
            jobs.add(UUID((await answer.json())["job_id"]))
    assert len(jobs) == 1


async def dawdle(host: Host) -> str:
    """The answer to a body that never ends."""
    async with connection(host) as (reader, writer):
        writer.write(HEAD + b'Content-Length: 1000\r\n\r\n{"video_url": ')
        return (await reader.readuntil(b"}")).decode()


async def dawdle_in_the_headers(host: Host, through: asyncio.Event) -> None:
    async with connection(host) as (_, writer):
        writer.write(b"GET /api/v1/ping HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        await through.wait()


@pytest.mark.slow
async def test_slow_clients_get_a_408_and_stop_nobody(both):
    """Three hundred bodies that never end are each told 408 and hung up on; all the while others are served."""
    through = asyncio.Event()
    async with asyncio.timeout(120), asyncio.TaskGroup() as group, both[0].session() as one, both[1].session() as other:
        for host in both * 200:
            group.create_task(dawdle_in_the_headers(host, through))
        slow = [group.create_task(dawdle(host)) for host in both * 300]
        while not all(task.done() for task in slow):
            for api in (one, other):
                assert (await ask(api, "get", "/healthz"))[0] == 200
            await asyncio.wait(slow, timeout=1)
        through.set()
    for task in slow:
        answer = task.result()
        assert answer.startswith("HTTP/1.1 408 ")
        assert "connection: close" in answer.lower()
        assert json.loads(answer.partition("\r\n\r\n")[2])["code"] == "request_timeout"
