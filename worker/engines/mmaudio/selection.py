"""Which frames of a video the encoders see: the first frame at or after each slot of two clocks, 8 and 25 a second."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.engines.mmaudio.lengths import CLIP_FPS, SYNC_FPS


@dataclass(slots=True)
class Clock:
    """Slots at a fixed rate, their times summed up in float64: k * 0.04 is not the k-th sum of 0.04, and the sum decides."""

    fps: int
    due_s: float = 0.0
    count: int = 0

    def take(self, time_s: float) -> int:
        """How many slots the frame at this time fills: none, one, or several where frames are rarer than slots."""
        before = self.count
        while time_s >= self.due_s:
            self.count += 1
            self.due_s += 1 / self.fps
        return self.count - before


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What remains once the video is read: how long the request is, and how many frames of each clock count."""

    duration_s: float
    clip: int
    sync: int


@dataclass(slots=True)
class Selection:
    """Frames come in presentation order; their number limits the duration in the end."""

    duration_s: float
    clip: Clock = field(default_factory=lambda: Clock(CLIP_FPS))
    sync: Clock = field(default_factory=lambda: Clock(SYNC_FPS))

    def take(self, time_s: float) -> tuple[int, int]:
        """How often the frame at this time is shown to CLIP and to Synchformer."""
        if time_s < 0 or time_s > self.duration_s:
            return 0, 0
        return self.clip.take(time_s), self.sync.take(time_s)

    def cut(self) -> Cut:
        """The duration shrinks to what the frames cover: a 25 fps video of 8 s has 199 slots filled and becomes 7.96 s."""
        duration = self.duration_s
        for clock in (self.clip, self.sync):
            duration = min(duration, clock.count / clock.fps)
        return Cut(duration_s=duration, clip=int(CLIP_FPS * duration), sync=int(SYNC_FPS * duration))
