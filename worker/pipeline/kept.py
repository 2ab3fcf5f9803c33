"""What is kept of a track of which a part is to be made anew, fetched."""

from __future__ import annotations

from pathlib import Path

from worker.domain import Kept, Mending, Part
from worker.errors import Rejected
from worker.ports import Fetcher, Mender
from worker.together import together

_ROUNDED_S = 0.01
"""By so much an end may be given too late: lengths are told rounded."""


async def fetch_kept(mending: Mending, fetcher: Fetcher, mender: Mender, folder: Path) -> Kept:
    """Raises what `Fetcher.fetch` and `Mender.read` raise, and Rejected (cannot_mend) for a part that is not in the track."""

    async def fetch(name: str, url: str | None) -> Path | None:
        into = folder / name
        into.mkdir()
        return await fetcher.fetch(url, into) if url else None

    master, latents = await together(fetch("master", mending.master_url), fetch("latents", mending.latents_url))
    assert master is not None
    kept = await mender.read(master, latents)
    if not 0 <= mending.start_s < mending.end_s <= kept.duration_s + _ROUNDED_S:
        raise Rejected(
            f"From {mending.start_s:g} to {mending.end_s:g} s is no part of a track of {kept.duration_s:g} s; "
            "name one that lies within it",
            code="cannot_mend",
        )
    return kept


def part_of(kept: Kept, mending: Mending) -> Part:
    """What an engine is told of it."""
    return Part(
        start_s=mending.start_s,
        end_s=min(mending.end_s, kept.duration_s),
        seed=mending.seed,
        gain_db=mending.gain_db,
        samples=kept.samples,
        sample_rate=kept.sample_rate,
        latents=kept.latents,
    )
