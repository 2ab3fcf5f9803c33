"""Which API the console script speaks to: the one the environment (or `.env`) names, else the running local stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from rhythmai.client import Client
from rhythmai.nearby import nearby
from rhythmai.project.environment import PUBLISHABLE_KEY, Environment

if TYPE_CHECKING:
    from rhythmai.local.home import Running


class Connection(Environment):
    """API_URL is enough; with SUPABASE_URL and the publishable key events are pushed instead of asked for."""

    api_url: str = ""
    supabase_url: str | None = None
    publishable_key: str | None = Field(default=None, validation_alias=PUBLISHABLE_KEY)
    user_token: str | None = None
    """USER_TOKEN: the JWT of a signed-in user, whose jobs are meant."""


def client_of(running: Running, user_token: str | None = None) -> Client:
    """A client of a local stack."""
    return Client(running.url, running.url, running.environment["SUPABASE_PUBLISHABLE_KEY"], user_token)


def connect(data: Path | None = None) -> Client:
    """A client of the API that is meant; `data` names a local stack and wins over API_URL. Raises NoStack, BadInput."""
    settings = Connection()
    if settings.api_url and data is None:
        return Client(settings.api_url, settings.supabase_url, settings.publishable_key, settings.user_token)
    return client_of(nearby(data, "API_URL"), settings.user_token)
