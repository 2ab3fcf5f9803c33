"""This machine is reached directly, whatever proxy the environment names for the world."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HOSTS: Final = ("127.0.0.1", "localhost")


def past_the_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY, in both spellings, with what the environment excepts already and this machine."""
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    named = [host.strip() for host in excepted.split(",") if host.strip()]
    # An asterisk counts only alone.
    text = "*" if "*" in named else ",".join([*named, *(host for host in HOSTS if host not in named)])
    return {"NO_PROXY": text, "no_proxy": text}
