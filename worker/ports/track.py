"""What is done with tracks: finished, mended, signed, packed and stored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from worker.domain import Clip, Facts, Hit, Kept, Mending, Options, Packed, Plan, Recording, Scene, Track


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
        hits: Sequence[Hit] = (),
        loop: bool = False,
    ) -> Recording:
        """With the film's `scenes` the recording says how it fits them, and how late each of the hits is."""


class Mender(Protocol):
    """Puts a part that was made anew into a track that was finished before."""

    async def read(self, master: Path, latents: Path | None) -> Kept:
        """Every sample of the track, and its latents, which an engine wrote. Raises Rejected, Unavailable."""

    def mend(
        self,
        track: Track,
        kept: Kept,
        mending: Mending,
        *,
        format: str,
        tags: dict[str, str],
        scenes: Sequence[Scene] = (),
        hits: Sequence[Hit] = (),
        loop: bool = False,
    ) -> Recording:
        """What of the raw track is new (`Track.mended`), raised by as much as the old one was and under the same ceiling, leads
        over from the old one and back inside of that stretch. Every sample outside of it is the old one's.
        """


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


class Packer(Protocol):
    """Hands a track over to editors and programs."""

    async def pack(self, track: Path, into: Path, clip: Clip, plan: Plan, options: Options, film: str) -> Packed:
        """Write what is handed over to the folder `into`.

        `plan` has the track's variant alone, `options.packs` what is told of it, `film` is the film's address.
        Raises Rejected (not_audio), Unavailable.
        """


class Storage(Protocol):
    """The public buckets."""

    async def put(self, bucket: str, path: str, data: bytes | Path, content_type: str) -> str:
        """Upload to `bucket/path`, which must be new; return the public URL. An object that is there already counts as uploaded.

        Raises Unavailable, Rejected (larger than the bucket takes).
        """

    async def remove(self, bucket: str, paths: Sequence[str]) -> None:
        """Delete objects; one that is not there counts as deleted. Raises Unavailable."""
