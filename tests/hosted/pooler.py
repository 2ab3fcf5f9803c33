"""Debian's pgbouncer in transaction mode, in front of a Postgres of the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from rhythmai.local.postgres import UNPRIVILEGED, free_port

CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = {listen}
listen_port = {own}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
auth_user = {user}
pool_mode = transaction
default_pool_size = 3
{more}
"""


class Pooler:
    """A context; `url(database_url)` is the way to that database through it."""

    def __init__(self, server: str, *, listen: str = "127.0.0.1", port: int | None = None, more: str = "") -> None:
        self._server = urlsplit(server)
        self._listen = listen
        self.port = port or free_port()
        self._more = more

    def url(self, database_url: str, query: str = "pgbouncer=true") -> str:
        parts = urlsplit(database_url)
        host = f"[{self._listen}]" if ":" in self._listen else self._listen
        return parts._replace(netloc=f"{parts.username}:{parts.password}@{host}:{self.port}", query=query).geturl()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="rhythmai-pooler-"))
        self._folder.chmod(0o755)
        users = self._folder / "users"
        users.write_text(f'"{self._server.username}" "{self._server.password}"\n')
        file = self._folder / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=self._server.hostname, port=self._server.port, listen=self._listen, own=self.port,
                folder=self._folder, user=self._server.username, more=self._more,
            )
        )  # fmt: skip
        # It refuses to be root, as Postgres does.
        user = ["-u", pwd.getpwnam(UNPRIVILEGED).pw_name] if os.geteuid() == 0 else []
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "pgbouncer is missing: `make system` installs it"
        self._process = subprocess.Popen([program, *user, file], stderr=subprocess.PIPE, text=True)
        said = []
        for line in self._process.stderr:
            said.append(line)
            if "process up" in line:
                # It goes on talking: somebody must listen, or it would stop at a full pipe.
                self._listener = threading.Thread(target=said.extend, args=(self._process.stderr,))
                self._listener.start()
                return self
        raise AssertionError("".join(said))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._listener.join()
        self._process.stderr.close()
        shutil.rmtree(self._folder)
