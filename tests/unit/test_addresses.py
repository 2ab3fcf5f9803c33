"""Which addresses and URLs a stranger may send us to."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.stranger import Names
from worker.addresses import CheckedResolver, bare, checked_connector, public_url, why_forbidden
from worker.errors import Rejected

FORBIDDEN = [
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2a00:1450::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_forbidden_addresses(text: str) -> None:
    """Private, special and translated addresses are forbidden, and the reason is named."""
    assert why_forbidden(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text: str) -> None:
    """Addresses of the public internet are allowed, right up to the borders of the forbidden ranges."""
    assert why_forbidden(ipaddress.ip_address(text)) is None


@given(st.ip_addresses())
def test_nothing_the_standard_library_calls_private_is_allowed(address: ipaddress.IPv4Address) -> None:
    """Whatever is not global for the standard library is forbidden, translations of public IPv4 addresses aside."""
    translated = address.version == 6 and (address.ipv4_mapped or address in ipaddress.ip_network("64:ff9b::/96"))
    if not address.is_global and not translated:
        assert why_forbidden(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.mp4",
        "http://0177.1/a.mp4",
        "http://0177.0.0.01/a.mp4",
        "http://2130706433/a.mp4",
        "http://0x7f.1/a.mp4",
        "http://0x7f000001/a.mp4",
        "http://127.1/a.mp4",
        "http://127.0.0.1./a.mp4",
        "http://①②⑦.⓪.⓪.①/a.mp4",
        "http://127。0。0。1/a.mp4",
        "http://[::1]/a.mp4",
        "http://[::ffff:7f00:1]/a.mp4",
        "http://[fe80::1%25eth0]/a.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
    ],
)
def test_literals_in_any_dress(url: str) -> None:
    """A forbidden address is recognised in every notation a C library or a browser would accept."""
    with pytest.raises(Rejected) as caught:
        public_url(url)
    assert caught.value.code == "forbidden_address"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "video.mp4",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://example.com/a.mp4",
        "data:video/mp4;base64,AAAA",
        "javascript:alert(1)",
        "http:///a.mp4",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://user@example.com/a.mp4",
        "http://user:secret@example.com/a.mp4",
        "http://example.com:80@127.0.0.1/a.mp4",
        "http://example.com\\@127.0.0.1/a.mp4",
        "http://example.com/a b.mp4",
        "http://example.com/a.mp4\r\nHost: evil",
        "http://example.com/\x00",
        "http://[::1",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_bad_urls(url: str) -> None:
    """What is not a plain http(s) link is refused as one, without repeating a password."""
    with pytest.raises(Rejected) as caught:
        public_url(url)
    assert caught.value.code == "bad_url"
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_rejected(text: str) -> None:
    """No text makes the check fail in any other way."""
    for candidate in (text, f"http://{text}", f"https://example.com/{text}"):
        with suppress(Rejected):
            assert public_url(candidate).scheme in {"http", "https"}


def test_bare_hides_secrets() -> None:
    """A URL in a message has lost its user, query and fragment."""
    assert bare("https://me:pw@example.com/a@b.mp4?token=1#x") == "https://example.com/a@b.mp4"


async def test_one_forbidden_address_spoils_the_answer() -> None:
    """A name that also leads to a private address is refused, whatever else it leads to."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(Rejected, match=r"mixed\.example leads to a private network"):
        await CheckedResolver(Names(resolve)).resolve("mixed.example", 80)


async def test_every_address_of_a_good_answer_is_kept() -> None:
    """A name keeps all its public addresses, so that one broken route does not break the fetch."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["8.8.8.8", "2606:4700::1111"]

    answer = await CheckedResolver(Names(resolve)).resolve("good.example", 443)
    assert [(entry["host"], entry["port"]) for entry in answer] == [("8.8.8.8", 443), ("2606:4700::1111", 443)]


async def test_the_connector_refuses_a_literal_itself() -> None:
    """A literal, which no resolver sees, is refused when its socket is opened."""
    async with aiohttp.ClientSession(connector=checked_connector()) as session:
        with pytest.raises(Rejected, match="never fetched from"):
            await session.get("http://127.0.0.1:9/")


async def test_impossible_names_are_resolver_errors() -> None:
    """A host that cannot be a name is an OSError like any other name that is not found."""
    with pytest.raises(OSError, match="cannot be a host name"):
        await CheckedResolver().resolve("a..b", 80)
