"""Which client a request comes from, behind proxies."""

from __future__ import annotations

import ipaddress

import pytest

from edge_api.addresses import client_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.9, 10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.9, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("fd00::1", ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, ["198.51.100.9"], "unknown"),
        ("10.0.0.1", ["198.51.100.9:5678"], "198.51.100.9"),
        ("10.0.0.1", ["198.51.100.9:5678, 10.0.0.2:80"], "198.51.100.9"),
        ("10.0.0.1", ["[2001:db8:1:2::9]:443"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["[2001:db8:1:2::9]"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["198.51.100.9:nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["[]:80"], "10.0.0.1"),
    ],
)
def test_headers_count_only_as_far_as_trusted_proxies_wrote_them(peer, forwarded, client):
    """X-Forwarded-For is read from the right, up to the first address that is no proxy of ours."""
    assert client_of(peer, forwarded, PROXIES) == client
