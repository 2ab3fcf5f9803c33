"""How a film's picture gets into an MP4 that browsers and phones play: as it is, or drawn anew."""

from __future__ import annotations

from typing import Any

from worker.pipeline.look.footage import Footage

THREADS = 4
"""Of each part, whatever the machine: they cost memory, of which there is as much everywhere."""
_PLAIN = {"yuv420p", "yuvj420p"}
_PLAYED = {"h264": _PLAIN} | dict.fromkeys(("hevc", "av1", "vp9"), _PLAIN | {"yuv420p10le"})
"""Codecs that are played from MP4, with the pixel formats that decoders in hardware know."""
_H264_PROFILES = {"", "Baseline", "Constrained Baseline", "Main", "High"}
"""Those that are played: others may hold plain pixels in a way that no browser knows, as lossless ones do."""
_BROWSERS = {"mp4": ({"h264", "vp9", "av1"}, {"aac", "opus"}), "webm": ({"vp9", "av1"}, {"opus"})}
"""Pictures and sounds that every browser plays, by container."""
_UNKNOWN = 2
_HDR = {16: "smpte2084", 18: "arib-std-b67"}
"""H.273's transfers of high dynamic range, PQ and HLG, as ffmpeg names them."""
_WHITE_NITS, _BRIGHTEST_NITS = 203, 1000
"""Of BT.2408: paper white, which becomes a little less than white, and what most HDR is graded to."""


def _plain(picture: Footage) -> bool:
    """Whether decoders of players know it."""
    odd = picture.codec == "h264" and picture.profile not in _H264_PROFILES
    return picture.pixel_format in _PLAYED.get(picture.codec, ()) and not picture.interlaced and not odd


def as_it_is(picture: Footage) -> dict[str, Any] | None:
    """ffmpeg's options that copy the picture bit by bit; None where it is not to be copied.

    It is not where players would not show it, where its clock is none, or where the file holds pictures that an edit took out.
    """
    if not _plain(picture) or not picture.timed or picture.jumps or picture.hidden_s > 1.5 / picture.fps:
        return None
    options: dict[str, Any] = {"vcodec": "copy"}
    if picture.codec == "hevc":
        options["tag:v"] = "hvc1"  # Apple's players ask for it
    if standing_s := picture.duration_s - picture.picture_s:
        options["bsf:v"] = f"setts=duration=if(eq(NEXT_DTS\\,NOPTS)\\,DURATION+{standing_s:.6f}/TB\\,DURATION)"
    return options


def browsers_play(film: Footage) -> bool:
    """Whether every browser plays the file as it is, with its first sound."""
    pictures, sounds = _BROWSERS.get(film.container, ((), ()))
    return film.codec in pictures and _plain(film) and all(sound.codec in sounds for sound in film.sounds[:1])


def drawn_anew(picture: Footage, most: tuple[int, int] | None = None) -> dict[str, Any]:
    """ffmpeg's options that make H.264 of it that is played everywhere: progressive, 8 bits, 4:2:0, of standard dynamic range.

    `most`: the longest it may be on its long side and on its short one.
    """
    steps = ["setpts=PTS-STARTPTS"]
    if picture.interlaced:
        steps.append("bwdif=mode=send_frame")
    if picture.transfer in _HDR:
        steps += _tone_mapped(picture)
    if most:
        width, height = (
            rf"min({side}\,if(gt(iw\,ih)\,{on}\,{up}))" for side, on, up in (("iw", *most), ("ih", *most[::-1]))
        )
        steps.append(f"scale={width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2:out_range=tv")
    else:
        steps.append("scale=trunc(iw/2)*2:trunc(ih/2)*2:out_range=tv")  # H.264 in 4:2:0 has even sides
    if picture.rgb or picture.pixel_format == "pal8":  # colours are not yet YUV: we choose the numbers, and say which
        steps[-1] += ":out_color_matrix=bt709"
        steps.append("setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709")
    if standing_s := picture.duration_s - picture.picture_s:
        steps.append(f"tpad=stop_mode=clone:stop_duration={standing_s:.6f}")
    return {
        "vcodec": "libx264", "preset": "veryfast", "crf": 20, "pix_fmt": "yuv420p", "threads": THREADS, "vf": ",".join(steps),
    }  # fmt: skip


def _tone_mapped(picture: Footage) -> list[str]:
    """High dynamic range brought to BT.709: colours up to half of paper white stay as they are, what is brighter is bent."""
    known = [f"color_trc={_HDR[picture.transfer]}"]
    known += ["color_primaries=bt2020"] * (picture.primaries == _UNKNOWN)
    known += ["colorspace=bt2020nc"] * (picture.matrix == _UNKNOWN and not picture.rgb)
    known += ["range=tv"] * (picture.colour_range == 0 and not picture.rgb)
    return [
        f"setparams={':'.join(known)}",
        f"zscale=transfer=linear:npl={_WHITE_NITS}",
        "format=gbrpf32le",
        "zscale=primaries=bt709",
        f"tonemap=mobius:param=0.5:desat=0:peak={_BRIGHTEST_NITS / _WHITE_NITS:.3f}",
        "zscale=transfer=bt709:matrix=bt709:range=tv",
        "format=yuv420p",
    ]
