"""Who calls: the client's address, from headers only behind proxies we were told to trust."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import web

from edge_api.settings import Network

log = structlog.get_logger()

REMEDY: Final = (
    "if this is your proxy, set TRUSTED_PROXIES to its network: until then all its visitors are limited as one"
)
WITH_PORT: Final = re.compile(r"(?:\[(.+)\]|([0-9.]+))(?::[0-9]+)?")
"""As some proxies write them: 192.0.2.1:5678, [2001:db8::1]:443."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_of(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The fairness key of a caller: its address, for IPv6 the /64, which is what one customer has.

    `forwarded` are the X-Forwarded-For headers. They are read from the right, as far as trusted proxies wrote them.
    """
    hops = [part.strip() for header in forwarded for part in header.split(",")]
    address = _address(peer)
    while hops and _among(address, trusted):
        before = _address(hops.pop())
        if before is None:
            break
        address = before
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or "unknown")


class Clients:
    """Tells callers apart. Says once when headers come from a proxy that is not trusted: everybody behind it is one client."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._told = False

    def of(self, request: web.BaseRequest) -> str:
        """As client_of."""
        forwarded = request.headers.getall("X-Forwarded-For", [])
        if forwarded and not self._told and not trusts(request.remote, self._trusted):
            self._told = True
            log.warning("proxy.untrusted", peer=request.remote, remedy=REMEDY)
        return client_of(request.remote, forwarded, self._trusted)


def trusts(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the peer is a proxy whose word about its clients counts."""
    return _among(_address(peer), trusted)


def _among(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str | None) -> Address | None:
    text = text or ""
    if found := WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # ::ffff:192.0.2.1 is an IPv4 caller on a socket of both families
    return getattr(address, "ipv4_mapped", None) or address
