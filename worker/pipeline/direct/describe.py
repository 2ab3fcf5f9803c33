"""The describer for OpenAI-compatible endpoints: a vision-language model watches the clip, in one call for all directions.

It never fails a job. Whatever goes wrong, the local describer writes what is missing, and the name that is returned says why.
"""

import asyncio
import base64
from typing import Any, Literal, NamedTuple

import httpx2
import openai

from worker.domain import Clip, Direction
from worker.pipeline.direct.keys import find_key
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.prompts import CountTokens, facts, instructions
from worker.pipeline.direct.replies import SCHEMA, in_different_keys, read_reply

VideoInput = Literal["frames", "video_url"]

MOST_STILLS = 16
_REFUSALS = {400, 404, 405, 415, 422, 501}
"""Statuses by which endpoints say that they do not know an option (a response format, a video part)."""


class _Way(NamedTuple):
    """A way of asking: what the model is shown, and how it is held to JSON."""

    sees: VideoInput
    answers: Literal["json_schema", "json_object", "text"]


_LADDER = tuple(
    _Way(sees, answers) for sees in ("video_url", "frames") for answers in ("json_schema", "json_object", "text")
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
        self._refused: set[_Way] = set()

    async def aclose(self) -> None:
        await self._client.close()

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str]:
        """Exactly `count` distinct directions, and "openai:<model>" or "local (<why>)" or a mixture of both."""
        directions: tuple[Direction, ...] = ()
        why = "wrote no usable direction"
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._ask(clip, user_request, count, video_url)
            directions = read_reply(text, count, self._count_tokens)
        except (TimeoutError, openai.OpenAIError, _Unusable, ValueError) as error:
            why = self._trouble(error)
        if not directions:
            return self._local.directions(clip, user_request, count), f"local ({self._model} {why})"
        if find_key(user_request) is None:
            directions = in_different_keys(directions)
        missing = count - len(directions)
        if missing:
            directions += self._local.directions(clip, user_request, missing, taken=directions)
        return directions, f"openai:{self._model}" + (f" ({missing} of {count} local)" if missing else "")

    def _trouble(self, error: Exception) -> str:
        """What went wrong, in words that follow the name of the model."""
        match error:
            case TimeoutError() | openai.APITimeoutError():
                return f"did not answer in {self._timeout_s:g} s"
            case openai.AuthenticationError():
                return "does not accept API_KEY"
            case openai.APIStatusError():
                return f"answered {error.status_code}"
            case openai.APIConnectionError():
                return "cannot be reached"
            case _Unusable():
                return str(error)
        return "answered with something else than a chat completion"

    async def _ask(self, clip: Clip, user_request: str, count: int, video_url: str | None) -> str:
        """The model's text, from the first way of asking that the endpoint takes."""
        may_see = {"frames", "video_url"} if video_url and self._sees == "video_url" else {"frames"}
        if not clip.stills:
            may_see.discard("frames")
        ways = [way for way in _LADDER if way.sees in may_see]
        ways = [way for way in ways if way not in self._refused] or ways
        refusal: Exception = _Unusable("was not asked: the clip has no frames")
        refused: set[_Way] = set()
        for way in ways:
            if way in refused:
                continue
            try:
                text = await self._complete(way, clip, user_request, count, video_url)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSALS:
                    raise
                refusal = error
                blind = way.sees == "video_url" and "video" in error.message.lower()
                refused |= {other for other in ways if other == way or (blind and other.sees == "video_url")}
            else:
                self._refused |= refused  # a later way worked, so it was the way and not the clip
                return text
        raise refusal

    async def _complete(self, way: _Way, clip: Clip, user_request: str, count: int, video_url: str | None) -> str:
        stills = clip.stills[:: max(1, -(-len(clip.stills) // MOST_STILLS))]
        times_s = [still.time_s for still in stills] if way.sees == "frames" else []
        told = facts(user_request=user_request, duration_s=clip.duration_s, cuts_s=clip.cuts_s, times_s=times_s)
        seen: list[dict[str, Any]]
        if way.sees == "video_url":
            seen = [{"type": "video_url", "video_url": {"url": video_url, "fps": 1}}]
        else:
            frames = [base64.b64encode(still.jpeg).decode("ascii") for still in stills]
            seen = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{frame}"}} for frame in frames]
        messages: Any = [
            {"role": "system", "content": instructions(count)},
            {"role": "user", "content": [*seen, {"type": "text", "text": told}]},
        ]
        options: dict[str, Any] = {}
        if way.answers != "text":
            options["response_format"] = {"type": way.answers}
        if way.answers == "json_schema":
            options["response_format"]["json_schema"] = {"name": "directions", "strict": True, "schema": SCHEMA}
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
