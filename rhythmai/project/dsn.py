"""What DATABASE_URL says to asyncpg: one reading of it for the API, the workers and the console script."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

TRANSACTION_POOLER_PORT: Final = 6543
"""Where Supabase's poolers speak transaction mode."""
OF_OTHER_CLIENTS: Final = frozenset({"pgbouncer", "connection_limit", "pool_timeout", "supa"})
"""What dashboards add to a URL for Prisma and others; Postgres would take it for a setting and refuse it."""


def behind_transaction_pooler(url: str) -> bool:
    """Whether connections are shared between transactions: port 6543, or `?pgbouncer=true` on any port.

    There is no LISTEN and there are no prepared statements there.
    """
    parts = urlsplit(url)
    flagged = dict(parse_qsl(parts.query)).get("pgbouncer", "").lower() in {"true", "1"}
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return flagged or any(host.endswith(f":{TRANSACTION_POOLER_PORT}") for host in hosts)


def connect_arguments(url: str, application: str) -> dict[str, Any]:
    """The arguments for asyncpg.connect and asyncpg.create_pool; `application` is the name that pg_stat_activity shows."""
    parts = urlsplit(url)
    # `postgresql+asyncpg://` is how SQLAlchemy writes it.
    scheme = parts.scheme.partition("+")[0]
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in OF_OTHER_CLIENTS]
    arguments: dict[str, Any] = {
        "dsn": urlunsplit(parts._replace(scheme=scheme, query=urlencode(query))),
        "server_settings": {"application_name": application},
    }
    if behind_transaction_pooler(url):
        arguments["statement_cache_size"] = 0
    return arguments


async def left_as_it_was(connection: Any) -> None:
    """The `reset` of our pools: each call is one statement that leaves nothing behind; asyncpg's own would double the round trips."""
