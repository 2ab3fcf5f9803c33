"""`rhythmai provenance`: where a file comes from, as it says itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from rhythmai.commands.arguments import Data
from rhythmai.commands.running import command
from rhythmai.table import Json, plain_text, show_json

UNTRUSTED: Final = "signingCredential.untrusted"
FACTS: Final = "rhythmai.origin"
"""The assertion with what a worker of ours knows."""
UNREADABLE: Final = "manifests are not looked for: pip install 'rhythmai[c2pa]'"
STATES: Final = {
    "Trusted": "the file is as it was signed, by somebody whom an authority of --trust vouches for",
    "Valid": "the file is as it was signed; whether to believe the signer is yours to say (--trust)",
    "Invalid": "DO NOT BELIEVE IT: the file or what it says was changed after it was signed, or the signature is no good",
    "Unreadable": "whether it is signed cannot be told: the file is damaged",
}


@command
async def provenance(
    file: Annotated[str, typer.Argument(metavar="FILE|URL", help="A track or a film.")],
    trust: Annotated[
        Path | None,
        typer.Option(help="Certificates in PEM: whose signatures are trusted.", exists=True, dir_okay=False),
    ] = None,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Say where a file comes from: by its signed manifest (C2PA), else by its tags.

    The exit code is 1 where its manifest is not to be believed, or cannot be read. The file is read in a process that can do nothing else.
    """
    from rhythmai.commands.jobs import is_url
    from rhythmai.errors import BadInput
    from worker.errors import WorkerError
    from worker.pipeline.look.reading import read

    with TemporaryDirectory(prefix="rhythmai-") as folder:
        try:
            path = await _fetched(file, Path(folder), data) if is_url(file) else Path(file)
            if not await asyncio.to_thread(path.is_file):
                raise BadInput(f"{file} is not a file: give the path of one, or a URL that starts with http")
            said = await read(path, trust)
        except WorkerError as error:
            raise BadInput(str(error)) from None
    found: dict[str, Any] = {"state": said.state, "looked_for_manifests": said.looked, "tags": said.facts}
    if said.store is not None:
        try:
            found |= _told(said.store)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BadInput(
                f"{file} has a manifest of a kind that is not known here: another reader may know it"
            ) from None
    if said.refused:
        found["problems"] = [said.refused]
    if as_json:
        show_json(found)
    else:
        print(*_lines(found), sep="\n")
    if said.state in {"Invalid", "Unreadable"}:
        raise typer.Exit(1)


async def _fetched(url: str, into: Path, data: Path | None) -> Path:
    """As a worker fetches what strangers name: from public addresses and our own Storage, and not without end. Raises WorkerError."""
    from rhythmai.connection import Connection
    from rhythmai.errors import NoStack
    from rhythmai.nearby import nearby
    from worker.fetch import HttpFetcher

    own = Connection().supabase_url
    with suppress(NoStack):
        own = own or nearby(data).environment["SUPABASE_URL"]
    return await HttpFetcher(supabase_url=own).fetch(url, into)


def _told(store: dict[str, Any]) -> dict[str, Any]:
    """What a file's manifests say, whoever wrote them."""
    manifests = store["manifests"]
    manifest = manifests[store["active_manifest"]]
    return {
        **_signed(manifest),
        "title": manifest.get("title"),
        "source_types": [action["digitalSourceType"] for action in _actions(manifest) if "digitalSourceType" in action],
        "facts": next((one["data"] for one in manifest["assertions"] if one["label"] == FACTS), {}),
        "parts": [
            {
                "title": part.get("title"),
                "relationship": part.get("relationship"),
                **_signed(manifests.get(part.get("active_manifest"), {})),
                "problems": [status["code"] for status in part.get("validation_status", [])],
            }
            for part in manifest.get("ingredients", [])
        ],
        "problems": [status["code"] for status in store.get("validation_status", [])],
    }


def _signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    signature = manifest.get("signature_info") or {}
    (generator, *_) = manifest.get("claim_generator_info") or [{}]
    made_by = " ".join(filter(None, (generator.get("name"), generator.get("version"))))
    return {
        "signer": signature.get("common_name"),
        "issuer": signature.get("issuer"),
        "generator": made_by or manifest.get("claim_generator"),
    }


def _actions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        action
        for one in manifest["assertions"]
        if one["label"].startswith("c2pa.actions")
        for action in one["data"]["actions"]
    ]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """For people. What strangers wrote cannot move the cursor."""
    facts = found["tags"]
    if found["state"]:
        yield f"{found['state']}: {STATES[found['state']]}"
        facts = {
            "signer": found.get("signer"),
            "issuer": found.get("issuer"),
            "generator": found.get("generator"),
            "source_type": ", ".join(found.get("source_types", [])),
            **found.get("facts", {}),
        }
    elif facts:
        yield "not signed; its tags, which anybody can change, say:"
    else:
        yield "not signed, and its tags do not say where it comes from"
    if not found["looked_for_manifests"]:
        yield UNREADABLE
    for problem in found.get("problems", []):
        if problem != UNTRUSTED:  # which `Valid` has said
            yield f"  {'problem':<16}{plain_text(problem)}"
    for name, text in facts.items():
        if text:
            yield f"  {name:<16}{plain_text(text)}"
    for part in found.get("parts", []):
        signed = f"signed by {part['signer']}, made by {part['generator']}" if part["signer"] else "not signed"
        wrong = "".join(f"; {code}" for code in part["problems"])
        yield f"  {'made of':<16}{plain_text(part['title'])}: {plain_text(signed + wrong)}"
