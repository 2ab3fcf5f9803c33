"""Files that the client brings to Storage and back."""

import pytest

from rhythmai.errors import BadInput, Refused, Unreachable


def lay_upload(api, answer=(200, {}), headers=None):
    ticket = {"upload_url": f"{api.url}/put", "method": "PUT", "headers": headers or {}, "video_url": "v"}
    api.lay("POST /upload", (200, ticket))
    api.lay("PUT /put", answer)


async def test_upload_streams_the_file(api, client, tmp_path):
    """Upload asks for a ticket, sends the file with its length to the ticket's URL, and tells its progress."""
    video = tmp_path / "a b.MP4"
    video.write_bytes(bytes(600_000))
    lay_upload(api, headers={"content-type": "video/mp4"})
    told = []
    assert await client.upload(video, lambda done, total: told.append((done, total))) == "v"
    assert api.body(0) == {"filename": "a b.MP4", "content_type": "video/mp4", "size": 600_000}
    _, headers, body = api.asked[1]
    assert (headers["Content-Length"], headers["Content-Type"], len(body)) == ("600000", "video/mp4", 600_000)
    assert told[-1] == (600_000, 600_000)


@pytest.mark.parametrize(
    ("said", "error"), [("503", Unreachable), ("429", Unreachable), ("409", Refused), (None, Refused)]
)
async def test_storage_says_in_its_answer_what_happened(api, client, tmp_path, said, error):
    """Storage's 400 is what its `statusCode` says: trouble that may pass, or a refusal."""
    (tmp_path / "a.mp4").write_bytes(b"x")
    answer = (400, {"statusCode": said, "error": "e", "message": "m"})
    lay_upload(api, answer)
    api.lay("GET /track", answer)
    with pytest.raises(error):
        await client.upload(tmp_path / "a.mp4")
    with pytest.raises(error):
        await client.download(f"{api.url}/track", tmp_path / "t.flac")


@pytest.mark.parametrize(
    "name", ["00012.MTS", "film.m2ts", "film", "clip.wmv", "a.mxf", "b.3gp", "c.ts", "d.mpg", "e.txt"]
)
async def test_a_video_may_have_any_name(api, client, tmp_path, name):
    """Cameras and browsers name files as they like: what is in it decides, and what has no type of a video goes as bytes."""
    (tmp_path / name).write_bytes(b"\x47\x40\x00\x10" + bytes(184))
    lay_upload(api)
    assert await client.upload(tmp_path / name) == "v"
    kind = api.body(0)["content_type"]
    assert kind.startswith("video/") or kind == "application/octet-stream"


@pytest.mark.parametrize(
    ("name", "words"), [("missing.mp4", "is not a file"), ("notes.txt", "is not a video"), ("zero.mp4", "is empty")]
)
async def test_what_is_no_video_is_not_uploaded(api, client, tmp_path, name, words):
    """A missing or empty file, or a text, is refused before the API is asked."""
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "zero.mp4").touch()
    with pytest.raises(BadInput, match=f"{name} {words}"):
        await client.upload(tmp_path / name)
    assert api.asked == []


async def test_download_appears_when_complete(api, client, tmp_path):
    """A download lands in its file; one that is refused leaves nothing behind."""
    api.lay("GET /track", (200, b"x" * 300_000))
    api.lay("GET /gone", (404, b""))
    assert (await client.download(f"{api.url}/track", tmp_path / "t.flac")).stat().st_size == 300_000
    with pytest.raises(Refused):
        await client.download(f"{api.url}/gone", tmp_path / "g.flac")
    assert [path.name for path in tmp_path.iterdir()] == ["t.flac"]


async def test_a_download_needs_its_folder(api, client, tmp_path):
    """A download into a folder that is not there is a word about the path."""
    api.lay("GET /track", (200, b"x"))
    with pytest.raises(BadInput, match=r"none/t\.flac cannot be written"):
        await client.download(f"{api.url}/track", tmp_path / "none" / "t.flac")
