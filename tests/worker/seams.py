"""Every port of the pipeline, in memory."""

import asyncio
import threading
from pathlib import Path

import numpy as np

from worker.domain import Clip, Direction, Fit, Licence, Merged, Packed, Recording, Scene, Span, Speech, Track
from worker.errors import Cancelled

SCENE = Scene(start_s=0, end_s=2, brightness=0.5, saturation=0.5, warmth=0.5, motion=0.5)
CLIP = Clip(
    path=Path("x"), digest="d", duration_s=2, width=8, height=8, fps=25, has_audio=False, scenes=(SCENE,), stills=()
)

SPOKEN = (Span(start_s=0.5, end_s=1.0),)


def direction(name):
    return Direction(
        title=name, prompt=name, description="", genre="", instruments=(), tempo_bpm=90, key="C major", mood=""
    )


FIT = Fit(
    cuts=1, on_beat=1, chance=0.05, luck=0.05, curve=0.31, curve_chance=0.21, beats_s=(1.0,), bpm=15.0, key=None,
    loudness_lufs=-14.0, lra_lu=3.04, true_peak_db=-1.1,
)  # fmt: skip


class Seams:
    """Every port of the pipeline, in memory; `rows` and `objects` are what came out."""

    name, model, kernels, frames = "fake", "1", "none", None
    trained = True
    licence = Licence("CC-BY-NC-4.0", commercial=False, url="https://creativecommons.org/licenses/by-nc/4.0/")
    ignores = frozenset({"negative_prompt", "conditioning", "steps"})

    def __init__(self):
        self.clip = CLIP
        self.rows, self.objects, self.stages, self.composed, self.threads, self.seen = [], {}, [], [], set(), []
        self.tags, self.merged_under = [], None
        self.made_with = []
        self.rests, self.rested = [], threading.Event()
        self.brief = None
        self.notes, self.speech, self.known, self.ducked = [], [], None, None
        self.directed = self.played = self.proposed = ()
        self.previewing, self.preview_may_end, self.preview_url = asyncio.Event(), asyncio.Event(), None
        self.preview_may_end.set()
        self.latents = self.kept_master = None
        self.packs, self.packs_notes = [], ()
        self.plan, self.waiting, self.closed, self.fail_on = None, False, threading.Event(), {}

    async def set_stage(self, lease, stage, made_with=None):
        self.stages.append(stage.value)
        self.made_with += [made_with] if made_with else []

    async def note(self, lease, sentence):
        self.notes.append(sentence)

    async def put_speech(self, lease, speech):
        self.speech.append(speech)

    async def put_brief(self, lease, brief):
        self.brief = brief

    async def known_speech(self, lease):
        return self.known

    async def music_licence(self, lease):
        return self.licence

    async def save_plan(self, lease, plan):
        self.plan = self.plan or plan
        return self.plan

    async def set_preview(self, lease, url):
        self.preview_url = url

    async def put_result(self, lease, result):
        self.rows.append(result)

    async def interactive_waiting(self):
        return self.waiting

    async def fetch(self, url, into):
        self.folder = into
        file = into / "video"
        file.write_bytes(b"x")
        return file

    async def look(self, path, duration_s, views=None):
        yield self.clip
        yield ("first",)
        yield ("second",)

    async def hear(self, path):
        yield Speech(spans=(), heard_s=0, film_s=2)
        yield Speech(spans=SPOKEN, heard_s=2, film_s=2)

    async def describe(self, clip, user_request, count, video_url):
        self.directed = clip.speech
        return tuple(direction(f"d{i}") for i in range(count)), "local", self.proposed

    def prepare(self, clip, options, cancelled):
        return self

    def see(self, frames):
        self.prepared = threading.current_thread().name
        self.threads.add(threading.get_ident())
        self.seen.append(frames)

    def end(self):
        self.seen.append("end")

    def rest(self, busy):
        self.rests.append(busy())
        self.rested.set()

    def compose(self, clip, variants, options, cancelled):
        try:
            self.played, self.options = clip.speech, options
            self.threads.add(threading.get_ident())
            for variant in variants:
                self.composed.append(variant.index)
                while variant.index in self.fail_on.get("hang", ()):
                    if cancelled():
                        raise Cancelled("stopped")
                yield Track(
                    index=variant.index, samples=np.zeros((1, 8), np.float32), sample_rate=4, latents=self.latents
                )
        finally:
            self.closed.set()

    def master(self, track, *, duration_s, loudness_lufs, format, tags, scenes=(), hits=(), loop=False):
        self.tags.append(tags)
        self.heard_hits, self.looped = hits, loop
        if error := self.fail_on.get(track.index):
            raise error
        return Recording(
            data=bytes([track.index]), content_type="audio/flac", suffix=".flac", duration_s=duration_s, peaks="", loudness_lufs=loudness_lufs, true_peak_db=-1.1,
            fit=FIT if scenes else None, gain_db=2.5, master=self.kept_master,
        )  # fmt: skip

    async def preview(self, url, video, into, until_s):
        self.previewing.set()
        if error := self.fail_on.get("preview"):
            raise error
        await self.preview_may_end.wait()
        if url.startswith("https://storage/"):
            return None
        (self.folder / "p.mp4").write_bytes(b"preview")
        return self.folder / "p.mp4"

    async def put(self, bucket, path, data, content_type):
        self.objects[f"{bucket}/{path}"] = data.read_bytes() if isinstance(data, Path) else data
        return f"https://storage/{bucket}/{path}"

    async def merge(self, video, audio, into, options, speech, licence):
        self.ducked, self.merged_under = speech, licence
        (into / "m.mp4").write_bytes(b"merged")
        return Merged(file=into / "m.mp4", notes=("One sound was left out.",))

    async def pack(self, track, into, clip, plan, options, film):
        self.packs.append((clip, plan, options, film))
        for name in ("cues.json", "stem.flac"):
            (into / name).write_text(f"{name} ")
        stems = {"stems/drums.flac": into / "stem.flac"} if options.packs["engine"] == "sketch" else {}
        return Packed(
            files={"track.flac": track, "cues.json": into / "cues.json"}, stems=stems, facts={"engine": "fake"},
            notes=self.packs_notes,
        )  # fmt: skip
