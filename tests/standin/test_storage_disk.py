"""What Storage leaves on disk: whole objects and nothing else."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import resource
import shutil

import pytest

from supabase_standin.storage.failures import disk_failure

SIZE = 60_000_000


@pytest.fixture
async def api(storage):
    """Calls the Storage API with the secret key; answers the status and the bytes."""

    async def call(method, path, **arguments):
        answer = await storage(method, path, **arguments)
        return answer.status, answer.body

    return call


def files(gateway):
    return [path for path in gateway.storage_dir.rglob("*") if path.is_file()]


async def test_a_large_upload_is_streamed(api, gateway):
    """A body far larger than what is ever read at once arrives whole."""

    async def body():
        for _ in range(SIZE // 1_000_000):
            yield b"x" * 1_000_000

    status, _ = await api("POST", "object/b/large", data=body(), headers={"Content-Type": "video/mp4"})
    assert status == 200
    assert [path.stat().st_size for path in files(gateway)] == [SIZE]
    await api("DELETE", "object/b/large")
    assert files(gateway) == []


@pytest.mark.parametrize("form", [False, True])
async def test_half_an_upload_leaves_nothing(gateway, database, api, form):
    """When the client goes in the middle there is neither row nor file."""
    port = int(gateway.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    kind = "multipart/form-data; boundary=xx" if form else "video/mp4"
    start = (
        b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: video/mp4\r\n\r\n'
        if form
        else b""
    )
    writer.write(
        f"POST /storage/v1/object/b/half HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {gateway.secret}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: 10000000\r\n\r\n".encode()
        + start
        + b"x" * 3_000_000
    )
    while not any(path.stat().st_size for path in files(gateway)):
        await asyncio.sleep(0.01)  # until it has begun to write
    writer.transport.abort()
    while files(gateway):
        await asyncio.sleep(0.01)
    assert await database.fetchval("select count(*) from storage.objects where name = 'half'") == 0


async def test_a_refused_upload_leaves_nothing(api, gateway, database):
    """Too large in the middle, a broken form: the file that was begun is gone."""
    await database.execute("insert into storage.buckets (id, name, file_size_limit) values ('tiny', 'tiny', 1000)")

    async def body():
        for _ in range(4):
            yield b"x" * 500

    status, answer = await api("POST", "object/tiny/x", data=body(), headers={"Content-Type": "text/plain"})
    assert (status, json.loads(answer)["statusCode"]) == (400, "413")
    form = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhello\r\n--xx\r\nContent-Disposition: form-data; name="metadata"\r\n\r\nnot json\r\n--xx--\r\n'
    status, answer = await api(
        "POST", "object/b/x", data=form, headers={"Content-Type": "multipart/form-data; boundary=xx"}
    )
    assert (status, json.loads(answer)["code"]) == (400, "InvalidRequest")
    assert files(gateway) == []


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "a//b", "%2e%2e/up", "a/./b", "nul%00", "uml%C3%A4ut", "a%5Cb"]
)
async def test_names_that_could_escape_are_refused(api, gateway, name):
    """Dot segments, empty segments and characters outside Storage's set are invalid keys."""
    for method, path in (("POST", f"object/b/{name}"), ("POST", f"object/upload/sign/b/{name}")):
        status, answer = await api(method, path, data=b"x", headers={"Content-Type": "text/plain"})
        assert (status, json.loads(answer)["error"]) == (400, "InvalidKey")
    assert files(gateway) == []


async def test_a_version_that_is_not_ours_reaches_no_file(api, database):
    """Even a row that was forged in SQL cannot name a file elsewhere."""
    await database.execute(
        "insert into storage.objects (bucket_id, name, version) values ('b', 'forged', '../../../etc/passwd')"
    )
    status, answer = await api("GET", "object/b/forged")
    assert (status, json.loads(answer)["error"]) == (400, "not_found")


async def test_rows_cannot_be_deleted_behind_the_api(database):
    """SQL deletes are refused, as on a hosted project: they would leave files behind."""
    with pytest.raises(Exception, match="Direct deletion from storage tables is not allowed"):
        await database.execute("delete from storage.objects")


async def test_uploaded_pages_are_shown_not_run(api):
    """Responses are sandboxed: an uploaded page shares its origin with the app."""
    await api("POST", "object/b/page.html", data=b"<script>", headers={"Content-Type": "text/html"})
    status, answer = await api("GET", "object/b/page.html")
    assert (status, answer) == (200, b"<script>")


@pytest.mark.parametrize("folder", ["partial", "objects", "."])
async def test_directories_that_were_removed_are_made_again(api, gateway, folder):
    """Whoever tidies up under a running gateway stops nobody's next upload."""
    shutil.rmtree(gateway.storage_dir / folder)
    status, _ = await api("POST", "object/b/again", data=b"x", headers={"Content-Type": "text/plain"})
    assert status == 200
    assert await api("GET", "object/b/again") == (200, b"x")
    await api("DELETE", "object/b/again")


@pytest.mark.parametrize("folder", ["partial", "objects"])
async def test_a_directory_that_cannot_be_used_is_named(api, gateway, folder, caplog):
    """Trouble with the disk is a 500 that says whose directory it is, never an absent database, and leaves no row."""
    shutil.rmtree(gateway.storage_dir / folder)
    (gateway.storage_dir / folder).write_text("in the way")
    status, answer = await api("POST", "object/b/never", data=b"x", headers={"Content-Type": "text/plain"})
    answer = json.loads(answer)
    assert (status, answer["statusCode"], answer["code"]) == (500, "500", "InternalError")
    assert "STORAGE_DIR" in answer["message"]
    assert str(gateway.storage_dir / folder) in caplog.text
    assert (await api("GET", "object/b/never"))[0] == 400


async def test_a_full_disk_says_so(api, gateway):
    """An upload for which there is no room is 507, and what was written of it is gone."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, limit[1]))
    try:
        body = io.BytesIO(b"x" * 3_000_000)
        status, answer = await api("POST", "object/b/x", data=body, headers={"Content-Type": "text/plain"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (status, json.loads(answer)["statusCode"]) == (507, "507")
    assert files(gateway) == []


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EACCES, 500), (errno.EIO, 500)]
)
def test_no_room_is_told_from_no_right(number, status):
    """A full disk or quota is 507: free some room; whatever else the disk refuses is 500."""
    assert disk_failure(OSError(number, "no")).status == status
