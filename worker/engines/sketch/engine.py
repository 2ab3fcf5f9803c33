"""The sketch engine: a composer for machines without a GPU. It writes a score and plays it, in numpy and scipy alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from worker.domain import MIT, Clip, Options, Part, Span, Track, Variant
from worker.engines.sketch.composing import Again, compose
from worker.engines.sketch.laying import Wishes
from worker.engines.sketch.mending import as_loud
from worker.engines.sketch.mixing import mix
from worker.engines.sketch.score import Score
from worker.engines.sketch.tones import RATE
from worker.errors import Cancelled, Rejected

SHORTEST_S = 0.2


class SketchEngine:
    """Implements `worker.ports.Engine`. Tracks are stereo at 44.1 kHz, as long as the clip, and depend only on the clip's
    scenes and speech, the direction, the seed, hits, segments and loop, and the negative prompt (instruments named there stay silent).
    """

    name = "sketch"
    model = "sketch-1"
    licence = MIT
    trained = False
    kernels = "NumPy"
    ignores = frozenset({"conditioning", "steps", "guidance"})
    frames = None

    def prepare(self, clip: Clip, options: Options, cancelled: Callable[[], bool]) -> None:
        """Nothing: the scenes in the clip are all this composer looks at."""

    def rest(self, busy: Callable[[], bool]) -> None:
        """Nothing."""

    def compose(
        self, clip: Clip, variants: Sequence[Variant], options: Options, cancelled: Callable[[], bool]
    ) -> Iterator[Track]:
        """Yield a track per variant. Raises Rejected for clips under 0.2 s, Cancelled as soon as `cancelled()` is true."""
        for variant in variants:
            yield _track(clip, variant, score_of(clip, variant, options), cancelled)

    def mend(self, clip: Clip, variant: Variant, part: Part, options: Options, cancelled: Callable[[], bool]) -> Track:
        """Make the bars that the part touches anew. Raises what `compose` raises, and Rejected (cannot_mend) for a part that is none."""
        if not 0 <= part.start_s < min(part.end_s, clip.duration_s):
            raise Rejected(
                f"From {part.start_s:g} to {part.end_s:g} s is no part of a track of {clip.duration_s:g} s.",
                code="cannot_mend",
            )
        if part.sample_rate != RATE:
            raise Rejected(
                f"The track has {part.sample_rate} samples a second; this composer's have {RATE}.", code="cannot_mend"
            )
        again = Again(part=Span(start_s=part.start_s, end_s=part.end_s), seed=part.seed)
        score = score_of(clip, variant, options, again)
        track = _track(clip, variant, score, cancelled)
        assert score.mended
        return replace(
            track, samples=as_loud(track.samples, part.samples, part.gain_db, score.mended), mended=score.mended
        )


def _track(clip: Clip, variant: Variant, score: Score, cancelled: Callable[[], bool]) -> Track:
    def check() -> None:
        if cancelled():
            raise Cancelled("The job was cancelled while it was being composed.")

    check()
    return Track(
        index=variant.index,
        samples=mix(score, check),
        sample_rate=RATE,
        bpm=round(score.bpm, 2),
        key=str(score.key),
        loops=score.loops,
    )


def score_of(clip: Clip, variant: Variant, options: Options, again: Again | None = None) -> Score:
    """What is played for a variant; the same every time. Raises Rejected for clips under 0.2 s."""
    if clip.duration_s < SHORTEST_S:
        raise Rejected(
            f"The video is {clip.duration_s:.2f} s long; music needs at least {SHORTEST_S} s.", code="too_short"
        )
    return compose(
        clip.duration_s,
        clip.scenes,
        variant.direction,
        variant.seed,
        options.negative_prompt or "",
        clip.speech,
        Wishes(hits=options.hits or (), segments=options.segments, loops=options.loop),
        again,
    )
