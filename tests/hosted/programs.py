"""Programs as an operator starts them: the environment, and nothing else."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import Self

from tests.warm.start import warm

OURS = ("SUPABASE_", "DATABASE_URL", "JWT_SECRET", "API_", "BASE_URL", "ENGINE", "WORKER_", "XDG_DATA_HOME")


def clean(environment: dict[str, str]) -> dict[str, str]:
    """The environment of the tests without anything of ours, and with this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONUNBUFFERED": "1"} | environment


class Program:
    """A context in which `python -m <module>` runs with arguments; entered once it said `ready`."""

    def __init__(
        self, module: str, ready: str, environment: dict[str, str], cwd: object = None, *arguments: str
    ) -> None:
        self._command = (*warm(module), *arguments)
        self._ready = ready
        self._environment = clean(environment)
        self._cwd = cwd
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, env=self._environment, cwd=self._cwd,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        for line in self._process.stdout:
            self.said.append(line)
            if self._ready in line:
                # It goes on talking: somebody must listen, or it would stop at a full pipe.
                self._listener = threading.Thread(target=self._listen)
                self._listener.start()
                return self
        raise AssertionError("".join(self.said))

    def _listen(self) -> None:
        self.said.extend(self._process.stdout)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self.code = self._process.wait()
        self._listener.join()
        self._process.stdout.close()
