"""What the environment (or `.env`) says to the local stack itself; everything else is passed on to its children."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from rhythmai.project.environment import Environment


class LocalSettings(Environment):
    """Every variable is documented in .env.example."""

    engine: str = "sketch"
    worker_name: str = "local"
    jwt_secret: str | None = Field(default=None, validation_alias=AliasChoices("LOCAL_JWT_SECRET", "JWT_SECRET"))
