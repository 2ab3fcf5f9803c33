"""Background music for a video: several different, mastered tracks, live, one by one.

`rhythmai.Client` speaks to a RhythmAI API; the console script `rhythmai` is built on it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rhythmai.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    # `rhythmai --help` answers at once: the client's libraries are imported when the client is asked for.
    if name == "Client":
        from rhythmai.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
