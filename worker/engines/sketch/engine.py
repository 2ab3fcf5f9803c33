"""The sketch engine: a composer for machines without a GPU. It writes a score and plays it, in numpy and scipy alone."""

from collections.abc import Callable, Iterator, Sequence

from worker.domain import MIT, Clip, Options, Track, Variant
from worker.engines.sketch.composing import compose
from worker.engines.sketch.laying import Wishes
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
        if clip.duration_s < SHORTEST_S:
            raise Rejected(
                f"The video is {clip.duration_s:.2f} s long; music needs at least {SHORTEST_S} s.", code="too_short"
            )

        def check() -> None:
            if cancelled():
                raise Cancelled("The job was cancelled while it was being composed.")

        for variant in variants:
            check()
            score = score_of(clip, variant, options)
            samples = mix(score, check)
            yield Track(
                index=variant.index, samples=samples, sample_rate=RATE, bpm=round(score.bpm, 2), key=str(score.key)
            )


def score_of(clip: Clip, variant: Variant, options: Options) -> Score:
    """What is played for a variant; the same every time."""
    return compose(
        clip.duration_s,
        clip.scenes,
        variant.direction,
        variant.seed,
        options.negative_prompt or "",
        clip.speech,
        Wishes(hits=options.hits or (), segments=options.segments, loops=options.loop),
    )
