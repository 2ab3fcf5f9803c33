"""Storage with the real Python clients."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from storage3 import AsyncStorageClient
from storage3.exceptions import StorageApiError
from supabase import create_client

from tests.standin.conftest import mint

TEXT = {"content-type": "text/plain"}


def storage(gateway, key):
    return AsyncStorageClient(f"{gateway.url}/storage/v1/", {"apiKey": key, "Authorization": f"Bearer {key}"})


@pytest.fixture
async def api(gateway):
    async with storage(gateway, gateway.secret) as client:
        yield client


@pytest.fixture
async def bucket(api, request):
    """A private bucket of the test's own, emptied afterwards."""
    name = request.node.name[:60].replace("[", "-").replace("]", "")
    await api.create_bucket(name)
    yield api.from_(name)
    await api.empty_bucket(name)
    await api.delete_bucket(name)


async def test_what_is_uploaded_comes_down_again(bucket):
    """Upload, list, info, exists and download agree about an object."""
    answer = await bucket.upload("a/b.txt", b"hello", {**TEXT, "cache-control": "60", "metadata": {"mood": "calm"}})
    assert answer.full_path.endswith("/a/b.txt")
    assert await bucket.download("a/b.txt") == b"hello"
    assert [(f["name"], f["metadata"]["mimetype"]) for f in await bucket.list("a")] == [("b.txt", "text/plain")]
    info = await bucket.info("a/b.txt")
    assert (info["name"], info["size"], info["content_type"]) == ("a/b.txt", 5, "text/plain")
    assert (info["cache_control"], info["metadata"]) == ("max-age=60", {"mood": "calm"})
    assert await bucket.exists("a/b.txt")
    assert not await bucket.exists("a/c.txt")


async def test_an_object_is_not_overwritten_by_accident(bucket):
    """A second upload is a Duplicate, unless it says upsert or is an update."""
    await bucket.upload("x", b"1", TEXT)
    with pytest.raises(StorageApiError) as refusal:
        await bucket.upload("x", b"2", TEXT)
    assert (refusal.value.status, refusal.value.code) == ("409", "Duplicate")
    await bucket.upload("x", b"3", {**TEXT, "upsert": "true"})
    assert await bucket.download("x") == b"3"
    await bucket.update("x", b"4", TEXT)
    assert await bucket.download("x") == b"4"


async def test_objects_are_copied_moved_and_removed(bucket):
    """copy keeps both, move keeps one, remove keeps none and tells what went."""
    await bucket.upload("from", b"data", TEXT)
    await bucket.copy("from", "copied")
    await bucket.move("from", "deep/moved")
    assert await bucket.download("copied") == await bucket.download("deep/moved") == b"data"
    assert not await bucket.exists("from")
    with pytest.raises(StorageApiError) as refusal:
        await bucket.move("from", "again")
    assert (refusal.value.status, refusal.value.code) == ("404", "not_found")
    gone = await bucket.remove(["copied", "deep/moved", "never was"])
    assert sorted(row["name"] for row in gone) == ["copied", "deep/moved"]


async def test_files_go_with_their_rows(bucket, gateway):
    """After remove and upsert no version is left on disk but the living one."""
    for n in range(3):
        await bucket.upload("x", b"%d" % n, {**TEXT, "upsert": "true"})
    await bucket.upload("y", b"y", TEXT)
    await bucket.remove(["y"])
    files = [path for path in (gateway.storage_dir).rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"2"]


async def test_signed_urls_open_one_object_for_a_while(bucket):
    """A signed URL serves its object without a key, by the download name asked for; another object it does not."""
    await bucket.upload("a.svg", b"<svg/>", {"content-type": "image/svg+xml"})
    url = (await bucket.create_signed_url("a.svg", 60, {"download": "mine.svg"}))["signedURL"]
    async with httpx.AsyncClient(timeout=120) as http:
        answer = await http.get(url)
        assert (answer.status_code, answer.content) == (200, b"<svg/>")
        assert answer.headers["content-disposition"] == "attachment; filename=mine.svg; filename*=UTF-8''mine.svg"
        other = await http.get(url.replace("a.svg", "b.svg"))
        assert (other.status_code, other.json()["error"]) == (400, "InvalidSignature")
    image = (await bucket.create_signed_url("a.svg", 60, {"transform": {"width": 100}}))["signedURL"]
    assert "/render/image/sign/" in image
    async with httpx.AsyncClient(timeout=120) as http:
        assert (await http.get(image)).content == b"<svg/>"
    several = await bucket.create_signed_urls(["a.svg", "none"], 60)
    assert several[0]["signedURL"]
    assert several[1]["signedURL"] is None
    with pytest.raises(StorageApiError, match="Object not found"):
        await bucket.create_signed_url("none", 60)


