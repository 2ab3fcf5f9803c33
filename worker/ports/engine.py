"""Who makes the music: directions first, then tracks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from worker.domain import Anatomy, Clip, Direction, Frames, Hit, Licence, Options, Part, Samples, Track, Variant, View


class Describer(Protocol):
    """Watches a clip and writes musical directions."""

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str, tuple[Hit, ...]]:
        """Return exactly `count` distinct directions, the describer's name and the few moments, if any, that the music should meet.
        Never fails a job: falls back to local rules.

        `video_url` is a public address of the clip that passed the address check, for describers that can watch one.
        """


class Viewer(Protocol):
    """Watches one film for an engine, in the engine's thread. Both raise what `compose` raises."""

    def see(self, frames: Frames) -> None:
        """Take the next stretch."""

    def end(self) -> None:
        """That was all: `compose` finds what was seen."""


class Engine(Protocol):
    """Turns directions into music. One thread calls it, the one in which it was loaded, one job at a time."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def licence(self) -> Licence:
        """Under which its weights stand, and so its music."""

    @property
    def trained(self) -> bool:
        """Whether it is a model that has learnt from other media; else it composes by rules."""

    @property
    def kernels(self) -> str:
        """What computes, for who wonders about its speed: fused kernels, or plain ones and why."""

    @property
    def ignores(self) -> frozenset[str]:
        """The options it does not know, by their names in `Options`: results say which of them were asked for."""

    @property
    def frames(self) -> tuple[View, ...] | None:
        """What it wants to see of a film; None: it goes by the clip's scenes."""

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> Viewer | None:
        """Who is to be shown the film, while the describer still thinks; None where nothing of it is needed (any more).

        Cheap, and for any thread. Raises Rejected (clip too short).
        """

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        """Yield each track as soon as it is ready, in the order of `variants`; one that cannot be made does not take the others along.

        `cancelled()` is cheap and is asked at every step of the sampler; the generator then raises Cancelled.
        Raises Rejected (clip too short), Unavailable (out of memory, a film that was not shown), DeviceLost.
        """

    def mend(self, clip: Clip, variant: Variant, part: Part, options: Options, cancelled: Callable[[], bool]) -> Track:
        """A track of which `Track.mended`, which is `part` or a little more, is new and goes on from what is before it and into what
        comes after it. The variant has the direction and the new seed.

        Raises what `compose` raises, and Rejected (cannot_mend) where what was kept does not do.
        """

    def rest(self, busy: Callable[[], bool]) -> None:
        """Use a moment in which no job is here for what would slow the next ones, piece by piece until `busy()`. May do nothing."""


class Stems(Protocol):
    """Takes the tracks of one engine apart, in any thread or process."""

    @property
    def engine(self) -> str: ...

    def of(self, clip: Clip, variant: Variant, options: Options, track: Samples) -> Anatomy | None:
        """None where what the engine composes again is not the track, as it is stored."""
