"""A resumable upload, as the client speaks TUS: what goes over the wire, and what it makes of odd answers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest

from rhythmai.errors import Refused, Unreachable
from rhythmai.resumable import ResumableUpload

ENDPOINT = "https://ref.supabase.co/storage/v1/upload/resumable/sign"


class Answering:
    """A session that answers every request with the same headers, status and text; remembers what was asked."""

    def __init__(self, status=200, text="", **headers):
        self.asked = []
        self._answer = SimpleNamespace(
            status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, text=self._text
        )
        self._said = text

    async def _text(self, errors):
        return self._said

    @asynccontextmanager
    async def request(self, method, url, headers, data):
        self.asked.append((method, url, headers))
        yield self._answer


def upload(http, **options):
    resumable = {
        "endpoint": ENDPOINT,
        "headers": {"x-signature": "token"},
        "metadata": {"bucketName": "uploads", "objectName": "ä.mp4"},
        "chunk_size": 6 * 2**20,
    }
    return ResumableUpload(http, resumable, **options)


async def test_a_creation_says_what_is_to_come():
    """Length, metadata in base64, the ticket's headers, and no Authorization."""
    http = Answering(201, Location=f"{ENDPOINT}/abc")
    await upload(http).create(7)
    ((method, url, headers),) = http.asked
    assert (method, url) == ("POST", ENDPOINT)
    assert headers == {
        "Tus-Resumable": "1.0.0",
        "x-signature": "token",
        "Upload-Length": "7",
        "Upload-Metadata": "bucketName dXBsb2Fkcw==,objectName w6QubXA0",
    }


@pytest.mark.parametrize(
    "location",
    ["/storage/v1/upload/resumable/sign/abc", f"{ENDPOINT}/abc", f"{ENDPOINT.replace('https', 'http')}/abc"],
)
async def test_an_address_is_resolved_and_never_leaves_tls(location):
    """Relative or absolute; a Storage that does not know of the TLS before it does not get the token in plain text."""
    made = upload(Answering(201, Location=location))
    await made.create(7)
    assert made.location == f"{ENDPOINT}/abc"


async def test_what_is_no_storage_is_told():
    """Who answers 2xx in Storage's place, without its headers, is trouble and no upload."""
    with pytest.raises(Unreachable, match="is not Storage: it says no Location"):
        await upload(Answering(201)).create(7)
    for headers in ({}, {"Upload_Offset": "many"}):
        with pytest.raises(Unreachable, match="is not Storage: it says no Upload-Offset"):
            await upload(Answering(200, **headers), location=ENDPOINT).offset()


@pytest.mark.parametrize(
    ("status", "text", "error", "said"),
    [
        (400, '{"statusCode":"403","error":"Unauthorized","message":"Invalid Compact JWS"}', Refused, "^Invalid Compact JWS$"),
        (409, "Upload-Offset conflict\n", Refused, "^Upload-Offset conflict$"),
        (423, "Locked", Unreachable, "trouble"),
        (503, "", Unreachable, "trouble"),
    ],
)  # fmt: skip
async def test_refusals_speak(status, text, error, said):
    """Storage's JSON and TUS's plain text are both understood; what may pass is told apart."""
    with pytest.raises(error, match=said):
        await upload(Answering(status, text), location=ENDPOINT).delete()


async def test_a_connection_that_takes_nothing_is_given_up():
    """A tunnel, seen from inside: bytes leave no more, nobody says so, and the piece is sent again later."""

    over = asyncio.Event()

    async def silent(_reader, writer):
        await over.wait()
        writer.transport.abort()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server, aiohttp.ClientSession() as http:
        there = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/abc"
        with pytest.raises(Unreachable, match="Storage has taken nothing for"):
            await upload(http, location=there, stall_s=0.2).send(0, bytes(6 * 2**20), lambda _: None)
        over.set()
