"""Films for the pipeline's bench, made once into the system's temporary folder: pans over fractals with grain, cuts and sound."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

FOLDER = Path(tempfile.gettempdir()) / "rhythmai-bench-films"
PART_S = 12
"""What is drawn; longer films repeat it, packet by packet."""
SCENES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """H.264 at 25 frames a second; `gop` is the most frames between two key frames (a phone: 1 s; x264 by itself: 10 s)."""

    name: str
    width: int
    height: int
    seconds: float
    gop: int

    def file(self) -> Path:
        """The film, made now if it is not there yet."""
        path = FOLDER / f"{self.name}.mp4"
        if not path.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            made = path.with_suffix(".part.mp4")
            if self.seconds <= PART_S:
                _draw(self, made)
            else:
                part = Film(
                    name=f"part-{self.height}-{self.gop}",
                    width=self.width,
                    height=self.height,
                    seconds=PART_S,
                    gop=self.gop,
                )
                _ffmpeg("-stream_loop", "-1", "-i", part.file(), "-t", str(self.seconds), "-c", "copy", made)
            made.rename(path)
        return path


def _draw(film: Film, to: Path) -> None:
    width, height = film.width * 4 // 3, film.height * 4 // 3
    scenes = [
        f"mandelbrot=s={width}x{height}:r=1:start_scale={scale}:start_x={-0.743643887 + 0.00002 * i},"
        f"trim=end_frame=1,loop=-1:1,fps=25,trim=duration={film.seconds / SCENES},setpts=PTS-STARTPTS,"
        f"crop={film.width}:{film.height}:x='(iw-ow)*(0.5+0.5*sin(0.9*t+{i}))':y='(ih-oh)*(0.5+0.5*cos(0.7*t))',"
        f"hue=h={70 * i},noise=alls=4:allf=t,format=yuv420p[v{i}]"
        for i, scale in enumerate((0.5, 0.02, 1.2))
    ]
    joined = "".join(f"[v{i}]" for i in range(SCENES)) + f"concat=n={SCENES}:v=1[v]"
    _ffmpeg(
        "-filter_complex", ";".join([*scenes, joined]), "-f", "lavfi", "-i", f"anoisesrc=d={film.seconds}:c=pink:a=0.1",
        "-map", "[v]", "-map", "0:a", "-c:v", "libx264", "-preset", "superfast", "-crf", "26", "-g", str(film.gop),
        "-c:a", "aac", "-t", str(film.seconds), "-movflags", "+faststart", to,
    )  # fmt: skip


def _ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


FILMS = {
    film.name: film
    for film in (
        Film(name="12s-360p", width=640, height=360, seconds=12, gop=250),
        Film(name="12s-1080p", width=1920, height=1080, seconds=12, gop=25),
        Film(name="60s-1080p", width=1920, height=1080, seconds=60, gop=25),
        Film(name="175s-1080p", width=1920, height=1080, seconds=175, gop=250),
    )
}
