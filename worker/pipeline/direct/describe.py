"""The describer for OpenAI-compatible endpoints: a vision-language model watches the clip, in one call for all directions.

It never fails a job. Whatever goes wrong, the local describer writes what is missing, and the name that is returned says why.
"""

import asyncio
import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import httpx2
import openai

from worker.domain import Clip, Direction, Hit, Still
from worker.pipeline.direct.hits import on_cuts
from worker.pipeline.direct.local_describer import LocalDescriber
from worker.pipeline.direct.manner import Manner
from worker.pipeline.direct.prompts import CountTokens, facts, instructions
from worker.pipeline.direct.replies import in_different_keys, read_hits, read_reply
from worker.pipeline.direct.wish import read_wish

VideoInput = Literal["frames", "video_url"]


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
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [_unwrapped]}),
        )
        self._model = model
        self._timeout_s = timeout_s
        self._count_tokens = count_tokens
        self._local = LocalDescriber(count_tokens)
        self._manner = Manner(
            video=sees == "video_url",
            # ERNIE thinks by default, for longer than we wait; others have not heard of the parameter.
            left_out=frozenset() if "ernie" in model.lower() else frozenset({"enable_thinking"}),
        )

    async def aclose(self) -> None:
        await self._client.close()

    async def describe(
        self, clip: Clip, user_request: str, count: int, video_url: str | None = None
    ) -> tuple[tuple[Direction, ...], str, tuple[Hit, ...]]:
        """Exactly `count` distinct directions, "openai:<model>" or "local (<why>)" or a mixture of both, and the moments to meet."""
        directions: tuple[Direction, ...] = ()
        hits: tuple[Hit, ...] = ()
        why = "wrote no usable direction"
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._ask(clip, user_request, count, video_url)
            directions, hits = read_reply(text, count, self._count_tokens), on_cuts(read_hits(text), clip)
        except (TimeoutError, openai.OpenAIError, httpx2.HTTPError, _Unusable, ValueError) as error:
            why = self._trouble(error)
        if not directions:
            directions, name, hits = await self._local.describe(clip, user_request, count)
            return directions, f"{name} ({self._model} {why})", hits
        if read_wish(user_request).key is None:
            directions = in_different_keys(directions)
        missing = count - len(directions)
        if missing:
            directions += self._local.directions(clip, user_request, missing, taken=directions)
        return directions, f"openai:{self._model}" + (f" ({missing} of {count} local)" if missing else ""), hits

    def _trouble(self, error: Exception) -> str:
        """What went wrong, in words that follow the name of the model."""
        match error:
            case TimeoutError() | openai.APITimeoutError():
                return f"did not answer in {self._timeout_s:g} s"
            case openai.AuthenticationError():
                return "does not accept API_KEY"
            case openai.APIStatusError():
                return f"answered {error.status_code}"
            case openai.APIConnectionError() | httpx2.HTTPError():
                return "cannot be reached"
            case _Unusable():
                return str(error)
        return "answered with something else than a chat completion"

    async def _ask(self, clip: Clip, user_request: str, count: int, video_url: str | None) -> str:
        """The model's text, from the first manner of asking that the endpoint takes."""
        manner = self._manner
        while True:
            url = video_url if manner.video else None
            shown = 0 if url else min(len(clip.stills), manner.stills)
            stills = [clip.stills[number * len(clip.stills) // shown] for number in range(shown)]
            if not url and not stills:
                raise _Unusable("was not asked: the clip has no frames")
            parameters = manner.parameters(tokens=1500 + 350 * count)  # room for some thoughts, too
            try:
                text = await self._complete(
                    _messages(manner, clip, stills, user_request, count, url), parameters, manner.stream
                )
            except openai.APIStatusError as error:
                said = f"{error.message} {error.body}"
                after = manner.after(error.status_code, said, sent=set(parameters), stills=shown)
                if after is None:
                    raise
                manner = after
            else:
                self._manner = manner  # a refusal of everything is not remembered: it may have been the clip
                return text

    async def _complete(self, messages: Any, parameters: dict[str, Any], stream: bool) -> str:
        ask = self._client.chat.completions.create
        if stream:
            chunks = await ask(model=self._model, messages=messages, extra_body=parameters, stream=True)
            said = "".join([_words(chunk, "delta") async for chunk in chunks])
        else:
            said = _words(await ask(model=self._model, messages=messages, extra_body=parameters), "message")
        if not said.strip():
            raise _Unusable("answered with nothing")
        return said


def _messages(
    manner: Manner, clip: Clip, stills: Sequence[Still], user_request: str, count: int, url: str | None
) -> list[dict[str, Any]]:
    times_s = [still.time_s for still in stills]
    told = facts(
        user_request=user_request, duration_s=clip.duration_s, cuts_s=clip.cuts_s, times_s=times_s, speech=clip.speech
    )
    frames = [f"data:image/jpeg;base64,{base64.b64encode(still.jpeg).decode('ascii')}" for still in stills]
    seen: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": frame}} for frame in frames]
    if url:
        seen = [{"type": "video_url", "video_url": {"url": url, "fps": 1}}]
    content = [*seen, {"type": "text", "text": told}]
    system = instructions(count)
    if manner.system:
        return [{"role": "system", "content": system}, {"role": "user", "content": content}]
    return [{"role": "user", "content": [{"type": "text", "text": system}, *content]}]


def _words(answer: Any, where: Literal["message", "delta"]) -> str:
    """The text of an answer or a piece of one: of content in parts, those that are text and no thoughts. A web page has none."""
    choices = getattr(answer, "choices", None)
    content = getattr(getattr(choices[0], where, None), "content", None) if choices else None
    if isinstance(content, str):
        return content
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if part.get("type") in {"text", "output_text"})


async def _unwrapped(response: httpx2.Response) -> None:
    """Give an error that an endpoint wraps into a 200 the status that it names, so that it counts and is tried again like one."""
    if response.status_code != 200 or "json" not in response.headers.get("content-type", ""):
        return
    await response.aread()
    with suppress(ValueError):
        body = response.json()
        if isinstance(body, dict) and not body.get("choices"):
            error = body.get("error") or body
            codes = [error.get(name) for name in ("code", "status", "status_code")] if isinstance(error, dict) else []
            found = [str(code) for code in codes if re.fullmatch(r"[45]\d\d", str(code))]
            if found or body.get("error"):
                limited = re.search(r"rate.?limit|too many requests", str(error), re.IGNORECASE)
                response.status_code = int(found[0]) if found else 429 if limited else 400
