"""What the environment (or `.env`) says to the local stack itself; everything else is passed on to its children."""

from __future__ import annotations

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LocalSettings(BaseSettings):
    """Every variable is documented in .env.example."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    engine: str = "sketch"
    worker_name: str = "local"
    jwt_secret: str | None = Field(default=None, validation_alias=AliasChoices("LOCAL_JWT_SECRET", "JWT_SECRET"))
