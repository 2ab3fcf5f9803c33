"""The database, present or away: which errors mean what, and how to wait for it."""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import asyncpg
import structlog

from worker.errors import QueueUnavailable

log = structlog.get_logger()
T = TypeVar("T")

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,  # shutdown, crash shutdown, cannot connect now
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.InternalServerError,  # Supabase's pooler says with it that it has no connection to give
    asyncpg.ReadOnlySQLTransactionError,  # the connection is still at the server that was the primary before a failover
    asyncpg.TransactionRollbackError,  # a deadlock or a serialization failure: the same call again will do
)
"""What asyncpg raises when the database is away or going away."""

HOPELESS = (
    ssl.SSLCertVerificationError,
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
"""What connecting meets when no other try will help: DATABASE_URL has to change."""
UNFIT = (
    asyncpg.SyntaxOrAccessError,  # no such function, table or column, no right to it
    asyncpg.InvalidSchemaNameError,
    asyncpg.FeatureNotSupportedError,  # a cached plan whose result would have another type
    asyncpg.ObjectNotInPrerequisiteStateError,  # a migration has the lock
)
"""The database answers, but is not as our migrations leave it."""
APPLICATION = "rhythmai worker"


async def patiently(call: Callable[[], Awaitable[T]], *, give_up_after: timedelta = timedelta(minutes=10)) -> T:
    """Repeat a call with jittered, capped backoff while the database is away. Raises QueueUnavailable in the end."""
    loop = asyncio.get_running_loop()
    end = loop.time() + give_up_after.total_seconds()
    wait_s = 0.1
    while True:
        try:
            return await call()
        except (QueueUnavailable, *AWAY) as error:
            if loop.time() > end:
                raise QueueUnavailable(f"the database has been away for {give_up_after}: {error}") from error
            log.warning("database.away", error=str(error) or type(error).__name__, again_in_s=round(wait_s, 1))
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
        wait_s = min(wait_s * 2, 5.0)
