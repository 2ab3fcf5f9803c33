"""HttpFetcher: a stranger's URL to disk, over aiohttp.

Three ways in. A stranger's link goes through `checked_connector`: http(s), public addresses only, looked at again after
every redirect. An object in the public buckets of our own Supabase project may be fetched wherever the project stands
(loopback, for the local stack), by exactly that origin and path, and not a step out of it. An object of the buckets that
INPUT_BUCKETS names (storage://bucket/path) is asked for with the worker's key, which goes to Storage and never further.
Nothing else of ours travels along: no keys, no cookies, no proxy or netrc from the environment.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from worker.addresses import Policy, bare, checked_connector, public_url, why_forbidden
from worker.errors import Rejected, ServiceAway, Unavailable, WorkerError
from worker.inputs import Inputs

MAX_REDIRECTS = 5
_CHUNK_BYTES = 256 * 1024
_HEADERS = {"Accept": "video/*, audio/*, */*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "RhythmAI/1"}
_OBJECT = re.compile(
    r"/storage/v1/object/public/(?:uploads|audios|videos)/([A-Za-z0-9._~%!$&'()*+,;=:@/-]+)(?:\?[^#\s]*)?"
)
_RANGE = re.compile(r"bytes\s+0-(?P<last>\d{1,18})/(?P<total>\d{1,18})", re.IGNORECASE)
_COMPRESSED = re.compile(
    r"(?<![\w-])(?:x-)?(?:gzip|gz|zip|compress|bzip2|deflate|br|brotli|zstd|dcb|dcz|exi|pack200-gzip|aes128gcm|lzma|xz|lz4|snappy)(?![\w-])"
)
"""Content codings that change the bytes. Other words (aws-chunked, none, utf-8) come from servers that mean something else."""
_LONGEST_LINE, _MOST_HEADERS = 2**16, 1000  # of an answer: content policies and signed links are long
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429}  # client errors that go away by themselves


def covers(supabase_url: str, url: str) -> bool:
    """Whether the URL, as it is written, is an object in a public bucket of this project, which may be fetched although its
    address is private. Nothing is normalised, so nothing can hide.
    """
    origin = str(URL(supabase_url).origin())
    match = url.startswith(origin) and _OBJECT.fullmatch(url, len(origin))
    names = map(unquote, match[1].split("/")) if match else [""]
    # A percent sign left over after decoding is a second layer for somebody else to decode.
    return all(name not in {"", ".", ".."} and not re.search(r"[/\\%\x00-\x1f]", name) for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFetcher:
    """Implements `Fetcher`. `supabase_url` names our own project, `inputs` what is private in it; `resolver` and `policy` are seams
    for tests."""

    supabase_url: str | None = None
    inputs: Inputs | None = None
    max_bytes: int = 512 * 2**20
    total: timedelta = timedelta(minutes=10)
    stall: timedelta = timedelta(seconds=30)
    resolver: AbstractResolver | None = None
    policy: Policy = why_forbidden

    async def fetch(self, url: str, into: Path) -> Path:
        """Stream the URL to a new file in the folder `into`; its name and suffix say nothing about what is in it.

        Raises Rejected (bad_url, forbidden_address, too_large, not_found, http_error) or Unavailable (unreachable,
        upstream_error, timeout; ServiceAway for our own Storage); nothing is left on disk then.
        """
        target = into / f"media-{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(self.total.total_seconds()):
                await self._download(url, target)
        except BaseException as error:
            target.unlink(missing_ok=True)
            if isinstance(error, (aiohttp.ClientError, OSError)):  # TimeoutError is an OSError
                told = _translated(error, url)
                if isinstance(told, Unavailable) and (self._stored(url) or self._covers(url)):
                    told = ServiceAway(str(told), code=told.code)
                raise told from error
            raise
        return target

    async def _download(self, url: str, target: Path) -> None:
        async with self._answer(url) as answer:
            if answer.content_length is not None and answer.content_length > self.max_bytes:
                raise self._too_large(url, f"is {_megabytes(answer.content_length)}")
            received = 0
            with await asyncio.to_thread(target.open, "xb") as file:
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    received += len(chunk)
                    if received > self.max_bytes:
                        raise self._too_large(url, "goes on and on")
                    await asyncio.to_thread(file.write, chunk)

    @asynccontextmanager
    async def _answer(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Follow redirects to an answer that brings the file; every hop is checked like the first."""
        stored = self._stored(url)
        own = stored is not None or self._covers(url)
        stall_s = self.stall.total_seconds()
        connector = aiohttp.TCPConnector() if own else checked_connector(self.resolver, self.policy)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=None, connect=stall_s, sock_read=stall_s),
            headers={**_HEADERS, **(self.inputs.headers if stored and self.inputs else {})}, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
            max_line_size=_LONGEST_LINE, max_field_size=_LONGEST_LINE, max_headers=_MOST_HEADERS,
        ) as session:  # fmt: skip
            hop = stored or (URL(url, encoded=True) if own else public_url(url, self.policy))
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(hop, allow_redirects=False) as answer:
                    if answer.status not in _REDIRECTS:
                        if stored and 400 <= answer.status < 500 and answer.status not in _PASSING:
                            raise Rejected(
                                f"Storage answered {answer.status} for {bare(url)}: there is no such object, or this worker's key "
                                "may not read its bucket, which `rhythmai migrate` lets it where INPUT_BUCKETS names that",
                                code="not_found",
                            )
                        _expect_the_file(answer, url, own=own)
                        yield answer
                        return
                if own:
                    raise Rejected(
                        f"{bare(url)} redirects out of our storage; give the object's own link",
                        code="forbidden_address",
                    )
                hop = public_url(_redirected(hop, answer), self.policy, _LONGEST_LINE)
            raise Rejected(
                f"{bare(url)} redirects more than {MAX_REDIRECTS} times; give the file's own link", code="http_error"
            )

    def _stored(self, url: str) -> URL | None:
        return self.inputs.find(url) if self.inputs else None

    def _covers(self, url: str) -> bool:
        return bool(self.supabase_url and covers(self.supabase_url, url))

    def _too_large(self, url: str, what: str) -> Rejected:
        limit = _megabytes(self.max_bytes)
        return Rejected(f"{bare(url)} {what}, the limit is {limit}; send a shorter or smaller file", code="too_large")


