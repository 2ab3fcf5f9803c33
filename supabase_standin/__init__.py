"""A stand-in for the Realtime and Storage of a Supabase project, over any Postgres 15 to 18."""

from __future__ import annotations

from pathlib import Path
from typing import Final

BASELINE: Final = Path(__file__).with_name("baseline.sql")
"""SQL that lays the shape of a Supabase project on a plain Postgres; run as a superuser, again at will."""
