"""The two hosts of the contract as processes of their own, as an operator starts them: `python -m edge_api`, and the edge function on Deno."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path
from typing import Final, Self

import aiohttp
from deno import find_deno_bin

from tests.warm.start import warm

ROOT: Final = Path(__file__).parents[2]
FUNCTION: Final = ROOT / "supabase" / "functions" / "api" / "index.ts"
HOSTS: Final = ("edge_api", "function")
KEPT: Final = (
    "PATH", "HOME", "LANG", "TMPDIR",
    "DENO_DIR", "DENO_CERT", "DENO_TLS_CA_STORE", "NODE_EXTRA_CA_CERTS", "NPM_CONFIG_REGISTRY", "SSL_CERT_DIR", "SSL_CERT_FILE",
)  # fmt: skip
"""What a host needs of this process's environment (Deno fetches npm packages at its first start): the rest is the test's."""


def command(name: str, function: Path) -> list[str]:
    if name == "edge_api":
        return [*warm("edge_api")]
    return [
        find_deno_bin(), "run", "--no-prompt", "--allow-net", "--allow-env",
        "--config", str(function.with_name("deno.json")), str(function),
    ]  # fmt: skip


class Host:
    """One running host: `.url`, and `.output`, everything it has said so far."""

    def __init__(self, name: str, folder: Path, function: Path = FUNCTION, **settings: str) -> None:
        environment = {key: os.environ[key] for key in KEPT if key in os.environ} | {
            "API_PORT": "0",
            "DENO_SERVE_ADDRESS": "tcp:127.0.0.1:0",
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
            **settings,
        }
        self.name = name
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            command(name, function), cwd=folder, env=environment, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.url = self._listening()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _listening(self) -> str:
        assert self._process.stdout is not None
        patience = threading.Timer(120, self._process.kill)
        patience.start()
        try:
            for line in self._process.stdout:
                self._lines.append(line)
                if found := re.search(r"[Ll]istening on (http://127\.0\.0\.1:\d+)", line):
                    return found[1]
        finally:
            patience.cancel()
        self._process.wait()
        self._process.stdout.close()
        raise AssertionError(f"{self.name} did not start:\n{self.output}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        return "".join(self._lines)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def session(self, **options) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.url, **options)

    def stop(self) -> None:
        """Ends the process and waits for its last words."""
        self._process.terminate()
        self._process.wait(timeout=120)
        self._reading.join(timeout=120)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
