"""The bodies of requests. Successful answers come from SQL as JSON and are passed on as they are."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

_BLANK: Final = r"\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u3000\ufeff"
"""Control, space and direction characters, written out: what \\s means differs between languages."""
URL_PATTERN: Final = rf"^[Hh][Tt][Tt][Pp][Ss]?://[^{_BLANK}/?#@\\]+([/?#][^{_BLANK}]*)?$"
_NAME: Final = r"A-Za-z0-9_!*'() &$@=;:+,-"
STORED_PATTERN: Final = rf"^storage://[A-Za-z0-9][A-Za-z0-9_.-]{{0,62}}(/\.*[{_NAME}][{_NAME}.]*)+$"
"""Nothing is encoded, no part empty or of dots alone; who may name one, and of which buckets, SQL says."""
FILM_PATTERN: Final = f"^({URL_PATTERN[1:-1]}|{STORED_PATTERN[1:-1]})$"
TEXT_PATTERN: Final = r"^[^\x00]*$"
LINE_PATTERN: Final = r"^[^\x00-\x1f]*$"
KEY_PATTERN: Final = r"^[A-G](#|b)? (major|minor|dorian|phrygian|lydian|mixolydian)$"
TYPE_PATTERN: Final = (
    r"^(([Vv][Ii][Dd][Ee][Oo]|[Aa][Uu][Dd][Ii][Oo]|[Ii][Mm][Aa][Gg][Ee]|[Aa][Pp][Pp][Ll][Ii][Cc][Aa][Tt][Ii][Oo][Nn])"
    r"/[\x20-\x7e]+)?$"
)
MAX_UPLOAD_BYTES: Final = 512 * 2**20


def _like(pattern: str, kind: LiteralString, wanted: LiteralString) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern[1:-1], value):
            raise PydanticCustomError(kind, wanted)
        return value

    return AfterValidator(check)


_WEB: Final = "must be an http or https address with a host and without a user name"
_address: Final = _like(URL_PATTERN, "address", _WEB)
_film: Final = _like(FILM_PATTERN, "film", f"{_WEB}, or for a server's key storage://bucket/path")
_text: Final = _like(TEXT_PATTERN, "text", "must not hold the character U+0000")
_line: Final = _like(LINE_PATTERN, "line", "must be text without control characters")
_key: Final = _like(KEY_PATTERN, "key", 'must be a tonic and a mode, such as "D minor" or "F# major"')
_media_type: Final = _like(
    TYPE_PATTERN, "media_type", 'must be a media type such as "video/mp4", or empty where it is not known'
)


def _shape(pattern: str, **limits: Any) -> Any:
    """Limits that pydantic checks, and the pattern that stands in the contract for one of the checks above."""
    return Field(**limits, json_schema_extra={"pattern": pattern})


def _named(value: object) -> object:
    if isinstance(value, dict) and not all(re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", str(name)) for name in value):
        raise PydanticCustomError("named", "takes names of 1 to 40 letters, digits, ., _ and -")
    return value


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: float) -> float:
    return int(value) if value.is_integer() else value


Whole = BeforeValidator(_whole)
"""Integers as JSON Schema means them: 3.0 is one."""
Plain = AfterValidator(_plain)
"""Written as JavaScript writes numbers, 8 for 8.0: an idempotency key compares what both hosts send."""
Address = Annotated[str, _shape(URL_PATTERN, min_length=8, max_length=2048), _address]
Film = Annotated[str, _shape(FILM_PATTERN, min_length=8, max_length=2048), _film]
Line = Annotated[str, _shape(TEXT_PATTERN, max_length=200), _text]
Text = Annotated[str, _shape(TEXT_PATTERN, max_length=2000), _text]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), Whole]


Engine = Literal["auto", "mmaudio", "acestep", "sketch"]
Event = Literal["job.completed", "job.failed", "job.cancelled", "result.ready"]
"""What a callback_url can hear of."""
Metadata = Annotated[
    dict[str, Annotated[str, _shape(LINE_PATTERN, max_length=200), _line]],
    Field(max_length=16),
    BeforeValidator(_named),
]


class Body(BaseModel):
    """Strict JSON: unknown fields are refused by name, no type is taken for another."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Direction(Body):
    """A hand-written musical direction; only the caption for the generator is required."""

    prompt: Annotated[str, _shape(TEXT_PATTERN, min_length=1, max_length=1000), _text]
    title: Line | None = None
    description: Text | None = None
    genre: Line | None = None
    instruments: Annotated[list[Line], Field(max_length=16)] | None = None
    tempo_bpm: Annotated[float, Field(ge=20, le=300), Plain] | None = None
    key: Annotated[str, _key, _shape(KEY_PATTERN)] | None = None
    mood: Line | None = None


