"""FfmpegMerger: music under a video, as an MP4 that browsers play at once.

The picture is copied bit by bit when browsers play it from MP4, and encoded to H.264 else (`picture`). The sound is AAC, exactly as
long as the film (`sound`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from worker.domain import AUDIO_FORMATS, Licence, Merged, Options, Span
from worker.errors import Rejected, Unavailable
from worker.pipeline.finish import envelope
from worker.pipeline.finish.command import command, heard, opened, shown
from worker.pipeline.finish.complaints import in_words
from worker.pipeline.finish.picture import as_it_is, drawn_anew
from worker.pipeline.finish.sound import RATE_HZ, ducked, limited, mixed, music
from worker.pipeline.look.answers import Heard, Measured
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.footage import Footage, Sound
from worker.pipeline.look.look import ask_decoder
from worker.together import together

_NO_DISK = "No space left"
_NO_MEMORY = ("Cannot allocate memory", "Resource temporarily unavailable", "malloc of size")
"""What ffmpeg, a thread that cannot start and x264 say."""
_SOUNDS = 3
"""Of a film with many, as many are tried."""
_SOUND: dict[str, Any] = {
    "acodec": "aac", "aac_coder": "fast", "aac_pns": 0, "aac_is": 0, "audio_bitrate": "320k", "ar": RATE_HZ, "ac": 2,
}  # fmt: skip


class FfmpegMerger:
    """Implements `Merger`. Merging is cheap, so videos may be much longer than those that are set to music."""

    def __init__(self, *, max_duration_s: float = 3600, limits: Limits | None = None) -> None:
        self._max_duration_s = max_duration_s
        self._probing = Limits()
        self._limits = limits or Limits(
            wall=timedelta(minutes=15), cpu=timedelta(minutes=30), file_bytes=4 * 2**30, output_bytes=2**16
        )

    async def merge(
        self,
        video: Path,
        audio: Path,
        into: Path,
        options: Options,
        speech: Sequence[Span] = (),
        licence: Licence | None = None,
    ) -> Merged:
        """Return a new MP4 in the folder `into`, as long as the video, and what it lacks.

        `mode` "mix" keeps the original sound under the music, if there is any that can be used; `duck` lowers the music where
        `speech` is; the file's copyright is `licence`. Raises Rejected (not_audio, and what `ChildLooker.look` raises for the video) or Unavailable.
        """
        (measured, _), (listened, _) = await together(
            ask_decoder("measure", video, self._max_duration_s, expect=Measured, limits=self._probing),
            ask_decoder("listen", audio, self._max_duration_s, expect=Heard, limits=self._probing),
        )
        film = measured.footage
        target = into / f"merged-{secrets.token_hex(8)}.mp4"
        gains = target.with_suffix(".f32") if options.ducks and speech else None
        if gains is not None:
            curve = envelope.points(speech, options.duck_db, film.duration_s)
            await asyncio.to_thread(envelope.render, curve, gains)
        given = [file for file in (video, audio, gains) if file is not None]
        tags = {} if licence is None else {"metadata": f"copyright={licence}"}
        try:
            for picture, sound in _ways(film, options):
                line = _command(video, audio, gains, target, film, picture | tags, sound, listened.sound, options)
                target.touch()
                ended = await run_child(line, self._limits, task="Merging", reads=given, writes=[target])
                if ended.code == 0:
                    return Merged(file=target, notes=_notes(film, sound, options))
                if any(words in ended.complaints for words in (_NO_DISK, *_NO_MEMORY)):
                    break
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        target.unlink(missing_ok=True)
        if _NO_DISK in ended.complaints:
            raise Unavailable("The worker's disk is full; try again later", code="no_disk")
        if any(words in ended.complaints for words in _NO_MEMORY):
            raise Rejected("Merging needs more memory than it may have; send a smaller video", code="too_demanding")
        why = in_words(ended.complaints.replace(f"{into}/", ""))
        what = "The video and the music do not go together" if film.decodes else "The video's picture cannot be decoded"
        raise Rejected(f"{what} ({why}); export the video again, for example as H.264 MP4", code="broken_video")


def _ways(film: Footage, options: Options) -> Iterator[tuple[dict[str, Any], Sound | None]]:
    """What is tried one after the other: the picture as it is before a new one, and each with the sounds there are before none."""
    sounds = film.usable_sounds[:_SOUNDS] if options.mode == "mix" else ()
    for picture in (as_it_is(film), drawn_anew(film)):
        if picture is not None:
            yield from ((picture, sound) for sound in (*sounds, None))


def _notes(film: Footage, sound: Sound | None, options: Options) -> tuple[str, ...]:
    """What a mix has otherwise than asked."""
    if options.mode != "mix" or (film.sounds and sound == film.sounds[0]):
        return ()
    if not film.sounds:
        return ("The video has no sound that can be used, so the music plays alone.",)
    first = film.sounds[0]
    kind = ", ".join(word for word in (first.codec, first.layout) if word)
    if sound is None:
        return (f"The video's own sound ({kind}) cannot be used, so the music plays alone.",)
    return (f"The video's first sound ({kind}) cannot be used; another of its sounds ({sound.codec}) took its place.",)


def _command(
    video: Path,
    audio: Path,
    gains: Path | None,
    target: Path,
    film: Footage,
    picture: dict[str, Any],
    sound: Sound | None,
    track: Sound,
    options: Options,
) -> list[str]:
    own = shown(video, film)
    played = music(opened(audio, AUDIO_FORMATS)[f"a:{track.number}"], track, film.duration_s, options.music_gain_db)
    if sound is not None:
        if gains is not None:
            played = ducked(played, opened(gains, "f32le", format="f32le", ar=envelope.RATE_HZ, ac=1))
        played = mixed(played, heard(own, sound, film), sound, film.duration_s)
    return command(film, target, own[str(film.stream)], limited(played), **picture, **_SOUND)
