"""The director's endpoint: does the model answer, and what does it take of frames, video and JSON schema?"""

from __future__ import annotations

import asyncio
import base64
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from av.video.frame import VideoFrame

from rhythmai.buckets import Buckets
from rhythmai.doctor.finding import Finding, fail, note, ok
from rhythmai.errors import RhythmAIError
from rhythmai.sample import make_sample
from worker.pipeline.look.stills import to_jpeg
from worker.settings import Settings

if TYPE_CHECKING:
    import openai

CHECK: Final = "director"
ASK: Final = "What colour fills the picture? One word."
COLOUR: Final = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}
SCHEMA: Final = {"name": "seen", "strict": True, "schema": COLOUR | {"additionalProperties": False}}
STRUCTURED: Final = {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}


async def examine(settings: Settings) -> list[Finding]:
    if not settings.base_url:
        said = "no vision-language model: local rules write the directions"
        return [note(CHECK, said, "Set BASE_URL and API_KEY for better ones")]
    import openai  # takes a second

    client = openai.AsyncOpenAI(
        api_key=settings.api_key or "none", base_url=settings.base_url, max_retries=0, timeout=settings.vlm_timeout_s
    )
    try:
        return await _examine(client, settings)
    except openai.AuthenticationError:
        return [fail(CHECK, f"{settings.base_url} does not accept API_KEY", "Set the key that belongs to BASE_URL")]
    except openai.APIStatusError as error:
        remedy = "Set VLM_MODEL to a vision-language model that BASE_URL serves, and check BASE_URL's path (often /v1)"
        return [fail(CHECK, f"{settings.vlm_model} answered {error.status_code}: {error.message[:200]}", remedy)]
    except (openai.OpenAIError, OSError) as error:
        remedy = "Check BASE_URL, and that this machine may reach it"
        return [fail(CHECK, f"{settings.base_url} cannot be reached: {error}", remedy)]
    finally:
        await client.close()


async def _examine(client: openai.AsyncOpenAI, settings: Settings) -> list[Finding]:
    model = settings.vlm_model
    await _ask(client, model, [])  # whatever is wrong with the endpoint itself is raised here
    findings = [ok(CHECK, f"{model} answers")]
    frame = {"type": "image_url", "image_url": {"url": _frame()}}
    if why := await _refusal(client, model, [frame]):
        finding = fail if settings.vlm_input == "frames" else note
        findings.append(finding(CHECK, f"it takes no frames: {why}", "Set VLM_MODEL to a model that sees"))
    else:
        findings.append(ok(CHECK, "it takes frames"))
    if why := await _refusal(client, model, [], STRUCTURED):
        findings.append(note(CHECK, f"it takes no json_schema: {why}", "Nothing: its text will be read tolerantly"))
    else:
        findings.append(ok(CHECK, "it takes json_schema"))
    return [*findings, await _video(client, settings)]


async def _video(client: openai.AsyncOpenAI, settings: Settings) -> Finding:
    finding = fail if settings.vlm_input == "video_url" else note
    try:
        async with _public_video(settings) as url:
            seen = {"type": "video_url", "video_url": {"url": url}}
            why = await _refusal(client, settings.vlm_model, [seen])
    except RhythmAIError as error:
        return finding(CHECK, f"no video could be put where the model finds it: {error}", "Repair Storage first")
    if why:
        return finding(CHECK, f"it takes no video: {why}", "Keep to VLM_INPUT=frames")
    return ok(CHECK, "it takes video")


@asynccontextmanager
async def _public_video(settings: Settings) -> AsyncIterator[str]:
    """A second of video in the bucket of merged videos, for as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sample.mp4")
        await asyncio.to_thread(make_sample, file, 1)
        path = f"doctor/{secrets.token_hex(16)}.mp4"
        async with Buckets(settings.origin, settings.supabase_key, apikey=settings.apikey) as buckets:
            url = await buckets.put("videos", path, await asyncio.to_thread(file.read_bytes), "video/mp4")
            try:
                yield url
            finally:
                await buckets.remove([("videos", path)])


async def _refusal(
    client: openai.AsyncOpenAI, model: str, seen: list[dict[str, Any]], options: dict[str, Any] | None = None
) -> str:
    """Why the endpoint does not take that; empty when it does."""
    import openai

    try:
        await _ask(client, model, seen, options)
    except openai.APIStatusError as error:
        return f"{error.status_code} {error.message[:120]}"
    except openai.APITimeoutError:
        return "no answer in time"
    return ""


async def _ask(
    client: openai.AsyncOpenAI, model: str, seen: list[dict[str, Any]], options: dict[str, Any] | None = None
) -> None:
    messages: Any = [{"role": "user", "content": [*seen, {"type": "text", "text": ASK}]}]
    await client.chat.completions.create(model=model, messages=messages, **(options or {}))


def _frame() -> str:
    """A small red JPEG as a data URL."""
    red = np.full((64, 64, 3), (255, 0, 0), dtype=np.uint8)
    jpeg = to_jpeg(VideoFrame.from_ndarray(red, format="rgb24"), 1.0)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
