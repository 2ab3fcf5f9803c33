"""How long signing takes, in a confined child without the key and beside it in this process by the library alone.

    python -m bench.signing

A track of 30 s in every format, and a film of 400 MB with itself and a track as what it was made of; medians of 7.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import c2pa
import imageio_ffmpeg
import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.certificates import signatory
from tests.unit.manifests import FACTS, signer_of
from worker.pipeline.finish.audio_file import FORMATS, write
from worker.pipeline.finish.signing import manifest

TIMES = 7


def alone(file: Path, target: Path, content_type: str) -> None:
    who = signatory()
    with (
        c2pa.Signer.from_callback(
            lambda data: who.key.sign(data, ec.ECDSA(hashes.SHA256())), c2pa.C2paSigningAlg.ES256, who.chain.decode()
        ) as signer,
        file.open("rb") as source,
        target.open("w+b") as out,
    ):
        c2pa.Builder(manifest("Tune", FACTS, [])).sign(signer, content_type, source, out)


async def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        signer = signer_of(signatory(), folder)
        await signer.check()
        wave = (0.1 * np.random.default_rng(0).standard_normal((2, 48_000 * 30))).astype(np.float32)
        files = {}
        for suffix, kind in FORMATS.items():
            (folder / f"track.{suffix}").write_bytes(write(wave, 48_000, suffix, dict(FACTS)))
            files[folder / f"track.{suffix}"] = (kind.content_type, {})
        film = folder / "film.mp4"
        source = ["-f", "lavfi", "-i", "sine=r=48000:d=4369", "-c:a", "pcm_s16le", "-f", "mov"]
        made = await asyncio.create_subprocess_exec(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, film)
        await made.wait()
        files[film] = ("video/mp4", {"film": film, "music": folder / "track.flac"})
        for file, (kind, parts) in files.items():
            took: dict[str, list[float]] = {"child": [], "library": []}
            for _ in range(TIMES):
                started = time.perf_counter()
                signed = await signer.sign(file, folder, content_type=kind, title="Tune", facts=FACTS, parts=parts)
                took["child"].append(time.perf_counter() - started)
                grown = signed.stat().st_size - file.stat().st_size
                started = time.perf_counter()
                await asyncio.to_thread(alone, file, signed, kind)
                took["library"].append(time.perf_counter() - started)
                signed.unlink()
            child, library = (statistics.median(times) for times in took.values())
            print(
                f"{file.name:11} {file.stat().st_size / 1e6:6.1f} MB  {child:6.3f} s, library alone {library:6.3f} s, {grown} bytes more"
            )


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m bench.signing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    asyncio.run(main())
