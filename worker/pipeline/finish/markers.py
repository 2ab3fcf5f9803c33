"""Markers: film and track as a timeline that editing programs open, in the three formats they know (extra `nle`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange
from opentimelineio.schema import Clip, ExternalReference, Marker, MarkerColor, Timeline, Track, TrackKind

from worker.pipeline.finish.cues import Cues

_NEAR_S = 0.05
"""A beat so close to a bar line is that bar's."""


def written(cues: Cues, track: str) -> dict[str, str]:
    """The files by their names; `track` is the audio file's, which lies beside them.

    OTIO and XML have markers of the whole. An EDL has one track, that of the film, and its markers are locators of the clip; its
    timecode drops no frames.
    """
    rate = rate_of(cues.clip.fps)
    whole, locators = timeline(cues, track, rate), timeline(cues, track, round(rate))
    locators.tracks[0][0].markers.extend(locators.tracks.markers[:])
    edl = otio.adapters.write_to_string(locators, "cmx_3600", rate=round(rate))
    return {
        "markers.otio": otio.adapters.write_to_string(whole, "otio_json"),
        "markers.xml": otio.adapters.write_to_string(whole, "fcp_xml"),
        "markers.edl": edl.replace("\n\n", "\nFCM: NON-DROP FRAME\n\n", 1),
    }


def rate_of(fps: float) -> float:
    """The film's, as timecode counts it; the nearest one where it has none for it."""
    return RationalTime.nearest_smpte_timecode_rate(max(fps, 24000 / 1001))  # far under the lowest it knows, it says 0


def timeline(cues: Cues, track: str, counted: float) -> Timeline:
    """The film and its music, each as one clip, and markers on the whole: frames of the film, `counted` to a second."""
    rate = rate_of(cues.clip.fps)

    def at(time_s: float) -> RationalTime:
        return RationalTime(round(time_s * rate), counted)

    made = Timeline(name=_line(cues.told.get("title") or "Music"))
    kinds = (
        (TrackKind.Video, "Film", _line(cues.film), cues.clip.duration_s),
        (TrackKind.Audio, "Music", track, cues.track_s),
    )
    for kind, name, url, length_s in kinds:
        span = TimeRange(at(0), max(at(length_s), RationalTime(1, counted)))
        media = ExternalReference(target_url=url, available_range=span, metadata=_AS[kind])
        media.name = PurePosixPath(url).name or name
        clip = Clip(
            name=media.name, media_reference=media, source_range=span, metadata={"cmx_3600": {"reel": name.upper()}}
        )
        made.tracks.append(Track(name=name, kind=kind, children=[clip]))
    last = made.tracks[0].duration() - RationalTime(1, counted)
    for at_s, colour, text in sorted(_moments(cues)):
        span = TimeRange(min(at(at_s), last), at(0))
        made.tracks.markers.append(Marker(name=text, marked_range=span, color=colour))
    return made


_AS = {TrackKind.Video: {}, TrackKind.Audio: {"fcp_xml": {"media": {"audio": {"channelcount": "2"}}}}}
"""The adapter takes a FLAC for a film, where nothing is said."""


def _moments(cues: Cues) -> Iterator[tuple[float, str, str]]:
    for number, cut_s in enumerate(cues.clip.cuts_s, start=1):
        yield cut_s, MarkerColor.RED, f"Cut {number}"
    for number, bar_s in enumerate(cues.bars_s, start=1):
        yield bar_s, MarkerColor.GREEN, f"Bar {number}"
    for beat_s in cues.beats_s:
        if all(abs(beat_s - bar_s) > _NEAR_S for bar_s in cues.bars_s):
            yield beat_s, MarkerColor.CYAN, "Beat"
    for hit in cues.plan.hits:
        yield hit.at_s, MarkerColor.YELLOW, f"Hit {hit.kind}"
    for number, segment in enumerate(cues.plan.segments, start=1):
        yield segment.start_s, MarkerColor.PURPLE, f"Segment {number}"


def _line(text: str) -> str:
    """In one line, as an EDL wants everything."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)
