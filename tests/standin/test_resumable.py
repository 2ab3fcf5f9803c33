"""Resumable uploads on the wire: TUS with a signed upload's token, and with keys and policies."""

from __future__ import annotations

import asyncio
import base64
import os
import time
from types import SimpleNamespace

import pytest

from tests.standin.conftest import mint

BYTES = {"Content-Type": "application/offset+octet-stream"}
FILM = bytes(range(256)) * 40


def described(name="film.mp4", bucket="b", **more):
    values = {"bucketName": bucket, "objectName": name, "contentType": "video/mp4", "cacheControl": "3600", **more}
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


@pytest.fixture
async def tus(gateway, http, storage):
    """Speaks TUS with the token of a signed upload of `film.mp4`, and no other right."""
    token = (await storage("POST", "object/upload/sign/b/film.mp4")).json()["token"]

    async def call(method, url="/storage/v1/upload/resumable/sign", data=None, **headers):
        url = url if url.startswith("http") else gateway.url + url
        named = {"Tus-Resumable": "1.0.0", "x-signature": token}
        named.update({name.replace("_", "-"): str(value) for name, value in headers.items()})
        sent = {name: value for name, value in named.items() if value}
        async with http.request(method, url, data=data, headers=sent) as answer:
            return SimpleNamespace(status=answer.status, headers=answer.headers, text=await answer.text())

    return call


@pytest.fixture
async def begun(tus):
    """The address of an upload of FILM that has its first 4,000 bytes."""
    made = await tus("POST", Upload_Length=len(FILM), Upload_Metadata=described())
    assert (made.status, made.text) == (201, "")
    first = await tus("PATCH", made.headers["Location"], FILM[:4000], Upload_Offset=0, **BYTES)
    assert (first.status, first.headers["Upload-Offset"]) == (204, "4000")
    return made.headers["Location"]


async def test_an_upload_goes_on_where_it_was(tus, begun, gateway, http, storage, database):
    """HEAD says how far it is; after the last byte, and not before, the object is there, as it was described."""
    there = await tus("HEAD", begun)
    assert (there.status, there.headers["Cache-Control"], there.headers["Upload-Metadata"]) == (
        200,
        "no-store",
        described(),
    )
    assert (there.headers["Upload-Offset"], there.headers["Upload-Length"]) == ("4000", str(len(FILM)))
    assert (await storage("GET", "object/b/film.mp4")).json()["statusCode"] == "404"
    last = await tus("PATCH", begun, FILM[4000:], Upload_Offset=4000, **BYTES)
    assert (last.status, last.headers["Upload-Offset"], "Upload-Expires" in last.headers) == (
        204,
        str(len(FILM)),
        False,
    )
    got = await storage("GET", "object/b/film.mp4")
    assert (got.body == FILM, got.headers["Content-Type"], got.headers["Cache-Control"]) == (
        True,
        "video/mp4",
        "max-age=3600",
    )
    assert await database.fetchval("select metadata ->> 'size' from storage.objects") == str(len(FILM))
    # Whoever did not hear the last answer asks again.
    assert (await tus("HEAD", begun)).headers["Upload-Offset"] == str(len(FILM))
    assert (await tus("DELETE", begun)).text == "Cannot terminate an already completed upload"


async def test_an_upload_survives_a_restart(tus, begun, settings, http, storage):
    """Another gateway over the same folder knows how far it is."""
    from supabase_standin.gateway import Gateway

    async with Gateway(settings) as second:
        there = await tus("HEAD", f"http://127.0.0.1:{second.port}/" + begun.split("/", 3)[3])
        assert there.headers["Upload-Offset"] == "4000"


async def test_the_first_bytes_may_come_with_the_creation(tus, storage):
    """Creation with upload, whole or in part; an empty file is there at once; user metadata are JSON."""
    made = await tus(
        "POST", data=FILM, Upload_Length=len(FILM), Upload_Metadata=described(metadata='{"mood": "calm"}'), **BYTES
    )
    assert (made.status, made.headers["Upload-Offset"]) == (201, str(len(FILM)))
    assert (await storage("GET", "object/info/b/film.mp4")).json()["metadata"] == {"mood": "calm"}
    await storage("DELETE", "object/b/film.mp4")
    assert (await tus("POST", Upload_Length=0, Upload_Metadata=described())).headers["Upload-Offset"] == "0"
    assert (await storage("GET", "object/b/film.mp4")).body == b""


async def test_a_cancelled_upload_is_gone(tus, begun, gateway):
    """DELETE ends it and leaves no byte."""
    assert (await tus("DELETE", begun)).status == 204
    assert (await tus("HEAD", begun)).status == 404
    assert list((gateway.storage_dir / "unfinished").iterdir()) == []


