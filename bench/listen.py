"""Films of different kinds with their music on one page, to hear and to see: players, spectrograms, cuts, beats, figures.

`python -m bench.listen [FILM ...] [--engine sketch --engine acestep:xl-turbo] [--to output/listen.html]`; without films eight are made.
Each film is looked at and described as a worker without a VLM does it, and every engine gets the same direction and seed. The page
needs no network and no other file. mmaudio:MODEL and acestep:MODEL want their weights in MODELS_DIR.
"""

from __future__ import annotations

import argparse
import asyncio
import io
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from bench.engines import MODEL, NOBODY
from bench.listen_page import Film, Take, page
from bench.pipeline_films import FILMS, FOLDER
from rhythmai.sample import make_sample
from tests.unit.media import BLACK, BLUE, GREEN, GREY, RED, WHITE, write_video
from worker.domain import Clip, Hit, Options, Recording, Samples, Variant
from worker.loading import load_engine
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.finish.for_players import for_players
from worker.pipeline.finish.master import master
from worker.pipeline.look.look import ChildLooker
from worker.ports import Engine
from worker.settings import Settings

DRAWN = {
    "one calm shot": [(BLUE, 20)],
    "many cuts": [(colour, 0.9) for colour in (RED, WHITE, BLUE, GREEN, BLACK) * 3],
    "three acts": [(GREY, 11.3), (RED, 7.1), (BLACK, 11.6)],
    "a dark one": [(BLACK, 9.4), (BLUE, 6.2)],
    "a very short one": [(GREEN, 1.5), (RED, 2)],
}
"""Colours and seconds of the scenes."""
ASKED = {"three acts": (Hit(at_s=11.3, kind="drop"), Hit(at_s=18.4, kind="stop")), "a dark one": (Hit(at_s=6.0),)}
"""Moments that somebody asks for; in other films they are the director's."""


def films() -> Iterator[tuple[str, Path]]:
    """Eight, made now where they are not there yet: drawn scenes, plain colours, fractals."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seconds in (12, 32):
        path = FOLDER / f"sample-{seconds}.mp4"
        if not path.exists():
            make_sample(path, seconds)
        yield f"the sample, {seconds} s", path
    yield "fractals", FILMS["12s-360p"].file()
    for name, scenes in DRAWN.items():
        path = FOLDER / f"{name.replace(' ', '-')}.mp4"
        if not path.exists():
            write_video(path, scenes, size=(320, 180), sound=False)
        yield name, path


async def composed(title: str, file: Path, name: str, engine: Engine) -> tuple[Clip, Take]:
    """What is seen of the film, and the music that the engine makes for it."""
    options, viewer = Options(seed=1), None
    async with aclosing(ChildLooker().look(file, None, engine.frames)) as looks:
        async for one in looks:
            if isinstance(one, Clip):
                clip = one
                viewer = viewer or engine.prepare(clip, options, lambda: False)
            elif viewer:
                viewer.see(one)
    if viewer:
        viewer.end()
    (direction,), _, proposed = await LocalDescriber().describe(clip, "", 1)
    hits = ASKED.get(title, proposed)
    options = replace(options, hits=hits)
    (track,) = engine.compose(clip, [Variant(index=0, seed=1, direction=direction)], options, lambda: False)
    made = master(
        track, duration_s=clip.duration_s, loudness_lufs=-14, format="wav", tags={}, scenes=clip.scenes, hits=hits
    )
    assert made.fit is not None
    return clip, Take(
        engine=name,
        direction=direction,
        hits=hits,
        recording=made,
        samples=_decoded(made),
        rate=track.sample_rate,
        fit=made.fit,
        played=for_players(made, tags={}),
    )


def _decoded(made: Recording) -> Samples:
    with av.open(io.BytesIO(made.data)) as container:
        stream = container.streams.audio[0]
        waves = [frame.to_ndarray().reshape(-1, stream.channels) for frame in container.decode(stream)]
    return np.concatenate(waves).T.astype(np.float32) / np.float32(32768)


def loaded(asked: str) -> Engine:
    name, _, model = asked.partition(":")
    return load_engine(Settings(engine=name, **NOBODY, **({MODEL[name]: model} if model else {})), name)  # type: ignore[arg-type]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", nargs="*", type=Path, help="videos (default: eight that are made now)")
    parser.add_argument(
        "--engine", action="append", help="sketch (default), mmaudio:MODEL, acestep:MODEL; may be repeated"
    )
    parser.add_argument("--to", type=Path, default=Path("output/listen.html"))
    asked = parser.parse_args()
    engines = {name: loaded(name) for name in asked.engine or ["sketch"]}
    shown = []
    for title, file in [(path.name, path) for path in asked.films] or films():
        takes = []
        for name, engine in engines.items():
            clip, take = await composed(title, file, name, engine)
            takes.append(take)
        shown.append(Film(title=title, clip=clip, takes=tuple(takes)))
        print(f"{title}: {clip.duration_s:.1f} s, {len(clip.cuts_s)} cuts", flush=True)
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    asked.to.write_text(page(shown))
    print(asked.to.resolve().as_uri())


if __name__ == "__main__":
    asyncio.run(main())