class Hit(Body):
    """A moment that the music is to meet."""

    at: Annotated[float, Field(ge=0, le=86400), Plain]
    kind: Literal["accent", "drop", "stop", "downbeat"] | None = None


class Segment(Body):
    """A stretch with music of its own, up to the next one."""

    start: Annotated[float, Field(ge=0, le=86400), Plain]
    prompt: Annotated[str, _shape(TEXT_PATTERN, min_length=1, max_length=1000), _text] | None = None
    energy: Annotated[float, Field(ge=0, le=1), Plain] | None = None


class Gen(Body):
    """POST /api/v1/gen."""

    video_url: Film
    user_request: Text | None = ""
    variants: Annotated[int, Field(ge=1, le=8), Whole] | None = None
    seed: Seed | None = None
    duration: Annotated[float, Field(ge=0.64, le=86400), Plain] | None = None
    negative_prompt: Text | None = None
    conditioning: Literal["full", "text+clip", "text"] | None = None
    engine: Engine | None = None
    format: Literal["flac", "wav", "mp3", "m4a"] | None = None
    loudness_lufs: Annotated[float, Field(ge=-30, le=-9), Plain] | None = None
    plan: Annotated[list[Direction], Field(min_length=1, max_length=8)] | None = None
    hits: Annotated[list[Hit], Field(max_length=32)] | None = None
    segments: Annotated[list[Segment], Field(max_length=16)] | None = None
    """That each begins after the one before, and that a loop is no mp3, SQL says."""
    loop: bool | None = None
    callback_url: Address | None = None
    events: Annotated[list[Event], Field(min_length=1, max_length=4)] | None = None
    metadata: Metadata | None = None


class Brief(Body):
    """POST /api/v1/brief."""

    video_url: Film
    user_request: Text | None = ""
    variants: Annotated[int, Field(ge=1, le=8), Whole] | None = None
    seed: Seed | None = None
    duration: Annotated[float, Field(ge=0.64, le=86400), Plain] | None = None
    callback_url: Address | None = None
    events: Annotated[list[Event], Field(min_length=1, max_length=4)] | None = None
    metadata: Metadata | None = None


class Merge(Body):
    """POST /api/v1/merge."""

    video_url: Film
    audio_url: Address
    mode: Literal["replace", "mix"] | None = None
    music_gain_db: Annotated[float, Field(ge=-60, le=20), Plain] | None = None
    duck: bool | None = None
    duck_db: Annotated[float, Field(ge=-60, le=0), Plain] | None = None
    callback_url: Address | None = None
    events: Annotated[list[Event], Field(min_length=1, max_length=4)] | None = None
    metadata: Metadata | None = None


class Again(Body):
    """POST /api/v1/job/{job_id}/again."""

    seed: Seed | None = None
    variant: Annotated[int, Field(ge=0, le=7), Whole] | None = None
    engine: Engine | None = None
    start: Annotated[float, Field(ge=0, le=86400), Plain] | None = None
    end: Annotated[float, Field(ge=0, le=86400), Plain] | None = None


class Pack(Body):
    """POST /api/v1/job/{job_id}/pack."""

    variant: Annotated[int, Field(ge=0, le=7), Whole] | None = None


class Upload(Body):
    """POST /api/v1/upload."""

    filename: Annotated[str, _shape(TEXT_PATTERN, min_length=1, max_length=255), _text]
    content_type: Annotated[str, _shape(TYPE_PATTERN, max_length=255), _media_type]
    """A hint: what is in the file decides."""
    size: Annotated[int, Field(ge=1, le=2**53 - 1), Whole]
    """Bytes; more than MAX_UPLOAD_BYTES is 413, not 422."""