async def test_an_upload_expires(tus, begun, gateway):
    """Answers say until when; afterwards it is 410, and the next creation sweeps it away."""
    (said,) = (gateway.storage_dir / "unfinished").glob("*.json")
    os.utime(said, (time.time() - 86_401,) * 2)
    assert (await tus("HEAD", begun)).status == 410
    gone = await tus("PATCH", begun, b"x", Upload_Offset=4000, **BYTES)
    assert (gone.status, gone.text) == (410, "The file for this url no longer exists\n")
    made = await tus("POST", Upload_Length=5, Upload_Metadata=described())
    assert made.headers["Upload-Expires"].endswith(" GMT")
    assert (await tus("HEAD", begun)).status == 404


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({"Tus_Resumable": ""}, 412, "Tus-Resumable Required\n"),
        ({"x_signature": ""}, 400, "Missing x-signature header"),
        ({"x_signature": "nonsense"}, 400, "Invalid Compact JWS"),
        ({"Upload_Metadata": described("other.mp4")}, 400, "The url do not match the signature"),
        ({"Upload_Metadata": described("../film.mp4")}, 400, "Invalid key: ../film.mp4"),
        ({"Upload_Metadata": "bucketName %"}, 400, "Upload-Metadata is invalid\n"),
        ({"Upload_Length": ""}, 400, "Upload-Length or Upload-Defer-Length header required\n"),
        ({"Upload_Length": "-1"}, 400, "Upload-Length or Upload-Defer-Length header required\n"),
        ({"Upload_Length": 50 * 2**30 + 1}, 413, "Maximum size exceeded\n"),
    ],
)
async def test_a_creation_is_refused(tus, gateway, headers, status, text):
    """In plain text, under the status that is meant; nothing is left of it."""
    refused = await tus("POST", **{"Upload_Length": 5, "Upload_Metadata": described(), **headers})
    assert (refused.status, refused.text) == (status, text)
    assert list((gateway.storage_dir / "unfinished").iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "data", "status", "text"),
    [
        ({"Upload_Offset": 3999}, b"x", 409, "Upload-Offset conflict\n"),
        ({"Upload_Offset": ""}, b"x", 403, "Upload-Offset header required\n"),
        ({"Content-Type": "video/mp4"}, b"x", 400, "Invalid content-type\n"),
        ({}, FILM, 413, "upload's size exceeded\n"),
        (
            {"x_signature": mint(url="b/film.mp4", use="upload", lifetime_s=-1)},
            b"x",
            400,
            '"exp" claim timestamp check failed',
        ),
    ],
)
async def test_a_piece_is_refused(tus, begun, headers, data, status, text):
    """What does not fit changes nothing."""
    refused = await tus("PATCH", begun, data, **{"Upload_Offset": 4000, **BYTES, **headers})
    assert (refused.status, refused.text) == (status, text)
    assert (await tus("HEAD", begun)).headers["Upload-Offset"] == "4000"


async def test_a_stream_is_cut_at_the_announced_length(tus, begun):
    """A body without a length cannot bring more than was announced either."""

    async def pieces():
        for _ in range(16):
            yield bytes(1000)
            await asyncio.sleep(0)

    announced = await tus("PATCH", begun, pieces(), Upload_Offset=4000, Content_Length=16_000, **BYTES)
    assert (announced.status, announced.text) == (413, "upload's size exceeded\n")
    assert (await tus("HEAD", begun)).headers["Upload-Offset"] == "4000"  # with a length nothing of it is taken
    refused = await tus("PATCH", begun, pieces(), Upload_Offset=4000, **BYTES)
    assert (refused.status, refused.text) == (413, "upload's size exceeded\n")
    assert int((await tus("HEAD", begun)).headers["Upload-Offset"]) <= len(FILM)


async def test_no_piece_is_taken_for_another_objects_upload(tus, begun, storage, http):
    """A token, an address or a version of one object opens nothing of another; addresses that nobody gave are 404."""
    token = (await storage("POST", "object/upload/sign/b/other.mp4")).json()["token"]
    assert (await tus("HEAD", begun, x_signature=token)).status == 400
    base, _, id_ = begun.rpartition("/")
    version = base64.urlsafe_b64decode(id_ + "==").decode().rpartition("/")[2]
    forged = base64.urlsafe_b64encode(f"b/other.mp4/{version}".encode()).decode().rstrip("=")
    for other in (forged, "x", "b" * 300, base64.urlsafe_b64encode(b"b/film.mp4/../../etc").decode().rstrip("=")):
        gone = await tus("PATCH", f"{base}/{other}", b"x", Upload_Offset=0, x_signature=token, **BYTES)
        assert (gone.status, gone.text) == (404, "The file for this url was not found\n")


