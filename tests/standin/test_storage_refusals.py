"""Whatever is sent, Storage answers in its own shape: 400 for what the caller can put right, else a 500 that is logged."""

from __future__ import annotations

import asyncio
import io
import json

import aiohttp
import pytest

from tests.standin.conftest import PUBLISHABLE_KEY, SECRET_KEY

TEXT = {"Content-Type": "text/plain"}
DEEP = "[" * 100_000


def refused(answer, status=400):
    """The body of a refusal, in Storage's shape."""
    body = answer.json()
    assert answer.status == status, body
    assert body.keys() == {"statusCode", "error", "message", "code"}
    return body


BAD = [
    ("GET", "object/public/b/nul%00", None),
    ("GET", "object/public/b%00/x", None),
    ("GET", "object/b/nul%00", None),
    ("GET", "object/info/b/nul%00", None),
    ("GET", "bucket/nul%00", None),
    ("DELETE", "object/b/nul%00", None),
    ("DELETE", "object/b", '{"prefixes": ["nul\\u0000"]}'),
    ("DELETE", "object/b", '{"prefixes": ["\\ud800"]}'),
    ("DELETE", "object/b", '{"prefixes": "x"}'),
    ("DELETE", "object/b", '{"prefixes": [1.5, null]}'),
    ("POST", "object/list/b", '{"prefix": "nul\\u0000"}'),
    ("POST", "object/list/b", '{"prefix": "\\ud800"}'),
    ("POST", "object/list/b", '{"prefix": "", "sortBy": [1]}'),
    ("POST", "object/list/b", '{"prefix": "", "sortBy": {"column": "size"}}'),
    ("POST", "object/list/b", '{"prefix": "", "sortBy": {"column": "name", "order": "up"}}'),
    ("POST", "object/list/b", '{"prefix": "", "offset": 1e30}'),
    ("POST", "object/list/b", '{"prefix": "", "offset": 99999999999999999999999}'),
    ("POST", "object/list/b", '{"prefix": "", "limit": -1}'),
    ("POST", "object/list/b", '{"prefix": "", "limit": "many"}'),
    ("POST", "object/list/b", "not json"),
    ("POST", "object/list/b", "[]"),
    ("POST", "object/list/b", DEEP),
    ("POST", "object/list/b", b'{"prefix": "\xff"}'),
    ("POST", "object/list-v2/b", '{"limit": 0}'),
    ("POST", "object/list-v2/b", '{"cursor": "nul\\u0000"}'),
    ("POST", "object/sign/b/x", '{"expiresIn": 1e400}'),
    ("POST", "object/sign/b/x", '{"expiresIn": 0}'),
    ("POST", "object/sign/b/x", "{}"),
    ("POST", "object/sign/b", '{"paths": ["x"], "expiresIn": "soon"}'),
    ("POST", "object/sign/b", '{"expiresIn": 60}'),
    ("POST", "object/move", '{"bucketId": "b", "sourceKey": "nul\\u0000", "destinationKey": "x"}'),
    ("POST", "object/copy", '{"bucketId": "b", "sourceKey": "x", "destinationKey": {}}'),
    ("POST", "bucket", '{"name": "nul\\u0000"}'),
    ("POST", "bucket", '{"name": ["x"]}'),
    ("POST", "bucket", '{"name": "x", "id": "nul\\u0000"}'),
    ("POST", "bucket", '{"name": "x", "public": "perhaps"}'),
    ("POST", "bucket", '{"name": "x", "file_size_limit": -1}'),
    ("POST", "bucket", '{"name": "x", "file_size_limit": 99999999999999999999}'),
    ("POST", "bucket", '{"name": "x", "file_size_limit": "much"}'),
    ("POST", "bucket", '{"name": "x", "file_size_limit": "99999999999999GB"}'),
    ("POST", "bucket", '{"name": "x", "allowed_mime_types": "audio/flac"}'),
    ("POST", "bucket", '{"name": "x", "allowed_mime_types": [1.5, {}]}'),
    ("POST", "bucket", '{"name": "%s"}' % ("x" * 64)),
    ("PUT", "bucket/b", '{"public": []}'),
    ("PUT", "bucket/b", '{"file_size_limit": -5}'),
]


async def test_what_cannot_be_is_refused(storage, database):
    """Bodies of the wrong shape, characters that Postgres cannot keep and numbers out of range are 400, never a crash."""
    for method, path, body in BAD:
        await storage("POST", "object/b/x", data=b"x", headers=TEXT)
        answer = await storage(method, path, data=body, headers={"Content-Type": "application/json"})
        assert refused(answer)["statusCode"] in ("400", "404"), (method, path, body)
        made = await database.fetchval("select count(*) from storage.buckets where name <> 'b' and not public")
        assert made == 0, (method, path, body)


