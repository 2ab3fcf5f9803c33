"""Which addresses a stranger's URL may lead to, and a connector that connects to nothing else.

A name is resolved once per connection, every address of the answer is checked, and the socket is opened to the very
address that was checked: a second DNS answer (rebinding) is never asked for. Ranges are those of Python's `ipaddress`, which
follow IANA's special-purpose registries; what hides on public addresses is added by hand.
"""

import ipaddress
import re
import socket
import string
from collections.abc import Callable
from urllib.parse import quote

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from worker.errors import Rejected

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Policy = Callable[[Address], str | None]
"""Why an address may not be reached ("a private network"), or None when it may."""

LONGEST_URL = 8192

_RESERVED = {
    "100.64.0.0/10": "a carrier's private network",
    "168.63.129.16/32": "a cloud metadata service",
    "192.0.0.0/24": "a reserved network",
    "192.88.99.0/24": "a reserved network",
    "2001::/23": "a reserved network",
    "2002::/16": "a 6to4 tunnel",
    "3fff::/20": "a documentation network",
}
"""What Python's `ipaddress` takes for public, wholly or in some of its versions."""
_RANGES = [(ipaddress.ip_network(net), why) for net, why in _RESERVED.items()]
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def why_forbidden(address: Address) -> str | None:
    """Say what stands at an address that strangers may not make us reach; None for the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return why_forbidden(address.ipv4_mapped)
        if address in _NAT64:  # how an IPv6-only host reaches IPv4: what counts is the address inside
            return why_forbidden(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_V6:  # nothing else is given out to the public internet
            return "a private network"
    if address.is_loopback or address.is_unspecified:
        return "this machine"
    if address.is_link_local:
        return "a link-local network"
    if address.is_multicast:
        return "a multicast group"
    reserved = next((why for net, why in _RANGES if address in net), None)
    return reserved or (None if address.is_global else "a private network")


def bare(url: URL | str) -> str:
    """Return the URL without user, query and fragment, short enough for a message: those parts may be secrets."""
    text = str(url).partition("?")[0].partition("#")[0]
    scheme, slashes, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    text = f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"
    return text if len(text) <= 200 else text[:200] + "…"


def _bad(url: str, why: str) -> Rejected:
    return Rejected(f"{bare(url)!r} {why}; give a plain http:// or https:// link to the file", code="bad_url")


def _forbidden(where: str, why: str) -> Rejected:
    return Rejected(
        f"{where} leads to {why}, which is never fetched from; give a link that is reachable on the public internet",
        code="forbidden_address",
    )


def public_url(url: str, policy: Policy = why_forbidden, longest: int = LONGEST_URL) -> URL:
    """Parse a stranger's URL. Raises Rejected (bad_url, forbidden_address); names are checked when they are resolved.

    Path and query stay as they are written, byte for byte, since a signature may cover them.
    """
    if len(url) > longest:
        raise _bad(url, f"is longer than {longest} characters")
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise _bad(url, "contains a space, a backslash or a control character")
    origin = re.match(r"https?://[^/?#]+", url, re.IGNORECASE)
    if origin is None:
        raise _bad(url, "is not an http(s) link")
    try:
        parsed = URL(origin[0])
        host, port = parsed.host, parsed.port
        target = quote(url[origin.end() :].partition("#")[0], safe=string.printable)
    except ValueError:
        raise _bad(url, "is not a URL") from None
    if not host or not port:
        raise _bad(url, "is not an http(s) link")
    if parsed.raw_user is not None or parsed.raw_password is not None or "@" in parsed.raw_authority:
        raise _bad(url, "carries a user name or password")
    where = f"The link {bare(url)}"
    try:
        check(ipaddress.ip_address(host), where, policy)
    except ValueError:
        if _reads_as_ipv4(host):
            raise _forbidden(where, "an address in disguise") from None
    if not target.startswith("/"):
        target = f"/{target}"
    # The query too is handed over as path: parsed apart, it would lose an empty "?".
    return URL.build(scheme=parsed.scheme, authority=parsed.raw_authority, path=target, encoded=True)


def _reads_as_ipv4(host: str) -> bool:
    """Whether the C library would take the host for an IPv4 address: 0177.1, 2130706433, 0x7f.1."""
    try:
        socket.inet_aton(host.rstrip("."))
    except (OSError, UnicodeEncodeError):
        return False
    return True


def check(address: Address, where: str, policy: Policy = why_forbidden) -> None:
    """Raise Rejected (forbidden_address) unless the policy lets us reach the address."""
    if (why := policy(address)) is not None:
        raise _forbidden(where, why)


class CheckedResolver(AbstractResolver):
    """Resolves a name and refuses the whole answer when one address in it is forbidden."""

    def __init__(self, resolver: AbstractResolver | None = None, policy: Policy = why_forbidden) -> None:
        self._resolver = resolver or aiohttp.ThreadedResolver()
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            answer = await self._resolver.resolve(host, port, family)
        except UnicodeError as error:  # an empty or overlong label never reaches the system's resolver
            raise OSError(f"{host} cannot be a host name") from error
        for entry in answer:
            check(ipaddress.ip_address(entry["host"]), f"The host {host}", self._policy)
        return answer

    async def close(self) -> None:
        """Nothing is held."""


def checked_connector(resolver: AbstractResolver | None = None, policy: Policy = why_forbidden) -> aiohttp.TCPConnector:
    """Return a connector whose every socket, for a name or a literal, goes to an address the policy allows.

    Requests through it raise Rejected (forbidden_address). Use it with `trust_env=False`: a proxy would hide the address.
    """

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, address = info
        check(ipaddress.ip_address(address[0]), f"The address {address[0]}", policy)
        return socket.socket(family=family, type=kind, proto=proto)

    return aiohttp.TCPConnector(
        resolver=CheckedResolver(resolver, policy), socket_factory=open_socket, use_dns_cache=False, force_close=True
    )
