"""The fixtures of a hosted project serve the pages, too."""

from __future__ import annotations

from tests.hosted.conftest import certificates, empty_database, sql

__all__ = ["certificates", "empty_database", "sql"]
