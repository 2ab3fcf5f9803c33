"""ChildEar: where somebody speaks in a film, heard by the decoder in a child process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from worker.domain import Span, Speech
from worker.pipeline.look.answers import Spoken
from worker.pipeline.look.child import Limits
from worker.pipeline.look.look import decoding

LONGEST_S = 3600.0
"""Of a film: as long as one may be that gets music under it. What comes later is not heard."""


class ChildEar:
    """Implements `Ear`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()

    async def hear(self, path: Path) -> AsyncGenerator[Speech]:
        """Of the film's first usable sound; a film without one has no speech.

        Raises Rejected (empty_file, not_a_video, no_video_stream, too_many_pixels, broken_video) or Unavailable (timeout, child_killed).
        """
        async with decoding("hear", path, LONGEST_S, None, views=(), limits=self._limits) as child:
            whole = False
            while not whole:
                told, _ = await child.answer(Spoken)
                spans = tuple(Span(start_s=start_s, end_s=end_s) for start_s, end_s in told.spans)
                speech = Speech(spans=spans, heard_s=told.heard_s, film_s=told.film_s)
                whole = speech.whole
                yield speech
