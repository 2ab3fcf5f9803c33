"""FfmpegMerger: music under a video, as an MP4 that browsers play at once.

The picture is copied bit by bit when browsers play its codec from MP4. Others (VP8, MPEG-4 part 2, Theora, ProRes ...)
and AVI, whose frames carry no presentation times, are encoded to H.264. The sound is AAC, exactly as long as the
picture: short music ends in silence, long music in a fade.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from worker.domain import AUDIO_FORMATS, PROTOCOLS, VIDEO_FORMATS, Options
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.answers import Heard, Measured
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.footage import Footage
from worker.pipeline.look.look import ask_decoder
from worker.together import together

_THREADS = 4
"""Of each part, whatever the machine: they cost memory, of which there is as much everywhere."""
_NO_MEMORY = ("Cannot allocate memory", "Resource temporarily unavailable", "malloc of size")
"""What ffmpeg, a thread that cannot start and x264 say."""
_COPIED = {"h264", "hevc", "av1", "vp9"}
_FADE_S = 3.0
_COPY: dict[str, Any] = {"vcodec": "copy"}
_ENCODE: dict[str, Any] = {
    "vcodec": "libx264",
    "preset": "veryfast",
    "crf": 20,
    "pix_fmt": "yuv420p",
    "threads": _THREADS,
    "vf": "setpts=PTS-STARTPTS,scale=trunc(iw/2)*2:trunc(ih/2)*2",  # H.264 in 4:2:0 has even sides
}
_SOUND: dict[str, Any] = {"acodec": "aac", "audio_bitrate": "192k", "ar": 48_000, "ac": 2}
# Titles and places (phones store where a video was taken) are nobody's business in a public file.
_MP4: dict[str, Any] = {"format": "mp4", "movflags": "+faststart", "map_metadata": -1, "map_chapters": -1}


class FfmpegMerger:
    """Implements `Merger`. Merging is cheap, so videos may be much longer than those that are set to music."""

    def __init__(self, *, max_duration_s: float = 3600, limits: Limits | None = None) -> None:
        self._max_duration_s = max_duration_s
        self._probing = Limits()
        self._limits = limits or Limits(
            wall=timedelta(minutes=15), cpu=timedelta(minutes=30), file_bytes=4 * 2**30, output_bytes=2**16
        )

    async def merge(self, video: Path, audio: Path, into: Path, options: Options) -> Path:
        """Return a new MP4 in the folder `into`, as long as the video.

        `mode` "mix" keeps the original sound under the music, if there is any; `duck` lowers the music while it is loud.
        Raises Rejected (not_audio, and what `ChildLooker.look` raises for the video) or Unavailable.
        """
        (measured, _), (music, _) = await together(
            ask_decoder("measure", video, self._max_duration_s, expect=Measured, limits=self._probing),
            ask_decoder("listen", audio, self._max_duration_s, expect=Heard, limits=self._probing),
        )
        picture = measured.footage
        target = into / f"merged-{secrets.token_hex(8)}.mp4"
        ways = [_COPY, _ENCODE] if picture.codec in _COPIED and picture.timed else [_ENCODE]
        try:
            for way in ways:
                codec = way | (
                    {"tag:v": "hvc1"} if way is _COPY and picture.codec == "hevc" else {}
                )  # Apple's players ask for it
                command = _command(video, audio, target, codec, picture=picture, music=music, options=options)
                target.touch()
                ended = await run_child(
                    command,
                    self._limits,
                    task="Merging",
                    reads=[video, audio],
                    writes=[target],
                )
                if ended.code == 0:
                    return target
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        target.unlink(missing_ok=True)
        why = ended.complaints.strip().rpartition("\n")[2].replace(f"{into}/", "")
        if "No space left" in ended.complaints:
            raise Unavailable("The worker's disk is full; try again later", code="no_disk")
        if any(words in ended.complaints for words in _NO_MEMORY):
            raise Rejected("Merging needs more memory than it may have; send a smaller video", code="too_demanding")
        raise Rejected(f"The video and the music do not go together ({why}); export both again", code="broken_video")


def _command(
    video: Path, audio: Path, target: Path, codec: dict[str, Any], *, picture: Footage, music: Heard, options: Options
) -> list[str]:
    # Containers may start late and each stream of theirs later still: the first frame is set to time 0, sound follows.
    footage = _input(video, VIDEO_FORMATS, itsoffset=-picture.start_s if picture.timed else 0)
    length_s = picture.duration_s
    music_in = _input(audio, AUDIO_FORMATS)["a:0"].filter("asetpts", "PTS-STARTPTS")
    track = _even(music_in, length_s).filter("volume", f"{options.music_gain_db}dB")
    if music.duration_s > length_s + 0.1:
        fade_s = min(_FADE_S, length_s / 3)
        track = track.filter("afade", type="out", start_time=length_s - fade_s, duration=fade_s)
    sound = track
    if options.mode == "mix" and picture.has_audio:
        original = _even(footage["a:0"], length_s)
        if options.duck:
            split = original.filter_multi_output("asplit")
            original = split[0]
            track = ffmpeg.filter(
                [track, split[1]], "sidechaincompress", threshold=0.03, ratio=6, attack=20, release=500
            )
        both = ffmpeg.filter([original, track], "amix", inputs=2, duration="first", normalize=0)
        sound = both.filter("alimiter", limit=0.9, level=0, latency=1)
    output = ffmpeg.output(footage["V:0"], sound, f"file:{target.absolute()}", **codec, **_SOUND, **_MP4)
    output = output.global_args("-copyts", "-nostdin", "-hide_banner", "-loglevel", "error")
    output = output.global_args("-filter_threads", str(_THREADS), "-filter_complex_threads", str(_THREADS))
    command: list[str] = ffmpeg.compile(output, cmd=imageio_ffmpeg.get_ffmpeg_exe(), overwrite_output=True)
    return command


def _input(path: Path, formats: str, **options: Any) -> Any:
    place = f"file:{path.absolute()}"
    return ffmpeg.input(place, protocol_whitelist=PROTOCOLS, format_whitelist=formats, threads=_THREADS, **options)


def _even(sound: Any, length_s: float) -> Any:
    """Stereo at 48 kHz from time 0 (a late start becomes silence, an early one is cut) to exactly `length_s`."""
    resampled = sound.filter("aresample", 48_000, **{"async": 1, "first_pts": 0})
    stereo = resampled.filter("aformat", sample_fmts="fltp", channel_layouts="stereo")
    return stereo.filter("apad", whole_dur=length_s).filter("atrim", end=length_s)
