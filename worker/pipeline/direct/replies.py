"""Replies of a vision-language model: from whatever text came back to valid, distinct directions."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, TypeVar, get_args

from json_repair import repair_json
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from worker.domain import Direction, Hit, HitKind
from worker.pipeline.direct.keys import find_key
from worker.pipeline.direct.prompts import CountTokens, caption, pace
from worker.pipeline.direct.vocabulary import find_instruments

LONGEST_TALE, LONGEST_REPLY, LONGEST_ITEM = 256_000, 32_000, 2_000
"""Characters that are read: with thoughts, without them, and of a direction whose JSON has to be mended."""

_Model = TypeVar("_Model", bound=BaseModel)
_MARK = r"[\w:]{0,20}(?:think|thought|reason|reflect)\w{0,20}\|?[>\]▷]"
_BEGUN = rf"[<\[◁]\|?(?:begin_?(?:of_?)?|start_?)?{_MARK}|<\|?channel\|?>\s*(?:analysis|commentary|thought)"
_ENDED = rf"[<\[◁]\|?(?:/|end_?(?:of_?)?){_MARK}|<\|channel\|>\s*final|<channel\|>|assistantfinal"
_THOUGHTS = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (rf"(?:{_BEGUN}).*?(?:{_ENDED}|\Z)", rf"\A.*(?:{_ENDED})")
]
"""What a model thought before it answered, in <think>, [THINK], ◁think▷, <|channel|>analysis and their like; the second without
the mark that opens them, which many endpoints write into the question."""
_UNSHOWABLE = re.compile(
    r"https?://\S+|www\.\S+|[<>`{}\\]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _text(value: object) -> str:
    """One line that can be shown: no addresses, markup or control characters, no quotation marks around it."""
    if isinstance(value, dict):
        value = " ".join(str(part) for part in value.values())
    if isinstance(value, list):
        value = ", ".join(str(part) for part in value)
    return " ".join(_UNSHOWABLE.sub(" ", "" if value is None else str(value)).split()).strip("\"'“” ")


def _texts(value: object) -> list[str]:
    parts = value if isinstance(value, list) else re.split(r",|;|/|\band\b|\+", str(value))
    return [text[:40] for text in map(_text, parts) if text][:5]


def _bpm(value: object) -> float:
    """A number, also out of "about 80 BPM" or "70-80"; a model may write words, so the middle of what it says."""
    numbers = [float(number) for number in re.findall(r"\d{2,3}(?:\.\d+)?", str(value))][:2]
    if not numbers:
        raise ValueError("no tempo")
    return sum(numbers) / len(numbers)


def _seconds(value: object) -> float:
    """A number, also out of "7.3 s" or "0:07"."""
    written = re.fullmatch(r"(?:(\d{1,3}):)?(\d{1,5}(?:\.\d+)?) *(?:s|secs?|seconds?)?", str(value).strip().lower())
    if not written:
        raise ValueError("no time")
    return 60 * int(written[1] or 0) + float(written[2])


def _capped(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: _text(value)[:limit].strip())


class Reply(BaseModel):
    """One direction as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    title: Annotated[str, _capped(60), Field(min_length=1)]
    genre: Annotated[str, _capped(60), Field(min_length=2)]
    instruments: Annotated[list[str], BeforeValidator(_texts), Field(min_length=1)]
    tempo_bpm: Annotated[float, BeforeValidator(_bpm), Field(ge=30, le=260)]
    mood: Annotated[str, _capped(40), Field(min_length=2)]
    key: Annotated[str, _capped(40)] = ""
    dynamics: Annotated[str, _capped(120)] = ""
    placement: Annotated[str, _capped(280)] = ""
    caption: Annotated[str, _capped(240)] = ""

    def direction(self, count_tokens: CountTokens | None) -> Direction:
        told = ". ".join(part.rstrip(".") for part in (self.dynamics, self.placement) if part)
        prompt = caption(
            genre=self.genre, instruments=self.instruments, tempo=f"{pace(self.tempo_bpm)} tempo", mood=f"{self.mood} mood",
            extras=self.caption.split(","), count_tokens=count_tokens,
        )  # fmt: skip
        return Direction(
            title=self.title, prompt=prompt, description=f"{told[0].upper()}{told[1:]}." if told else "", genre=self.genre,
            instruments=tuple(self.instruments), tempo_bpm=round(self.tempo_bpm, 1), key=str(find_key(self.key) or ""), mood=self.mood,
        )  # fmt: skip


