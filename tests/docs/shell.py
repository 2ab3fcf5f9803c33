"""A reader with a shell: runs the blocks of a page one after the other, in one folder, and keeps what they export."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

from tests.docs.blocks import Block
from tests.hosted.programs import clean
from tests.warm.start import warm, warm_python

READY = {"edge_api": "Listening on", "worker": "worker.ready", "supabase_standin": "gateway.ready"}


class Shell:
    """A context: what was started is stopped at its end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._state = folder.parent / "state"
        self._state.write_text("")
        rhythmai = folder.parent / "bin" / "rhythmai"
        rhythmai.parent.mkdir(exist_ok=True)
        rhythmai.write_text(f'#!/bin/sh\nexec {shlex.join(warm("rhythmai"))} "$@"\n')
        rhythmai.chmod(0o755)
        rhythmai.with_name("python").symlink_to(warm_python())
        path = f"{rhythmai.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = clean({"PATH": path, "HOME": str(folder), "XDG_DATA_HOME": str(folder), **environment})
        self._started: list[tuple[subprocess.Popen, threading.Thread]] = []

    def run(self, block: Block) -> str:
        """What it says on stdout; fails with what it says on stderr."""
        keep = f"\nexport -p > {shlex.quote(str(self._state))}"
        done = subprocess.run(
            self._bash(block.text + keep), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, f"line {block.line}: {block.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, block: Block) -> None:
        """Goes on once it says that it is ready."""
        process = subprocess.Popen(
            self._bash(block.text), cwd=self.folder, env=self.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        ready = next(word for module, word in READY.items() if module in block.text)
        said = []
        for line in process.stdout:
            said.append(line)
            if ready in line:
                listener = threading.Thread(target=said.extend, args=(process.stdout,))
                listener.start()
                self._started.append((process, listener))
                return
        raise AssertionError(f"line {block.line}: {block.text}\n" + "".join(said))

    def _bash(self, text: str) -> tuple[str, ...]:
        return ("bash", "-euo", "pipefail", "-c", f"source {shlex.quote(str(self._state))}\n{text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, listener in reversed(self._started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            listener.join()
            process.stdout.close()