async def test_who_comes_later_is_right(tus, begun, gateway):
    """A connection that hangs in a tunnel keeps nobody waiting: what it brought is kept, and it is told so."""
    hangs = asyncio.Event()

    async def tunnel():
        yield FILM[4000:5000]
        await hangs.wait()

    earlier = asyncio.create_task(tus("PATCH", begun, tunnel(), Upload_Offset=4000, **BYTES))
    while (await asyncio.to_thread(_largest, gateway.storage_dir / "unfinished")) < 5000:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(30):
        assert (await tus("HEAD", begun)).headers["Upload-Offset"] == "5000"
        assert (await tus("PATCH", begun, FILM[5000:], Upload_Offset=5000, **BYTES)).status == 204
        hangs.set()
        assert (await earlier).text == "Request aborted due to lock acquired"


def _largest(folder):
    return max(file.stat().st_size for file in folder.iterdir() if not file.suffix)


async def test_a_second_upload_does_not_replace_the_first(tus, storage, gateway):
    """Without the signature's upsert the end is a 409, and nothing of it stays."""
    await storage("POST", "object/b/film.mp4", data=b"first")
    refused = await tus("POST", data=b"other", Upload_Length=5, Upload_Metadata=described(), **BYTES)
    assert (refused.status, refused.text) == (409, "The resource already exists")
    assert (await storage("GET", "object/b/film.mp4")).body == b"first"
    assert list((gateway.storage_dir / "unfinished").iterdir()) == []


async def test_limits_of_bucket_and_project_hold(tus, database, storage):
    """The bucket's size, be it 0, and types are asked at the creation."""
    await database.execute(
        "update storage.buckets set file_size_limit = 4, allowed_mime_types = '{video/*}' where id = 'b'"
    )
    try:
        large = await tus("POST", Upload_Length=5, Upload_Metadata=described())
        text = await tus("POST", Upload_Length=4, Upload_Metadata=described(contentType="text/html"))
        await database.execute("update storage.buckets set file_size_limit = 0 where id = 'b'")
        closed = await tus("POST", Upload_Length=1, Upload_Metadata=described())
    finally:
        await database.execute(
            "update storage.buckets set file_size_limit = null, allowed_mime_types = null where id = 'b'"
        )
    for refused in (large, closed):
        assert (refused.status, refused.text) == (413, "Maximum size exceeded\n")
    assert (text.status, text.text) == (415, "mime type text/html is not supported")


async def test_a_key_uploads_by_the_policies(tus, gateway, storage):
    """Without `/sign` the role of a key or token decides, and x-upsert; a bad key is refused by Storage itself, in JSON."""
    asked = {
        "url": "/storage/v1/upload/resumable",
        "x_signature": "",
        "Upload_Length": 5,
        "Upload_Metadata": described(),
    }
    made = await tus("POST", **asked, data=b"first", Authorization=f"Bearer {gateway.secret}", **BYTES)
    assert made.status == 201
    assert "/resumable/sign/" not in made.headers["Location"]
    again = await tus("POST", **asked, Authorization=f"Bearer {gateway.secret}")
    assert (again.status, again.text) == (409, "The resource already exists")
    over = await tus("POST", **asked, data=b"other", Authorization=f"Bearer {gateway.secret}", x_upsert="true", **BYTES)
    assert (over.status, (await storage("GET", "object/b/film.mp4")).body) == (201, b"other")
    user = await tus("POST", **asked | {"Upload_Metadata": described("u.mp4")}, Authorization=f"Bearer {mint()}")
    assert (user.status, user.text) == (403, "new row violates row-level security policy")
    bad = await tus("POST", **asked, Authorization="Bearer nonsense")
    assert bad.status == 400
    assert '"statusCode": "403"' in bad.text
    assert "Invalid Compact JWS" in bad.text


async def test_a_page_may_ask_what_is_possible(gateway, http):
    """OPTIONS is a browser's preflight and TUS's own question at once; what a page has to read is exposed."""
    asked = {"Origin": "https://page.example", "Access-Control-Request-Headers": "tus-resumable,x-signature"}
    url = f"{gateway.url}/storage/v1/upload/resumable/sign"
    async with http.options(url, headers=asked) as answer:
        assert (answer.status, answer.headers["Tus-Max-Size"]) == (204, str(50 * 2**30))
        assert answer.headers["Access-Control-Allow-Headers"] == "tus-resumable,x-signature"
        assert {"creation", "termination", "expiration"} <= set(answer.headers["Tus-Extension"].split(","))
        assert {"Location", "Upload-Offset"} <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))
