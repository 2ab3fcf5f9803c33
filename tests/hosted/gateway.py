"""Realtime and Storage of a project, as a process of their own."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from rhythmai.local.postgres import free_port
from tests.hosted.programs import Program

SECRET = "sb_secret_of_a_test_project"
PUBLISHABLE = "sb_publishable_of_a_test_project"
JWT_SECRET = "the-jwt-secret-of-a-test-project-is-long-enough"


@dataclass(frozen=True)
class Gateway:
    """Where it answers, and what a test does with Storage."""

    url: str
    secret: str = SECRET
    publishable: str = PUBLISHABLE

    def put(self, bucket: str, path: str, content_type: str) -> str:
        headers = {"apikey": self.secret, "authorization": f"Bearer {self.secret}", "content-type": content_type}
        answer = httpx.post(
            f"{self.url}/storage/v1/object/{bucket}/{path}", content=b"x", headers=headers, timeout=120, verify=False
        )
        assert answer.status_code == 200, answer.text
        return f"{self.url}/storage/v1/object/public/{bucket}/{path}"

    def get(self, url: str) -> int:
        return httpx.get(url, timeout=120, verify=False).status_code


@contextmanager
def running_gateway(database_url: str, folder, host: str = "127.0.0.1", **environment: str):
    """A gateway over a database; on another host than 127.0.0.1 it still answers only to that name."""
    port = free_port()
    settings = {
        "GATEWAY_HOST": host,
        "GATEWAY_PORT": str(port),
        "DATABASE_URL": database_url,
        "JWT_SECRET": JWT_SECRET,
        "SUPABASE_KEY": SECRET,
        "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE,
        "STORAGE_DIR": str(folder),
        **environment,
    }
    with Program("supabase_standin", "gateway.ready", settings):
        yield Gateway(f"http://127.0.0.1:{port}")
