"""The program that reads and writes manifests (C2PA): `python -m worker.pipeline.look.manifests TASK ORDER`, ORDER in JSON.

The library reads what strangers have written, so it runs in a confined child, and the operator's key is not there: what is to be
signed goes out through one named pipe, and the signature comes back through another. There is no network for it to ask.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.errors import Rejected
from worker.pipeline.look.media import told
from worker.pipeline.origin import KEY_USAGES, SIGNATURE_BYTES

if TYPE_CHECKING:
    from c2pa import Builder, Context

UNKNOWN = "application/octet-stream"
_BEGINNINGS = (
    (4, b"ftyp", "video/mp4"),
    (8, b"AVI ", "video/avi"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
)


def sign(order: dict[str, Any]) -> str:
    """Write `target`, which is `file` with a manifest. Returns why that is refused, if it is."""
    from c2pa import Builder, C2paError, C2paSigningAlg, Signer

    try:
        builder = Builder(order["manifest"], _context())
        for name, relationship, path in order["parts"]:
            words = {"title": name, "label": name, "relationship": relationship}
            _add(builder, words, Path(path), opens=order["opens_parts"])
        with (
            Signer.from_callback(_asking(order), C2paSigningAlg[order["algorithm"]], order["chain"]) as signer,
            Path(order["file"]).open("rb") as file,
            Path(order["target"]).open("w+b") as target,
        ):
            builder.sign(signer, order["content_type"], file, target)
    except C2paError as error:
        return str(error)
    return ""


def read(order: dict[str, Any]) -> str:
    """What a file says: `facts`, by its tags; `store`, its manifests, and how they stand (`state`): Trusted, Valid,
    Invalid or Unreadable. Returns JSON."""
    answer: dict[str, Any] = {"facts": {}, "store": None, "state": None, "looked": False}
    path = Path(order["file"])
    with suppress(Rejected):
        answer["facts"] = told(path)
    try:
        from c2pa import C2paError, Reader
    except ModuleNotFoundError:
        return json.dumps(answer)
    answer["looked"] = True
    anchors = Path(order["anchors"]).read_text() if "anchors" in order else ""
    with path.open("rb") as file:
        try:
            reader = Reader.try_create(None, file, context=_context(anchors))
        except C2paError.NotSupported:  # files of this kind have no manifests
            return json.dumps(answer)
        except C2paError as error:
            return json.dumps(answer | {"state": "Unreadable", "refused": str(error)})
        if reader is not None:
            answer |= {"store": json.loads(reader.json()), "state": reader.get_validation_state()}
    return json.dumps(answer)


def _context(anchors: str = "") -> Context:
    from c2pa import Context

    trust = {"trust_config": "\n".join(KEY_USAGES)} | ({"trust_anchors": anchors} if anchors else {})
    return Context.from_dict({"trust": trust, "verify": {"remote_manifest_fetch": False}})


def _add(builder: Builder, words: dict[str, str], path: Path, *, opens: bool) -> None:
    """As an ingredient, with the manifests it has; one that the library cannot open is only named."""
    from c2pa import C2paError

    with path.open("rb") as file:
        try:
            builder.add_ingredient(words, _content_type(file.read(12)) if opens else UNKNOWN, file)
        except C2paError:
            builder.add_ingredient(words, UNKNOWN, file)


def _content_type(head: bytes) -> str:
    return next((kind for at, mark, kind in _BEGINNINGS if head.startswith(mark, at)), UNKNOWN)


def _asking(order: dict[str, Any]) -> Callable[[bytes], bytes]:
    def ask(data: bytes) -> bytes:
        Path(order["question"]).write_bytes(data)
        answer = os.open(order["answer"], os.O_RDONLY)
        try:
            return os.read(answer, SIGNATURE_BYTES)
        finally:
            os.close(answer)

    return ask


def main(arguments: Sequence[str]) -> None:
    task, order = arguments
    sys.stdout.write({"sign": sign, "read": read}[task](json.loads(order)))


if __name__ == "__main__":
    main(sys.argv[1:])
