"""The environment of the API, read once in `__main__` into one frozen object."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final

from pydantic import AliasChoices, BeforeValidator, Field, HttpUrl, PostgresDsn, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ORIGIN: Final = re.compile(r"https?://([^/*?#@:\s]+|\[[0-9a-f:.]+\])(:\d+)?")


class Misconfigured(Exception):
    """The environment does not describe an API that can start: one line per variable."""


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


class Settings(BaseSettings):
    """Every variable is documented in .env.example."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    supabase_url: HttpUrl
    supabase_key: str = Field(
        validation_alias=AliasChoices("SUPABASE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
    )
    supabase_publishable_key: str = Field(
        default="", validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
    )
    database_url: PostgresDsn = Field(validation_alias=AliasChoices("DATABASE_URL", "SUPABASE_DB_URL"))

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    otel_exporter_otlp_endpoint: HttpUrl | None = None
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = ("*",)
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)] = ()
    require_auth: bool = False
    jwt_secret: str | None = Field(default=None, min_length=32)
    merge_wait_s: float = Field(default=50, ge=0, le=600)

    @field_validator("supabase_url")
    @classmethod
    def _without_path(cls, url: HttpUrl) -> HttpUrl:
        if (url.path or "/") != "/" or url.query or url.fragment:
            raise ValueError(f"{url} is more than the project's address; write it like https://REF.supabase.co")
        return url

    @property
    def traces_to(self) -> str | None:
        """OTEL_EXPORTER_OTLP_ENDPOINT."""
        return None if self.otel_exporter_otlp_endpoint is None else str(self.otel_exporter_otlp_endpoint)

    @property
    def origin(self) -> str:
        """SUPABASE_URL without a slash at its end."""
        return str(self.supabase_url).rstrip("/")


def read_settings() -> Settings:
    """Read environment and `.env`. Raises Misconfigured."""
    try:
        return Settings()  # type: ignore[call-arg]  # pydantic fills it from the environment
    except UnicodeDecodeError:
        raise Misconfigured(".env is not UTF-8 text: save it as UTF-8") from None
    except ValidationError as error:
        lines = (_line(str(e["loc"][0]).upper(), e["type"], e["msg"]) for e in error.errors(include_input=False))
        raise Misconfigured("\n".join(dict.fromkeys(lines))) from None


def _line(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return f'{name} is not set: see `rhythmai env --example`, or run `eval "$(rhythmai env)"` for the local stack'
    return f"{name} is malformed: {message.removeprefix('Value error, ')}"
