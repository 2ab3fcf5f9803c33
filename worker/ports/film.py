"""What is done with films: brought here, looked at, listened to, shown, and given their music."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

from worker.domain import Clip, Frames, Licence, Merged, Options, Span, Speech, View


class Fetcher(Protocol):
    """Brings a URL of a stranger to disk."""

    async def fetch(self, url: str, into: Path) -> Path:
        """Stream the URL to a new file in the folder `into`.

        Raises Rejected (forbidden address, too large, 4xx) or Unavailable (unreachable, 5xx, timeout).
        """


class Looker(Protocol):
    """Probes a file and looks at the picture, in a child process."""

    def look(
        self, path: Path, duration_s: float | None, views: tuple[View, ...] | None = None
    ) -> AsyncGenerator[Clip | Frames]:
        """Yield the clip as soon as a describer can see it, with its stills; then what the engine goes by: a clip whose scenes were
        looked at for longer, or the frames it wants to see (`views`), decoded ahead of whoever takes them.

        Raises Rejected when the file is not a video we take, Unavailable when the child dies for an outside reason.
        """


class Ear(Protocol):
    """Finds where somebody speaks in a film, in a child process."""

    def hear(self, path: Path) -> AsyncGenerator[Speech]:
        """Yield what is known: as soon as the film's length is, about every minute of it, and at last the whole.

        Raises Rejected when the file is not a video we take, Unavailable when the child dies for an outside reason.
        """


class Previewer(Protocol):
    """Makes a film that every browser plays."""

    async def preview(self, url: str, video: Path, into: Path, until_s: float) -> Path | None:
        """Return a new MP4 of the film's first seconds in the folder `into`; None where browsers play the film at `url` as it is.

        Raises Rejected, Unavailable.
        """


class Merger(Protocol):
    """Puts music under a video."""

    async def merge(
        self, video: Path, audio: Path, into: Path, options: Options, speech: Sequence[Span], licence: Licence | None
    ) -> Merged:
        """Return a new MP4 in the folder `into`, as long as the video, that names the music's licence; where it is to duck, the music
        does so at `speech`. Raises Rejected, Unavailable."""
