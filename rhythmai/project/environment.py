"""What the environment (or `.env`) says of the project, read once by each program; its names and their aliases."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, HttpUrl, PostgresDsn, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rhythmai.project.key import WORKER_KEY, role_of

SECRET_KEY: Final = AliasChoices("SUPABASE_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
PUBLISHABLE_KEY: Final = AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
DATABASE_URL: Final = AliasChoices("DATABASE_URL", "SUPABASE_DB_URL")
OUR_BUCKETS: Final = ("uploads", "videos", "audios")
BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def _buckets(value: object) -> object:
    named = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
    for name in named if isinstance(named, tuple) else ():
        if name in OUR_BUCKETS:
            raise ValueError(
                f"{name} is RhythmAI's own, whose objects everybody reads by their http addresses; leave it out"
            )
        if not BUCKET.fullmatch(name):
            raise ValueError(f"{name!r} is no bucket; write names of letters, digits, ., _ and - with commas between")
    return tuple(sorted(set(named))) if isinstance(named, tuple) else named


InputBuckets = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_buckets)]
"""INPUT_BUCKETS: whose objects may be a job's video, as storage://bucket/path."""
RetentionDays = Annotated[float | None, Field(gt=0, le=36500)]
"""RETENTION_DAYS: how long jobs that have ended stay; None: as the database says already, at first for ever."""


class Environment(BaseSettings):
    """Variables win over `.env`, and an empty one is unset; every variable is documented in .env.example."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True
    )


class Signing(Environment):
    """The shared secret that a project signs, or signed, its tokens with."""

    jwt_secret: str | None = Field(default=None, min_length=32)


class Policy(Environment):
    """What an operator decides and the database keeps, where no worker can change it: `rhythmai migrate` and `rhythmai up` write it."""

    input_buckets: InputBuckets = ()
    """What of the project's own Storage jobs may name."""
    retention_days: RetentionDays = None


class ProjectEnvironment(Environment):
    """What the API and the workers both need."""

    supabase_url: HttpUrl
    supabase_key: str = Field(min_length=1, validation_alias=SECRET_KEY)
    supabase_publishable_key: str = Field(default="", validation_alias=PUBLISHABLE_KEY)
    database_url: PostgresDsn = Field(validation_alias=DATABASE_URL)
    commercial_only: bool = False
    """Whether only music is made that may be used commercially."""
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    otel_exporter_otlp_endpoint: HttpUrl | None = None

    @field_validator("supabase_url")
    @classmethod
    def _without_path(cls, url: HttpUrl) -> HttpUrl:
        if (url.path or "/") != "/" or url.query or url.fragment:
            raise ValueError(f"{url} is more than the project's address; write it like https://REF.supabase.co")
        return url

    @property
    def apikey(self) -> str:
        """What the project's gateway lets in: a worker's own key is none of the project's, so the publishable one goes with it."""
        return (role_of(self.supabase_key) == WORKER_KEY and self.supabase_publishable_key) or self.supabase_key

    @property
    def traces_to(self) -> str | None:
        """OTEL_EXPORTER_OTLP_ENDPOINT."""
        return None if self.otel_exporter_otlp_endpoint is None else str(self.otel_exporter_otlp_endpoint)

    @property
    def origin(self) -> str:
        """SUPABASE_URL without a slash at its end."""
        return str(self.supabase_url).rstrip("/")


E = TypeVar("E", bound=Environment)


def read(kind: type[E], misconfigured: type[Exception]) -> E:
    """Read environment and `.env`. Raises `misconfigured` with one line per missing or malformed variable."""
    try:
        return kind()
    except UnicodeDecodeError:
        raise misconfigured(".env is not UTF-8 text: save it as UTF-8") from None
    except ValidationError as error:
        lines = (_line(str(e["loc"][0]).upper(), e["type"], e["msg"]) for e in error.errors(include_input=False))
        raise misconfigured("\n".join(dict.fromkeys(lines))) from None


def _line(name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return f'{name} is not set: see `rhythmai env --example`, or run `eval "$(rhythmai env)"` for the local stack'
    return f"{name} is malformed: {message.removeprefix('Value error, ')}"
