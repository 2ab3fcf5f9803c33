"""What is on this machine never goes through a proxy."""

from __future__ import annotations

import pytest

from rhythmai.loopback import past_the_proxy


@pytest.mark.parametrize(
    ("environment", "excepted"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "example.com, localhost"}, "example.com,localhost,127.0.0.1"),
        ({"no_proxy": "a.example", "NO_PROXY": "b.example"}, "a.example,127.0.0.1,localhost"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_this_machine_is_excepted(environment, excepted):
    """Loopback joins what is excepted already, in both spellings; the small one wins, as with the libraries."""
    assert past_the_proxy(environment) == {"NO_PROXY": excepted, "no_proxy": excepted}
