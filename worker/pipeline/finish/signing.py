"""C2paSigner: what a file says of where it comes from, as a signed manifest in it (C2PA). The manifest is made in a confined child."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import wave
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from worker.domain import Facts
from worker.errors import Rejected, Unavailable
from worker.pipeline.look.child import Limits, run_child
from worker.pipeline.look.reading import MODULE, load
from worker.pipeline.origin import SOURCE_TYPES, generator

FACTS = "rhythmai.origin"
"""The assertion of our own: what no other one has a name for."""
_NOTHING = {"source_type": SOURCE_TYPES + "algorithmicMedia"}
_QUESTION_BYTES = 2**18
"""More than is ever to be signed: hashes, and the certificates."""
_LIMITS = Limits(wall=timedelta(minutes=5), cpu=timedelta(minutes=5), file_bytes=5 * 2**30, output_bytes=2**16)


class C2paSigner:
    """Implements `Signer`. `chain`: the certificates as PEM, the signer's own first; `sign` makes signatures by its key."""

    def __init__(self, *, chain: str, algorithm: str, sign: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._chain = chain
        self._algorithm = algorithm
        self._sign = sign
        load()

    async def check(self) -> None:
        """Sign a moment of silence. Raises Unavailable."""
        with TemporaryDirectory(prefix="rhythmai-") as folder:
            file = Path(folder, "silence.wav")
            with wave.open(str(file), "wb") as silence:
                silence.setparams((1, 2, 8000, 0, "NONE", ""))
                silence.writeframes(bytes(1600))
            await self.sign(file, Path(folder), content_type="audio/wav", title="Silence", facts=_NOTHING, parts={})

    async def sign(
        self, file: Path, into: Path, *, content_type: str, title: str, facts: Facts, parts: Mapping[str, Path]
    ) -> Path:
        """A part with which it cannot be done is only named in the manifest: it is a stranger's file."""
        target = into / f"signed-{secrets.token_hex(8)}{file.suffix}"
        order: dict[str, Any] = {
            "content_type": content_type,
            "manifest": manifest(title, facts, list(parts)),
            "chain": self._chain,
            "algorithm": self._algorithm,
        }
        try:
            for opens_parts in (True, False) if parts else (True,):
                why = await self._signed(order | {"opens_parts": opens_parts}, file, target, parts)
                if not why:
                    return target
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        target.unlink()
        raise _refused(why)

    async def _signed(self, order: dict[str, Any], file: Path, target: Path, parts: Mapping[str, Path]) -> str:
        """Returns what went wrong, if something did. Raises what the key raises, Unavailable."""
        await asyncio.to_thread(target.touch)
        with TemporaryDirectory(prefix="pipes-", dir=target.parent) as folder:
            question, answer = Path(folder, "question"), Path(folder, "answer")
            for pipe in (question, answer):
                os.mkfifo(pipe, 0o600)
            named = {"file": file, "target": target, "question": question, "answer": answer}
            order |= {name: str(path.absolute()) for name, path in named.items()}
            order["parts"] = [
                [name, "componentOf" if place else "parentOf", str(path.absolute())]
                for place, (name, path) in enumerate(parts.items())
            ]
            answering = asyncio.create_task(self._answer(question, answer))
            working = asyncio.create_task(
                run_child(
                    ["sign", json.dumps(order)],
                    _LIMITS,
                    task="Signing the file",
                    module=MODULE,
                    reads=[file, answer, *parts.values()],
                    writes=[target, question],
                )
            )
            try:
                await asyncio.wait({answering, working}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    answering.result()
                ended = await working
            except Rejected as error:
                return str(error)
            finally:
                for task in (answering, working):
                    task.cancel()
                await asyncio.gather(answering, working, return_exceptions=True)
        return ended.complaints if ended.code else ended.output.decode(errors="replace")

    async def _answer(self, question: Path, answer: Path) -> None:
        """Sign what the child asks for, once: whoever has taken it over gets one signature, and no key."""
        # Opened at once: a pipe's other end comes later, or never.
        asked = os.fdopen(os.open(question, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
        told = os.open(answer, os.O_RDWR | os.O_NONBLOCK)
        try:
            reader = asyncio.StreamReader()
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), asked
            )
            try:
                os.write(told, await self._sign(await _to_the_end(reader)))
                await asyncio.Event().wait()  # the child reads from a pipe that is open at this end
            finally:
                transport.close()
        finally:
            os.close(told)


def manifest(title: str, facts: Facts, parts: Sequence[str]) -> dict[str, Any]:
    """What the library takes. A file that was made of others was opened as the first of them, in which the others were placed."""
    source = {"digitalSourceType": facts["source_type"]}
    made: dict[str, Any] = {"action": "c2pa.created", **source}
    if "engine" in facts:
        made["softwareAgent"] = {"name": facts["engine"]}
    actions = [made]
    if parts:
        first, *others = parts
        actions = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": [first]}},
            {"action": "c2pa.placed", **source, "parameters": {"ingredientIds": others}},
        ]
    name, number = generator().split()
    return {
        "claim_generator_info": [{"name": name, "version": number}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}, "created": True},
            {"label": FACTS, "data": dict(facts), "created": True},
        ],
    }


async def _to_the_end(reader: asyncio.StreamReader) -> bytes:
    """Raises Unavailable."""
    try:
        await reader.readexactly(_QUESTION_BYTES)
    except asyncio.IncompleteReadError as all_there_is:
        return all_there_is.partial
    raise _refused("what is to be signed is far too long")


def _refused(why: str) -> Unavailable:
    return Unavailable(
        f"The file cannot be signed: {' '.join(why.split())[-400:]}; `rhythmai doctor` examines C2PA_CERT and its key",
        code="signing_failed",
    )