async def test_metadata_that_cannot_be_kept_is_refused(storage):
    """What a client says about its object is a JSON object that Postgres can keep."""
    for metadata in (DEEP, "[]", '{"a": NaN}', '{"a": "\\u0000"}', "{"):
        form = aiohttp.FormData({"metadata": metadata})
        form.add_field("file", b"x", filename="x", content_type="text/plain")
        refused(await storage("POST", "object/b/never", data=form))


async def test_the_charset_of_json_is_nobody_s_choice(storage):
    """JSON is UTF-8 whatever the header says, also when nobody knows the charset."""
    answer = await storage(
        "POST", "object/list/b", data='{"prefix": ""}', headers={"Content-Type": "application/json; charset=klingon"}
    )
    assert (answer.status, answer.json()) == (200, [])


async def test_numbers_and_truths_may_be_texts(storage):
    """Like the real server, "5" is taken for 5 and "true" for true."""
    answer = await storage("POST", "object/list/b", json={"prefix": "", "limit": "5"})
    assert answer.status == 200
    assert (await storage("PUT", "bucket/b", json={"public": "true", "file_size_limit": None})).status == 200


async def test_a_body_beyond_the_limit_is_too_large(storage):
    """JSON bodies have a limit, and passing it is 413 in Storage's shape."""
    answer = await storage("POST", "object/list/b", data=io.BytesIO(b" " * 6_000_000))
    assert refused(answer)["statusCode"] == "413"


async def test_a_row_without_a_version_has_no_file(storage, database):
    """A row made in SQL may lack all that the API writes: it is not found, and can be described and replaced."""
    await database.execute("insert into storage.objects (bucket_id, name) values ('b', 'bare')")
    for path in ("object/b/bare", "object/public/b/bare"):
        assert (refused(await storage("GET", path)))["code"] == "NoSuchKey"
    assert (await storage("GET", "object/info/b/bare")).status == 200
    copy = {"bucketId": "b", "sourceKey": "bare", "destinationKey": "copy"}
    assert (refused(await storage("POST", "object/copy", json=copy)))["code"] == "NoSuchKey"
    assert (await storage("PUT", "object/b/bare", data=b"x", headers=TEXT)).status == 200


@pytest.mark.parametrize("error", ["raise exception 'no moon'", "perform x from nowhere"])
async def test_a_policy_that_fails_is_a_logged_500(gateway, storage, database, caplog, error):
    """What is neither the caller's fault nor known answers Internal Server Error, and the log has the reason."""
    await database.execute(f"""
        create function public.moody() returns boolean language plpgsql as $$ begin {error}; return true; end $$;
        create policy moody on storage.objects for select to anon using (public.moody());
    """)
    try:
        await storage("POST", "object/b/x", data=b"x", headers=TEXT)
        headers = {"Authorization": f"Bearer {gateway.anon}"}
        body = refused(await storage("GET", "object/info/b/x", headers=headers), 500)
    finally:
        await database.execute("drop policy moody on storage.objects; drop function public.moody()")
    assert body == {
        "statusCode": "500", "error": "Internal", "message": "Internal Server Error", "code": "InternalError",
    }  # fmt: skip
    assert "storage.failed" in caplog.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_of_a_token_has_no_case(storage, scheme):
    """`bearer` is Bearer, as RFC 9110 has it."""
    assert (await storage("GET", "bucket", headers={"Authorization": f"{scheme} {SECRET_KEY}"})).status == 200


async def test_a_token_of_strange_bytes_is_refused(gateway):
    """Bytes that are no text are no token either."""
    host = gateway.url.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(
        f"GET /storage/v1/bucket HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer ".encode()
        + b"\xff\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["statusCode"] == "403"


async def test_buckets_have_names_of_at_most_63_characters(storage, database):
    """The longest name is 63 characters; a size may carry its unit, and nothing is no limit."""
    name = "n" * 63
    answer = await storage("POST", "bucket", json={"name": name, "file_size_limit": "1.5kb"})
    assert (answer.status, answer.json()) == (200, {"name": name})
    assert (await storage("GET", f"bucket/{name}")).json()["file_size_limit"] == 1500
    await storage("PUT", f"bucket/{name}", json={"file_size_limit": None})
    assert (await storage("GET", f"bucket/{name}")).json()["file_size_limit"] is None
    assert (await storage("DELETE", f"bucket/{name}")).status == 200


async def test_a_move_names_what_it_moved(storage):
    """The answer carries the object's id, which stays, and its new key."""
    made = (await storage("POST", "object/b/from", data=b"x", headers=TEXT)).json()
    answer = await storage(
        "POST", "object/move", json={"bucketId": "b", "sourceKey": "from", "destinationKey": "deep/to"}
    )
    assert answer.json() == {"message": "Successfully moved", "Id": made["Id"], "Key": "deep/to"}


@pytest.mark.parametrize("key", ["", PUBLISHABLE_KEY])
async def test_visitors_make_no_buckets(storage, key):
    """Without a right there is a refusal, in the same shape."""
    answer = await storage("POST", "bucket", json={"name": "mine"}, headers={"Authorization": f"Bearer {key}"})
    assert refused(answer)["statusCode"] == "403"
