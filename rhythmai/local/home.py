"""The data directory of a local stack: its keys, made once and kept, and the record of who serves it now."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from rhythmai.errors import BadInput, NoStack

SHORTEST_SECRET = 32
"""HS256 wants as many bits as it signs with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What only this machine knows."""

    jwt_secret: str
    secret_key: str
    publishable_key: str
    database_password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A stack that serves a data directory."""

    pid: int
    born: float
    port: int
    db_port: int
    environment: Mapping[str, str]
    """What points any program at the stack."""
    children: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Name: (pid, time of birth)."""
    ready: bool = False
    """Whether everything in it answers; before that it is recorded for those who would have to clear it away."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def born(pid: int) -> float | None:
    """When a living process was born (Unix time), which tells it from a later one of the same number."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def lives(pid: int, birth: float) -> bool:
    """Whether that very process lives."""
    found = born(pid)
    return found is not None and abs(found - birth) < 1


class Home:
    """One data directory. Raises BadInput when it cannot be one."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.postgres = self.data / "postgres"
        self.storage = self.data / "storage"
        self.logs = self.data / "logs"
        self._record = self.data / "running.json"

    def make(self) -> None:
        try:
            # Root's Postgres is another user, who has to pass.
            self.data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            self.storage.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInput(f"{self.data} cannot hold the data ({error.strerror}): choose another with --data") from None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Be the only one who serves this directory; the lock ends with the process, however it ends. Raises NoStack."""
        try:
            file = (self.data / "lock").open("w")
        except OSError as error:
            raise BadInput(f"{self.data} is not ours ({error.strerror}): choose another with --data") from None
        with file as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NoStack(self._already()) from None
            try:
                yield
            finally:
                self._record.unlink(missing_ok=True)

    def secrets(self, jwt_secret: str | None = None) -> Secrets:
        """The keys of this stack; `jwt_secret` replaces the kept one for this time."""
        if jwt_secret is not None and len(jwt_secret) < SHORTEST_SECRET:
            raise BadInput(
                f"LOCAL_JWT_SECRET (or JWT_SECRET) has {len(jwt_secret)} characters: it needs {SHORTEST_SECRET}"
            )
        file = self.data / "keys.json"
        if not file.exists():
            kept = Secrets(
                jwt_secret=secrets.token_urlsafe(32),
                secret_key=f"sb_secret_{secrets.token_urlsafe(24)}",
                publishable_key=f"sb_publishable_{secrets.token_urlsafe(24)}",
                database_password=secrets.token_urlsafe(24),
            )
            _write_private(file, asdict(kept))
        kept = Secrets(**json.loads(file.read_text()))
        return Secrets(**{**asdict(kept), "jwt_secret": jwt_secret or kept.jwt_secret})

    def recorded(self) -> Running | None:
        """The last record, whether its stack still lives or was killed."""
        try:
            return Running(**json.loads(self._record.read_text()))
        except (OSError, ValueError, TypeError):
            return None  # none, somebody else's, or of another version

    def running(self) -> Running | None:
        """The stack that serves this directory now; one that still starts is none yet."""
        found = self._alive()
        return found if found and found.ready else None

    def record(self, running: Running) -> None:
        _write_private(self._record, asdict(running))

    def _alive(self) -> Running | None:
        found = self.recorded()
        return found if found and lives(found.pid, found.born) else None

    def _already(self) -> str:
        found = self._alive()
        by = f"by pid {found.pid} on port {found.port} (Postgres on {found.db_port})" if found else "by another process"
        if not (found and found.ready):
            by += ", which is starting or ending"
        return f"{self.data} is served already {by}: use it, stop it, or choose another directory with --data"


def _write_private(file: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all, readable by this user only."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(content, out, indent=2)
    new.replace(file)
