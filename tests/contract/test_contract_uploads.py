"""Uploads over REST: signed, and whatever a browser calls them, on both hosts."""

from __future__ import annotations

import pytest

from tests.contract.conftest import ask


async def test_upload_signs_an_unguessable_path(api, storage_url):
    """`POST /api/v1/upload` answers where to PUT the video; the path has 128 random bits and nothing of the user."""
    body = {"filename": "../../Mein Urlaub.mov", "content_type": "video/quicktime", "size": 1000}
    status, signed = await ask(api, "post", "/api/v1/upload", json=body)
    assert status == 200, signed
    path = signed["video_url"].removeprefix(f"{storage_url}/storage/v1/object/public/uploads/")
    assert len(bytes.fromhex(path.removesuffix(".mov"))) == 16
    assert signed["upload_url"].startswith(f"{storage_url}/storage/v1/object/upload/sign/uploads/{path}?token=")
    assert (signed["method"], signed["headers"]) == ("PUT", {"content-type": "video/quicktime", "x-upsert": "false"})
    assert signed["expires_at"] == "2030-03-17T17:46:40+00:00"
    assert signed["resumable"] == {
        "endpoint": f"{storage_url}/storage/v1/upload/resumable/sign",
        "headers": {"x-signature": signed["upload_url"].partition("?token=")[2]},
        "metadata": {
            "bucketName": "uploads",
            "objectName": path,
            "contentType": "video/quicktime",
            "cacheControl": "3600",
        },
        "chunk_size": 6 * 2**20,
    }


@pytest.mark.parametrize(
    ("declared", "signed", "suffix"),
    [
        ("video/matroska", "video/matroska", ""),
        ("video/webm;codecs=vp9,opus", "video/webm", ".webm"),
        ("video/MP4", "video/mp4", ".mp4"),
        ("Video/Quicktime ; x=1", "video/quicktime", ".mov"),
        ("video/vnd.dlna.mpeg-tts", "video/vnd.dlna.mpeg-tts", ""),
        ("video/<b>", "application/octet-stream", ""),
        ("application/mxf", "application/octet-stream", ""),
        ("image/gif", "application/octet-stream", ""),
        ("", "application/octet-stream", ""),
    ],
)
async def test_upload_takes_whatever_a_browser_calls_it(api, declared, signed, suffix):
    """Content decides: another name, parameters and capitals, and no type at all are fine; what is no video's name is stored as bytes."""
    body = {"filename": "00012.MTS", "content_type": declared, "size": 1000}
    status, answer = await ask(api, "post", "/api/v1/upload", json=body)
    assert (status, answer.get("headers")) == (200, {"content-type": signed, "x-upsert": "false"})
    name = answer["video_url"].rpartition("/")[2]
    assert (len(bytes.fromhex(name[:32])), name[32:]) == (16, suffix)


async def test_upload_refuses_what_the_bucket_would(api):
    """A video over 512 MB is 413, a text is 422."""
    film = {"filename": "a.mp4", "content_type": "video/mp4", "size": 512 * 2**20 + 1}
    status, problem = await ask(api, "post", "/api/v1/upload", json=film)
    assert (status, problem["code"]) == (413, "payload_too_large")
    status, problem = await ask(api, "post", "/api/v1/upload", json={**film, "content_type": "text/html", "size": 1})
    assert (status, problem["code"]) == (422, "invalid_request")