def _redirected(base: URL, answer: aiohttp.ClientResponse) -> str:
    """Resolve the Location of an answer. Raises Rejected when there is none or it is no URL.

    Only bytes that no URL may hold are escaped, one by one, whatever encoding they are in.
    """
    raw = next((value.strip() for name, value in answer.raw_headers if name.lower() == b"location"), b"")
    text = raw.decode("utf-8", "surrogateescape")
    location = re.sub(r"[\x00-\x20\x7f\\\udc80-\udcff]", lambda char: f"%{ord(char[0]) & 0xFF:02X}", text)
    try:
        parsed = URL(location, encoded=True)
        if parsed.scheme:
            return location
        if parsed.raw_authority:
            return f"{base.scheme}:{location}"
        if location:
            return f"{base.origin()}{location}" if location.startswith("/") else urljoin(str(base), location)
    except ValueError:
        pass
    raise Rejected(
        f"{bare(base)} redirects to nowhere ({bare(location)!r}); give the file's own link", code="http_error"
    )


def _expect_the_file(answer: aiohttp.ClientResponse, url: str, *, own: bool) -> None:
    """Raise Rejected or Unavailable unless the body is a whole file, as it is."""
    status, said = answer.status, f"{bare(url)} answered {answer.status}"
    # Supabase Storage answers 400 for a missing object and keeps the 404 for the body.
    if status in {404, 410} or (own and status == 400):
        raise Rejected(f"{said}: there is no such file; check the link", code="not_found")
    if status >= 500 or status in _PASSING:
        away = ServiceAway if own else Unavailable
        raise away(f"{said}; try again later", code="upstream_error")
    if status >= 300:
        raise Rejected(f"{said}; give a link that anyone can open without signing in", code="http_error")
    part = _RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if status in {204, 205} or (status == 206 and not (part and int(part["last"]) + 1 == int(part["total"]))):
        raise Rejected(
            f"{said}, which brings no file or a part of one; give a link to the whole file", code="http_error"
        )
    if packed := _COMPRESSED.search(",".join(answer.headers.getall("Content-Encoding", [])).lower()):
        raise Rejected(
            f"{bare(url)} was answered in compressed form ({packed[0]}), although plain bytes were asked for; "
            "put the file on a server that sends it as it is",
            code="http_error",
        )


def _translated(error: Exception, url: str) -> WorkerError:
    where = bare(url)
    match error:
        case TimeoutError():
            return Unavailable(f"{where} took too long to answer; try again later", code="timeout")
        case aiohttp.ClientConnectorDNSError():
            return Unavailable(f"The host {error.host} was not found; check the link's spelling", code="unreachable")
        case aiohttp.ClientConnectorCertificateError():
            return Unavailable(
                f"The certificate of {error.host} is not valid; use a link on another host", code="unreachable"
            )
        case aiohttp.ClientError():
            return Unavailable(f"{where} could not be read to its end ({type(error).__name__})", code="unreachable")
        case _:
            return Unavailable(f"The worker could not store {where} on its disk ({error.strerror})", code="no_disk")  # type: ignore[attr-defined]


def _megabytes(count: int) -> str:
    return f"{count / 2**20:.1f} MB"
