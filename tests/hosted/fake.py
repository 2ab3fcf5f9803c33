"""A hosted project, faked: one https origin for Storage and Realtime, Postgres behind a pooler that insists on TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from supabase_standin import BASELINE
from tests.conftest import execute
from tests.hosted.gateway import JWT_SECRET, PUBLISHABLE, SECRET, running_gateway
from tests.hosted.pooler import Pooler
from tests.hosted.tls import Certificates, Door


@contextmanager
def fake_project(database_url: str, certificates: Certificates, folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a project without our migrations, made of an empty database."""
    asyncio.run(execute(database_url, BASELINE.read_text()))
    tls = (
        f"client_tls_sslmode = require\nclient_tls_cert_file = {certificates.certificate}\n"
        f"client_tls_key_file = {certificates.key}"
    )
    query = f"pgbouncer=true&sslmode=verify-full&sslrootcert={certificates.authority}"
    # The gateway answers only as 127.0.0.1 or localhost with its own port: so the door has that name and port.
    with (
        Pooler(database_url, more=tls) as pooler,
        running_gateway(database_url, folder, host="127.0.0.2") as gateway,
        Door(urlsplit(gateway.url).port, ("127.0.0.2", urlsplit(gateway.url).port), certificates),
    ):
        yield {
            "SUPABASE_URL": gateway.url.replace("http://127.0.0.1", "https://localhost"),
            "SUPABASE_KEY": SECRET,
            "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE,
            "DATABASE_URL": pooler.url(database_url, query).replace("127.0.0.1", "localhost"),
            "JWT_SECRET": JWT_SECRET,
            "SSL_CERT_FILE": str(certificates.authority),
        }
