"""What ACE-Step is told of a film: its form, in structure tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from worker.domain import Clip, Hit, Options, Segment

SECTION_S = 6.0
"""Shorter scenes are one section with what comes before them: music has no form at the pace of cuts."""
CLEARLY = 0.1
"""A section this much livelier or calmer than the one before is told as such."""
SHORTEST_S, LONGEST_S = 10.0, 600.0
"""What the checkpoints compose; a shorter film gets the beginning of that."""
CALM, LIVELY = 1 / 3, 2 / 3
"""Up to the one and from the other on a segment's energy is told in words."""
TAG_WORDS = 8
_NO_TAG = re.compile(r"[^\w\s'&/,-]|_|(?<!\w)-|-(?!\w)")


def form(clip: Clip, options: Options) -> str:
    """A structure tag a section: how the film opens, builds, calms down and ends. Tags without words make an instrumental."""
    sections = _with_drops(
        _by_segments(clip, options.segments) if options.segments else _by_scenes(clip), clip, options.hits or ()
    )
    ends = not options.loop and clip.duration_s >= SHORTEST_S
    # The last scene is how the film ends; what is to be heard in a segment or at a drop is not cut short by an ending.
    closes = ends and not options.segments and len(sections) > 1 and not sections[-1].drops
    inner = range(1, len(sections) - (0 if options.segments or options.loop else 1))
    liveliest = max(inner, key=lambda place: sections[place].level, default=-1)
    tags = []
    for place, section in enumerate(sections):
        step = section.level - sections[place - 1].level if place else 0.0
        name = "Breakdown" if step < -CLEARLY else "Instrumental"
        if closes and place == len(sections) - 1:
            name = "Outro"
        elif section.drops or (place == liveliest and step > CLEARLY):
            name = "Drop"
        elif step > CLEARLY or (place + 1 < len(sections) and sections[place + 1].drops):
            name = "Build"
        elif place == 0 and len(sections) > 1 and not options.loop:
            name = "Intro"
        tags.append(f"[{name} - {section.words}]" if section.words else f"[{name}]")
    return "\n\n".join([*tags, "[Outro]"] if ends and not closes else tags)


class _Section(NamedTuple):
    start_s: float
    level: float
    """How lively it is, 0..1."""
    words: str = ""
    drops: bool = False


def _by_scenes(clip: Clip) -> list[_Section]:
    sections: list[_Section] = []
    for scene in clip.scenes:
        start_s, left_s = scene.start_s, clip.duration_s - scene.start_s
        if not sections or (start_s - sections[-1].start_s >= SECTION_S and left_s >= SECTION_S / 2):
            sections.append(_Section(start_s, scene.liveliness))
    return sections or [_Section(0.0, 0.5)]


def _by_segments(clip: Clip, segments: Sequence[Segment]) -> list[_Section]:
    inside = [segment for segment in segments if segment.start_s < clip.duration_s]
    if not inside or inside[0].start_s > 0:
        inside.insert(0, Segment(start_s=0.0))
    sections = []
    for segment, end_s in zip(inside, [*(one.start_s for one in inside[1:]), clip.duration_s], strict=True):
        energy = _energy(clip, segment.start_s, end_s) if segment.energy is None else segment.energy
        sections.append(_Section(segment.start_s, energy, _words(segment)))
    return sections


def _with_drops(sections: list[_Section], clip: Clip, hits: Sequence[Hit]) -> list[_Section]:
    """A drop makes a section of its own, or is one that begins near it."""
    for hit in hits:
        if hit.kind != "drop" or not 0 <= hit.at_s < clip.duration_s:
            continue
        place = min(range(len(sections)), key=lambda place: abs(sections[place].start_s - hit.at_s))
        if abs(sections[place].start_s - hit.at_s) < SECTION_S / 2:
            sections[place] = sections[place]._replace(drops=True)
        else:
            before = max(place for place, section in enumerate(sections) if section.start_s < hit.at_s)
            sections.insert(before + 1, sections[before]._replace(start_s=hit.at_s, drops=True))
    return sections


def _words(segment: Segment) -> str:
    """What stands behind a tag's dash: a few words and nothing else, or the network takes them for lyrics."""
    if segment.prompt:
        return " ".join(_NO_TAG.sub(" ", segment.prompt).split()[:TAG_WORDS])
    energy = 0.5 if segment.energy is None else segment.energy
    return "high energy" if energy >= LIVELY else "low energy" if energy <= CALM else ""


def _energy(clip: Clip, start_s: float, end_s: float) -> float:
    """How lively the pictures of a stretch are in the mean."""
    shown = [(min(end_s, scene.end_s) - max(start_s, scene.start_s), scene.liveliness) for scene in clip.scenes]
    seconds = sum(length for length, _ in shown if length > 0)
    return sum(length * level for length, level in shown if length > 0) / seconds if seconds else 0.5