async def test_a_signed_upload_url_takes_one_object(bucket):
    """A signed upload needs no key, puts the object once, and cannot be used for reading."""
    signed = await bucket.create_signed_upload_url("folder/in.txt")
    await bucket.upload_to_signed_url(signed["path"], signed["token"], b"streamed", TEXT)
    assert await bucket.download("folder/in.txt") == b"streamed"
    with pytest.raises(StorageApiError) as refusal:
        await bucket.upload_to_signed_url(signed["path"], signed["token"], b"again", TEXT)
    assert refusal.value.status == "409"
    async with httpx.AsyncClient(timeout=120) as http:
        answer = await http.get(signed["signed_url"].replace("upload/sign", "sign"))
        assert answer.json()["error"] == "InvalidSignature"


async def test_public_objects_are_served_in_ranges(api, gateway):
    """A public object needs no key and answers Range, HEAD and If-None-Match; a private bucket looks as if it were not there."""
    await api.create_bucket("open", options={"public": True})
    await api.create_bucket("closed")
    await api.from_("open").upload("a.bin", bytes(range(200)), {"content-type": "audio/flac"})
    await api.from_("closed").upload("a.bin", b"x", {"content-type": "audio/flac"})
    url = await api.from_("open").get_public_url("a.bin")
    async with httpx.AsyncClient(timeout=120) as http:
        part = await http.get(url, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
        assert part.headers["content-range"] == "bytes 10-19/200"
        whole = await http.get(url)
        assert whole.headers["content-type"] == "audio/flac"
        assert whole.headers["cache-control"] == "max-age=3600"
        assert whole.headers["access-control-allow-origin"] == "*"
        assert (await http.get(url, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304
        assert (await http.head(url)).headers["content-length"] == "200"
        hidden = await http.get(await api.from_("closed").get_public_url("a.bin"))
        assert (hidden.status_code, hidden.json()["statusCode"]) == (400, "404")


async def test_buckets_have_limits(api):
    """Size and MIME limits of a bucket refuse with the real server's codes and leave nothing."""
    await api.create_bucket("small", options={"file_size_limit": 10, "allowed_mime_types": ["audio/*", "text/plain"]})
    small = api.from_("small")
    with pytest.raises(StorageApiError) as large:
        await small.upload("large", b"12345678901", TEXT)
    assert large.value.status == "413"
    with pytest.raises(StorageApiError) as strange:
        await small.upload("strange", b"x", {"content-type": "video/mp4"})
    assert (strange.value.status, strange.value.code) == ("415", "invalid_mime_type")
    await small.upload("right", b"x", {"content-type": "audio/flac"})
    assert [f["name"] for f in await small.list()] == ["right"]


async def test_buckets_are_made_changed_and_deleted(api):
    """The bucket API: duplicate, get, update, delete only when empty, missing."""
    await api.create_bucket("one", options={"public": True})
    with pytest.raises(StorageApiError) as twice:
        await api.create_bucket("one")
    assert (twice.value.status, twice.value.code) == ("409", "Duplicate")
    await api.update_bucket("one", {"public": False, "file_size_limit": 5})
    one = await api.get_bucket("one")
    assert (one.id, one.public, one.file_size_limit) == ("one", False, 5)
    assert "one" in [b.id for b in await api.list_buckets()]
    await api.from_("one").upload("x", b"x", TEXT)
    with pytest.raises(StorageApiError, match="not empty"):
        await api.delete_bucket("one")
    await api.empty_bucket("one")
    await api.delete_bucket("one")
    with pytest.raises(StorageApiError) as missing:
        await api.get_bucket("one")
    assert (missing.value.status, missing.value.code) == ("404", "Bucket not found")


async def test_lists_show_folders_first_and_page(bucket):
    """A level lists folders without ids before files; limit, offset, search and order hold; v2 pages with a cursor."""
    for name in ("b/1", "b/2", "a/1", "z", "y"):
        await bucket.upload(name, b"", TEXT)
    entries = await bucket.list()
    assert [e["name"] for e in entries] == ["a", "b", "y", "z"]
    assert entries[0]["id"] is None
    assert entries[2]["id"]
    assert [e["name"] for e in await bucket.list("", {"limit": 2, "offset": 1})] == ["b", "y"]
    assert [e["name"] for e in await bucket.list("", {"search": "z"})] == ["z"]
    assert [e["name"] for e in await bucket.list("b", {"sortBy": {"column": "name", "order": "desc"}})] == ["2", "1"]
    page = await bucket.list_v2({"limit": 2})
    assert [o.name for o in page.objects] == ["a/1", "b/1"]
    assert page.hasNext
    rest = await bucket.list_v2({"limit": 10, "cursor": page.nextCursor})
    assert [o.name for o in rest.objects] == ["b/2", "y", "z"]
    folded = await bucket.list_v2({"with_delimiter": True})
    assert [f.name for f in folded.folders] == ["a/", "b/"]


async def test_policies_decide_for_user_tokens(gateway, database, api):
    """A user does with objects what the policies of storage.objects allow, in its own folder."""
    await api.create_bucket("homes")
    await database.execute("""
        create policy "own folder" on storage.objects for all to authenticated
        using (bucket_id = 'homes' and (storage.foldername(name))[1] = (select auth.uid())::text)
        with check (bucket_id = 'homes' and (storage.foldername(name))[1] = (select auth.uid())::text)
    """)
    user = "6a0b2c4e-0000-4000-8000-00000000000a"
    async with storage(gateway, mint(sub=user)) as mine, storage(gateway, mint()) as others:
        await mine.from_("homes").upload(f"{user}/a.txt", b"mine", TEXT)
        assert await mine.from_("homes").download(f"{user}/a.txt") == b"mine"
        assert await others.from_("homes").list(user) == []
        for attempt in (
            others.from_("homes").upload(f"{user}/b.txt", b"", TEXT),
            others.from_("homes").update(f"{user}/a.txt", b"", TEXT),
            others.from_("homes").create_signed_upload_url(f"{user}/c.txt"),
        ):
            with pytest.raises(StorageApiError) as refusal:
                await attempt
            assert (refusal.value.status, refusal.value.code) == ("403", "Unauthorized")
        assert await others.from_("homes").remove([f"{user}/a.txt"]) == []
        with pytest.raises(StorageApiError, match="Object not found"):
            await others.from_("homes").download(f"{user}/a.txt")
        owner = await database.fetchval("select owner_id from storage.objects where bucket_id = 'homes'")
        assert owner == user


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "Invalid Compact JWS"),
        ("nonsense", "Invalid Compact JWS"),
        (mint(secret="x" * 40), "signature verification failed"),
        (mint(lifetime_s=-1), '"exp" claim timestamp check failed'),
    ],
)
async def test_bad_tokens_are_refused(gateway, token, complaint):
    """Without a valid key or token the API answers as the real server does: 400 outside, 403 inside."""
    async with httpx.AsyncClient(timeout=120) as http:
        answer = await http.get(
            f"{gateway.url}/storage/v1/bucket", headers={"Authorization": f"Bearer {token}"} if token else {}
        )
    assert answer.status_code == 400
    assert (answer.json()["statusCode"], answer.json()["message"]) == ("403", complaint)


@pytest.mark.filterwarnings("ignore:The 'timeout' parameter is deprecated")
@pytest.mark.filterwarnings("ignore:The 'verify' parameter is deprecated")
async def test_the_whole_supabase_client_works(gateway):
    """supabase's sync client reaches Storage through its own URL building."""

    def use():
        with create_client(gateway.url, gateway.secret).storage as api:
            api.create_bucket("whole")
            api.from_("whole").upload("a", b"abc", TEXT)
            return api.from_("whole").download("a")

    assert await asyncio.to_thread(use) == b"abc"
