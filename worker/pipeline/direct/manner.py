"""The manner in which an endpoint wants to be asked: everything at first, then less and less as its refusals say."""

import re
from dataclasses import dataclass, replace
from typing import Any, Self

from worker.pipeline.direct.replies import SCHEMA

_WEAKER = {"json_schema": "json_object", "json_object": "text"}
_ABOUT_THE_CALLER = {401, 403, 407, 408, 409, 429}
_UNSPOKEN = {400, 404, 405, 413, 415, 422, 501}  # what was refused is often left open
_STREAM = re.compile(r"\b(?:non-?)?stream(?:ing|ed)?\b")
_SYSTEM = re.compile(
    r"\bsystem\b.{0,20}(?:role|message|prompt|instruction)|role.*\bsystem\b|\broles (?:must|are)|developer instruction"
)
_TOO_MANY = re.compile(r"too many|at most|up to|max|limit|exceed|only|more than|fewer")
_TOO_MUCH = re.compile(r"too (?:large|long|big|many)|context (?:length|window)|payload|entity|reduce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """Refusals only ever take something away, so asking again and again comes to an end.

    `video`: whether a film is shown by its address, where it has one; `left_out`: parameters that are not sent; `system`: whether the
    instructions are a message of their own.
    """

    video: bool
    stills: int = 16
    format: str = "json_schema"
    left_out: frozenset[str] = frozenset()
    system: bool = True
    stream: bool = False

    def parameters(self, tokens: int) -> dict[str, Any]:
        """What is asked besides model and messages; the answer has at most `tokens`."""
        wanted: dict[str, Any] = {"temperature": 0.9, "enable_thinking": False}
        wanted["max_completion_tokens" if "max_tokens" in self.left_out else "max_tokens"] = tokens
        if self.format != "text":
            wanted["response_format"] = {"type": self.format}
        if self.format == "json_schema":
            wanted["response_format"]["json_schema"] = {"name": "directions", "strict": True, "schema": SCHEMA}
        return {name: value for name, value in wanted.items() if name not in self.left_out}

    def after(self, status: int, said: str, *, sent: set[str], stills: int) -> Self | None:
        """The manner to try after a refusal of `sent` parameters and so many stills (0: the film's address); None when there is none."""
        said = said.lower()
        if "max_completion_tokens" in sent:  # some know it, and go on calling it by its old name
            said = said.replace("max_tokens", "max_completion_tokens")
        named = min((name for name in sent if name in said), key=said.index, default=None)
        if status in _ABOUT_THE_CALLER:
            return None
        if not stills and "video" in said:
            return replace(self, video=False)
        if not self.stream and _STREAM.search(said):
            return replace(self, stream=True)
        if self.system and _SYSTEM.search(said):
            return replace(self, system=False)
        if named and named != "response_format":
            return replace(self, left_out=self.left_out | {named})
        if stills > 1 and "image" in said and _TOO_MANY.search(said):
            near = re.findall(r"\b(\d+)(?=\D{0,25}image)|(?<=image)\D{0,40}?(\d+)", said)
            numbers = {int(text) for pair in near for text in pair if text} & set(range(1, stills))
            return replace(self, stills=max(numbers, default=stills // 2))
        if stills > 1 and (status == 413 or _TOO_MUCH.search(said)):
            return replace(self, stills=stills // 2)
        if status not in _UNSPOKEN and not named:
            return None
        if self.format in _WEAKER:
            return replace(self, format=_WEAKER[self.format])
        return None if stills else replace(self, video=False, format="json_schema")
