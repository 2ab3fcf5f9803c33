"""The describer for OpenAI-compatible endpoints: a vision-language model watches the clip, in one call for all directions.

It never fails a job. Whatever goes wrong, the local describer writes what is missing, and the name that is returned says why.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import openai

from worker.domain import Clip, Direction
from worker.pipeline.direct.keys import find_key
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import CountTokens, facts, instructions
from worker.pipeline.direct.replies import SCHEMA, in_different_keys, read_reply

VideoInput = Literal["frames", "video_url"]
Answer = Literal["json_schema", "json_object", "text"]

MOST_STILLS = 16
_REFUSALS = {400, 404, 405, 415, 422, 501}
"""Statuses by which endpoints say that they do not know an option (a response format, a video part)."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    sees: VideoInput
    answers: Answer


_LADDER = tuple(
    _Attempt(sees, answers) for sees in ("video_url", "frames") for answers in ("json_schema", "json_object", "text")
)


class _Unusable(Exception):
    """The endpoint gave no directions; the message says so in a few words without secrets."""


class OpenAIDescriber:
    """Implements `worker.ports.Describer`.

    `timeout_s` bounds the whole conversation, retries and refusals included. With `sees="video_url"` a URL given to `describe` is
    sent instead of frames, until the endpoint refuses one. What an endpoint refused is remembered for the next clip.
    """

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str,
        model: str,
        timeout_s: float = 45.0,
        sees: VideoInput = "frames",
        count_tokens: CountTokens | None = None,
    ) -> None:
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",  # endpoints of one's own often want none, and the client insists on one
            base_url=base_url,
            max_retries=1,
            timeout=httpx2.Timeout(timeout_s, connect=min(5.0, timeout_s)),
        )
        self._model = model
        self._timeout_s = timeout_s
        self._sees = sees
        self._count_tokens = count_tokens
        self._local = LocalDescriber(count_tokens)
        self._refused: set[_Attempt] = set()

    async def aclose(self) -> None:
        await self._client.close()

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str]:
        """Exactly `count` distinct directions, and "openai:<model>" or "local (<why>)" or a mixture of both."""
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._ask(clip, user_request, count, video_url)
        except (TimeoutError, openai.APITimeoutError):
            return self._instead(clip, user_request, count, f"did not answer in {self._timeout_s:g} s")
        except openai.AuthenticationError:
            return self._instead(clip, user_request, count, "does not accept API_KEY")
        except openai.APIStatusError as error:
            return self._instead(clip, user_request, count, f"answered {error.status_code}")
        except openai.APIConnectionError:
            return self._instead(clip, user_request, count, "cannot be reached")
        except (openai.OpenAIError, _Unusable, ValueError) as error:
            why = str(error) if isinstance(error, _Unusable) else "answered with something else than a chat completion"
            return self._instead(clip, user_request, count, why)
        directions = read_reply(text, count, self._count_tokens)
        if find_key(user_request) is None:
            directions = in_different_keys(directions)
        if not directions:
            return self._instead(clip, user_request, count, "wrote no usable direction")
        missing = count - len(directions)
        if missing:
            directions += self._local.directions(clip, user_request, missing, taken=directions)
        return directions, f"openai:{self._model}" + (f" ({missing} of {count} local)" if missing else "")

    def _instead(self, clip: Clip, user_request: str, count: int, why: str) -> tuple[tuple[Direction, ...], str]:
        return self._local.directions(clip, user_request, count), f"local ({self._model} {why})"

    async def _ask(self, clip: Clip, user_request: str, count: int, video_url: str | None) -> str:
        """The model's text, from the first way of asking that the endpoint takes."""
        may_see = {"frames", "video_url"} if video_url and self._sees == "video_url" else {"frames"}
        if not clip.stills:
            may_see.discard("frames")
        attempts = [attempt for attempt in _LADDER if attempt.sees in may_see]
        known = [attempt for attempt in attempts if attempt not in self._refused] or attempts
        refusal: openai.APIStatusError | None = None
        blind_to_video = False
        refused: set[_Attempt] = set()
        for attempt in known:
            if blind_to_video and attempt.sees == "video_url":
                refused.add(attempt)
                continue
            try:
                text = await self._complete(attempt, clip, user_request, count, video_url)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSALS:
                    raise
                refusal = error
                refused.add(attempt)
                blind_to_video = attempt.sees == "video_url" and "video" in error.message.lower()
            else:
                self._refused |= refused  # a later way worked, so it was the way and not the clip
                return text
        if refusal is not None:
            raise refusal
        raise _Unusable("was not asked: the clip has no frames")

    async def _complete(
        self, attempt: _Attempt, clip: Clip, user_request: str, count: int, video_url: str | None
    ) -> str:
        stills = clip.stills[:: max(1, -(-len(clip.stills) // MOST_STILLS))]
        times_s = [still.time_s for still in stills] if attempt.sees == "frames" else []
        told = facts(user_request=user_request, duration_s=clip.duration_s, cuts_s=clip.cuts_s, times_s=times_s)
        seen: list[dict[str, Any]]
        if attempt.sees == "video_url":
            seen = [{"type": "video_url", "video_url": {"url": video_url, "fps": 1}}]
        else:
            seen = [{"type": "image_url", "image_url": {"url": _data_url(still.jpeg)}} for still in stills]
        messages: Any = [
            {"role": "system", "content": instructions(count)},
            {"role": "user", "content": [*seen, {"type": "text", "text": told}]},
        ]
        options: dict[str, Any] = {}
        if attempt.answers == "json_schema":
            schema = {"name": "directions", "strict": True, "schema": SCHEMA}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif attempt.answers == "json_object":
            options["response_format"] = {"type": "json_object"}
        if "ernie" in self._model.lower():
            options["extra_body"] = {"enable_thinking": False}  # it thinks by default, for longer than we wait
        completion = await self._client.chat.completions.create(
            model=self._model, messages=messages, max_tokens=400 + 350 * count, temperature=0.9, **options
        )
        choices = getattr(completion, "choices", None)  # a web page with status 200 arrives as a string
        message = getattr(choices[0], "message", None) if choices else None
        content = getattr(message, "content", None)
        if not isinstance(content, str) or not content.strip():
            raise _Unusable("answered with nothing")
        return content


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
