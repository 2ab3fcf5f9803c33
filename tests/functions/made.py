"""Makes the files of supabase/functions/_shared that are made, not written: `python -m tests.functions` renews them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deno import find_deno_bin

from tests.hosted.supabase_cli import SupabaseCLI

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SHARED = FUNCTIONS / "_shared"
NOTE = "// Made by `supabase gen types` from the migrations (python -m tests.functions): change those, not this.\n"


def _deno(*arguments: object) -> None:
    subprocess.run([find_deno_bin(), *map(str, arguments)], check=True, capture_output=True)


def write_contract(folder: Path) -> None:
    """contract.ts and openapi.ts, from edge_api/openapi.yaml."""
    _deno("run", "--allow-all", "--no-lock", FUNCTIONS / "generate.ts", folder)


def write_database(folder: Path, scratch: Path, url: str) -> None:
    """database.ts, from a migrated database; the CLI leaves its own files in `scratch`."""
    said = SupabaseCLI(scratch)("gen", "types", "--lang", "typescript", "--schema", "public", remote=url)
    made = folder / "database.ts"
    made.write_text(NOTE + "// deno-lint-ignore-file\n" + said[said.index("export type Json") :])
    _deno("fmt", "--quiet", "--config", FUNCTIONS / "api" / "deno.json", made)
