"""Makes the files of supabase/functions/_shared that are made, not written: `python -m tests.functions` renews them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from deno import find_deno_bin

from tests.hosted.supabase_cli import SupabaseCLI

FUNCTIONS = Path(__file__).parents[2] / "supabase" / "functions"
SHARED = FUNCTIONS / "_shared"
NOTE = "// Made by `supabase gen types` from the migrations (python -m tests.functions): change those, not this.\n"


def _deno(*arguments: object, given: str = "") -> str:
    command = [find_deno_bin(), *map(str, arguments)]
    return subprocess.run(command, input=given, text=True, check=True, capture_output=True).stdout


def write_contract(folder: Path) -> None:
    """contract.ts and openapi.ts, from edge_api/openapi.yaml."""
    _deno("run", "--allow-all", "--no-lock", FUNCTIONS / "generate.ts", folder)


def write_database(folder: Path, scratch: Path, url: str) -> None:
    """database.ts, from a migrated database, on one line; the CLI leaves its own files in `scratch`."""
    said = SupabaseCLI(scratch)("gen", "types", "--lang", "typescript", "--schema", "public", remote=url)
    types = said[
        said.index("export type Json") : said.index("type DatabaseWithoutInternals")
    ]  # what follows are shorthands
    formatted = _deno(
        "fmt", "--ext=ts", "-", given=re.sub(r"//.*", "", types)
    )  # with all semicolons, which one line needs
    (folder / "database.ts").write_text(f"{NOTE}// deno-fmt-ignore-file\n{' '.join(formatted.split())}\n")
