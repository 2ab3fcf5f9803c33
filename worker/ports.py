"""The seams of a worker: what the listener and the pipeline ask of the world. Adapters implement them, nobody subclasses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from worker.domain import (
    Clip,
    Delivery,
    Direction,
    Facts,
    Frames,
    Job,
    Lease,
    Licence,
    Merged,
    Options,
    Part,
    Plan,
    Recording,
    Result,
    Scene,
    Span,
    Speech,
    Stage,
    Track,
    Variant,
    View,
)
from worker.wake import Wake


class Queue(Protocol):
    """The jobs table, through its SQL functions. Every write raises LeaseLost or Cancelled when refused, QueueUnavailable when away."""

    async def claim(self) -> Job | None:
        """Take the next job, or None. Requeues the jobs of dead workers first."""

    async def next_due(self) -> timedelta | None:
        """How long until a backed-off job becomes ready; None when none waits."""

    async def set_stage(self, lease: Lease, stage: Stage, made_with: str | None = None) -> None:
        """Say where the job stands, and once what composes it, engine and model; how long that takes is known by it."""

    async def note(self, lease: Lease, sentence: str) -> None:
        """Tell the user what went otherwise than asked; saying it again changes nothing."""

    async def set_preview(self, lease: Lease, url: str) -> None:
        """Say where the film is that browsers play; the first one said holds."""

    async def put_speech(self, lease: Lease, speech: Speech) -> None:
        """Tell where somebody speaks in the film, as far as it was heard."""

    async def put_brief(self, lease: Lease, brief: dict[str, Any]) -> None:
        """Tell what a brief has found in the film, as the contract shows it; the first one told holds."""

    async def known_speech(self, lease: Lease) -> Speech | None:
        """What another job of the same film and the same owner has heard of it, if it heard it to its end."""

    async def music_licence(self, lease: Lease) -> Licence | None:
        """Of the track that a merge was asked for; None when it is none of ours."""

    async def save_plan(self, lease: Lease, plan: Plan) -> Plan:
        """Save the plan unless one is there; return the one that holds."""

    async def put_result(self, lease: Lease, result: Result) -> None: ...

    async def finish(self, lease: Lease) -> None:
        """End the job: completed when at least one result, or its brief, is there, else failed."""

    async def fail(self, lease: Lease, *, code: str, message: str, again: bool, burn: bool = True) -> None:
        """Report an error: with `again` the job is retried with backoff while attempts are left; without `burn` this one does not count."""

    async def crash(self, lease: Lease, *, code: str, message: str) -> None:
        """Hand back a job under which the device broke: it is retried elsewhere, but two such crashes end it."""

    async def release(self, lease: Lease) -> None:
        """Hand the job back as if it had not been claimed (drain, yield)."""

    async def interactive_waiting(self) -> bool:
        """Whether interactive work waits that we could do: a batch job then yields before it is composed."""


class Outbox(Protocol):
    """The webhooks that ended jobs have earned. Raises QueueUnavailable when the database is away."""

    async def claim_delivery(self) -> Delivery | None:
        """Take the next delivery that is due, or None."""

    async def settle_delivery(
        self, delivery: Delivery, *, delivered: bool, error: str | None, again: bool, wait_s: float = 0
    ) -> None:
        """Say how a try went; a lost lease is nothing to worry about, since another worker tries."""


class Retention(Protocol):
    """What is to be forgotten. Raises QueueUnavailable when the database is away."""

    async def tidy(self) -> list[tuple[str, str]]:
        """Forget jobs that ended longer ago than they are kept; return the (bucket, path) of objects that nobody needs, none if another worker has just asked."""

    async def deleted(self, bucket: str, paths: Sequence[str]) -> None:
        """Storage has deleted them."""


class WakeUps(Protocol):
    """Something that may shorten a sleep. Hints only: the truth is the claim."""

    async def run(self, wake: Callable[[Wake], None]) -> None:
        """Call `wake` whenever work may have come, also after every (re)connect; reconnects for ever, until cancelled."""


class Fetcher(Protocol):
    """Brings a URL of a stranger to disk."""

    async def fetch(self, url: str, into: Path) -> Path:
        """Stream the URL to a new file in the folder `into`.

        Raises Rejected (forbidden address, too large, 4xx) or Unavailable (unreachable, 5xx, timeout).
        """


class Storage(Protocol):
    """The public buckets."""

    async def put(self, bucket: str, path: str, data: bytes | Path, content_type: str) -> str:
        """Upload to `bucket/path`, which must be new; return the public URL. An object that is there already counts as uploaded.

        Raises Unavailable, Rejected (larger than the bucket takes).
        """

    async def remove(self, bucket: str, paths: Sequence[str]) -> None:
        """Delete objects; one that is not there counts as deleted. Raises Unavailable."""


class Describer(Protocol):
    """Watches a clip and writes musical directions."""

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str]:
        """Return exactly `count` distinct directions and the describer's name. Never fails a job: falls back to local rules.

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


class Master(Protocol):
    """Gives a raw track its exact length, fades, loudness and file format."""

    def __call__(
        self,
        track: Track,
        *,
        duration_s: float,
        loudness_lufs: float,
        format: str,
        tags: dict[str, str],
        scenes: Sequence[Scene] = (),
    ) -> Recording:
        """With the film's `scenes` the recording says how it fits them."""


class ForPlayers(Protocol):
    """Makes an M4A, which every player takes, of a track."""

    def __call__(self, recording: Recording, *, tags: dict[str, str]) -> bytes: ...


class Signer(Protocol):
    """Signs into a file where it comes from (C2PA)."""

    async def sign(
        self, file: Path, into: Path, *, content_type: str, title: str, facts: Facts, parts: Mapping[str, Path]
    ) -> Path:
        """Return a signed copy in the folder `into`, in which no sample and no picture is another. `parts` are what it was made of, by
        their names: the first is what was there before, and their own manifests go along.

        Raises ServiceAway (whoever has the key does not sign), Unavailable.
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