class Moment(BaseModel):
    """One hit as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    at: Annotated[float, BeforeValidator(_seconds)]
    kind: Annotated[HitKind, BeforeValidator(lambda value: _text(value).lower())] = "accent"


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with all of these properties and no others: what endpoints call strict."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_PROPERTIES: dict[str, Any] = {
    **{name: {"type": "string"} for name in ("title", "genre", "dynamics", "mood", "key", "placement", "caption")},
    "instruments": {"type": "array", "items": {"type": "string"}},
    "tempo_bpm": {"type": "number"},
}
_MOMENT: dict[str, Any] = {
    "at": {"type": "number"},
    "kind": {"type": "string", "enum": list(get_args(HitKind))},
}
SCHEMA = _closed({
    "directions": {"type": "array", "items": _closed(_PROPERTIES)},
    "hits": {"type": "array", "items": _closed(_MOMENT)},
})  # fmt: skip
"""What is asked of endpoints that can be held to a schema; `Reply` checks what comes back all the same."""


def read_reply(text: str, count: int, count_tokens: CountTokens | None = None) -> tuple[Direction, ...]:
    """At most `count` distinct directions; none when there is nothing usable in `text`."""
    replies = _read(text, "genre", Reply)
    return without_twins(reply.direction(count_tokens) for reply in replies)[:count]


def read_hits(text: str) -> tuple[Hit, ...]:
    """The moments that a model named, as it did; what is no time, or no kind of hit, is left out."""
    return tuple(Hit(at_s=moment.at, kind=moment.kind) for moment in _read(text, "at", Moment))


def without_twins(directions: Iterable[Direction]) -> tuple[Direction, ...]:
    """Those that differ from each one kept before in at least two of genre, lead instrument and tempo class."""
    kept: list[tuple[Direction, tuple[str, str, str]]] = []
    for direction in directions:
        lead = direction.instruments[0].lower()
        known = find_instruments(lead)
        look = (direction.genre.lower(), known[0] if known else lead, pace(direction.tempo_bpm))
        if all(sum(map(str.__ne__, look, other)) >= 2 for _, other in kept):
            kept.append((direction, look))
    return tuple(direction for direction, _ in kept)


def in_different_keys(directions: Iterable[Direction]) -> tuple[Direction, ...]:
    """A key that was taken before moves up by fifths until it is another."""
    taken: set[str] = set()
    moved = []
    for direction in directions:
        key = find_key(direction.key)
        while key and str(key) in taken:
            key = replace(key, tonic=(key.tonic + 7) % 12)
        taken.add(str(key))
        moved.append(replace(direction, key=str(key)) if key else direction)
    return tuple(moved)


def _read(text: str, name: str, model: type[_Model]) -> Iterator[_Model]:
    """What objects with a member `name` say, where they are valid."""
    text = text[-LONGEST_TALE:]
    for thoughts in _THOUGHTS:
        text = thoughts.sub(" ", text)
    for raw in _items(text[:LONGEST_REPLY], name):
        with suppress(ValidationError):
            yield model.model_validate(raw)


def _items(text: str, name: str) -> Iterator[dict[str, Any]]:
    """Every JSON object with a member `name`, wherever it stands: fenced, wrapped, after prose, before a cut-off end.

    Where the JSON is a hair off, what stands between two opening braces is mended alone: a direction is one flat object, and the
    time that mending takes grows with the square of the text.
    """
    decoder = json.JSONDecoder(strict=False)
    place = text.find("{")
    while place >= 0:
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
            piece, brace, _ = text[end:].partition("{")
            if not brace:
                piece = piece[: piece.rfind("}") + 1]
            found = repair_json("{" + piece[:LONGEST_ITEM], return_objects=True, skip_json_loads=True)
        yield from _named(found, name, depth=4)
        place = text.find("{", end)


def _named(value: Any, name: str, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and name in value:
        yield value
    elif isinstance(value, (dict, list)) and depth:
        for part in value.values() if isinstance(value, dict) else value:
            yield from _named(part, name, depth - 1)
