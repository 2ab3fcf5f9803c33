"""Downloads under conditions and in ranges, as RFC 9110 has them; headers that come from uploads."""

from __future__ import annotations

import aiohttp
import pytest

BODY = bytes(range(200))
BINARY = {"Content-Type": "application/octet-stream"}


@pytest.fixture
async def get(storage):
    """Downloads an object of 200 bytes."""
    assert (await storage("PUT", "object/b/x", data=BODY, headers=BINARY)).status == 200

    async def call(method="GET", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await storage(method, "object/public/b/x", headers=names)

    return call


@pytest.mark.parametrize(
    ("wanted", "got"),
    [("bytes=10-19", BODY[10:20]), ("bytes=190-", BODY[190:]), ("bytes=-5", BODY[-5:]), ("bytes=-500", BODY),
     ("bytes=0-9999", BODY)],
)  # fmt: skip
async def test_one_range_is_answered(get, wanted, got):
    """A first byte, a last one or both; what lies beyond the end is cut."""
    answer = await get(Range=wanted)
    assert (answer.status, answer.body) == (206, got)
    assert answer.headers["Content-Range"].endswith("/200")


@pytest.mark.parametrize("wanted", ["bytes=200-", "bytes=1000-2000"])
async def test_a_range_outside_is_416(get, wanted):
    """Nothing of it is there: the refusal tells how long the object is."""
    answer = await get(Range=wanted)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */200")


async def test_a_download_is_resumed_only_with_the_same_version(get, storage):
    """If-Range with the tag of an older version, a weak one or an older date answers the whole new object."""
    first = await get()
    kept = {"Range": "bytes=100-", "If_Range": first.headers["ETag"]}
    assert (await get(**kept)).status == 206
    assert (await get(**kept | {"If_Range": first.headers["Last-Modified"]})).status == 206
    await storage("PUT", "object/b/x", data=BODY[::-1], headers=BINARY)
    second = await get()
    for since in (first.headers["ETag"], f"W/{second.headers['ETag']}", "Sat, 01 Jan 2000 00:00:00 GMT", "nonsense"):
        answer = await get(**kept | {"If_Range": since})
        assert (answer.status, answer.body) == (200, BODY[::-1])


async def test_an_empty_object_is_served(get, storage):
    """No bytes are an object too; no range of them is there."""
    await storage("PUT", "object/b/x", data=b"", headers=BINARY)
    assert (await get()).status == 200
    assert (await get(Range="bytes=0-")).status == 416


@pytest.mark.parametrize(
    ("field", "value"),
    [("cacheControl", "1\r\nSet-Cookie: a=b"), ("cacheControl", "1\x00"), ("cacheControl", "été")],
)
async def test_form_fields_become_headers_only_if_they_can(storage, field, value):
    """What would break a later answer, or speak in its name, is refused with the upload."""
    form = aiohttp.FormData()
    form.add_field(field, value)
    form.add_field("file", b"x", filename="x", content_type="text/plain")
    answer = await storage("POST", "object/b/never", data=form)
    assert (answer.status, answer.json()["code"]) == (400, "InvalidRequest")
    assert (await storage("GET", "object/public/b/never")).status == 400


@pytest.mark.parametrize("kind", ["text/plain\x01", "text/plain; charset=\xe9", "text"])
async def test_a_part_s_type_must_be_one(storage, kind):
    """A content type is a type and a subtype in printable ASCII."""
    form = f'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: {kind}\r\n\r\nhello\r\n--xx--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=xx"}
    answer = await storage("POST", "object/b/never", data=form.encode(), headers=headers)
    assert answer.status == 400
    assert answer.json()["statusCode"] in ("400", "415")


async def test_headers_that_sql_wrote_do_not_break_a_download(get, database):
    """Rows may be written in SQL: what cannot be a header gives way to the default."""
    await database.execute(
        """update storage.objects set metadata = '{"mimetype": "text/plain\\r\\nX: y", "cacheControl": 5}' where name = 'x'"""
    )
    answer = await get()
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_a_cache_time_is_kept(storage):
    """The form's cacheControl is a max-age; a header Cache-Control is taken as it is."""
    form = aiohttp.FormData({"cacheControl": "60"})
    form.add_field("file", b"x", filename="x", content_type="text/plain")
    await storage("POST", "object/b/form", data=form)
    assert (await storage("GET", "object/public/b/form")).headers["Cache-Control"] == "max-age=60"
    plain = {"Content-Type": "text/plain", "Cache-Control": "public, max-age=5"}
    await storage("POST", "object/b/plain", data=b"x", headers=plain)
    assert (await storage("GET", "object/public/b/plain")).headers["Cache-Control"] == "public, max-age=5"
