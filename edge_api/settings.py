"""The environment of the API, read once in `__main__` into one frozen object."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from rhythmai.project.environment import ProjectEnvironment, RetentionDays, Signing, read

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ORIGIN: Final = re.compile(r"https?://([^/*?#@:\s]+|\[[0-9a-f:.]+\])(:\d+)?")


class Misconfigured(Exception):
    """The environment does not describe an API that can start: one line per variable."""


def _address(url: str) -> str:
    url = url.rstrip("/")
    if url and not re.fullmatch(rf"{ORIGIN.pattern}(/[^?#\s]*)?", url):
        raise ValueError(f"{url} is no address; write it like https://api.example.com")
    return url


def _listed(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _networks(value: object) -> object:
    listed: Any = _listed(value)
    return tuple(ipaddress.ip_network(part, strict=False) for part in listed)


def _origins(value: object) -> object:
    listed: Any = _listed(value)
    # As browsers send them: lower case, nothing behind the port.
    origins = tuple(origin.lower().rstrip("/") for origin in listed)
    for origin in origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin; write it like https://example.com, or * for all")
    return origins


class Settings(ProjectEnvironment, Signing):
    """Every variable is documented in .env.example."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    public_url: Annotated[str, AfterValidator(_address)] = ""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ("*",)
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = ()
    streams_per_client: int = Field(default=12, ge=1)
    require_auth: bool = False
    merge_wait_s: float = Field(default=50, ge=0, le=600)
    studio_sign_in: Literal["none", "anonymous", "session"] = "none"
    retention_days: RetentionDays = None
    """For the page to say; the database goes by what `rhythmai migrate` wrote into it."""


def read_settings() -> Settings:
    """Read environment and `.env`. Raises Misconfigured with one line per missing or malformed variable."""
    return read(Settings, Misconfigured)
