"""Compares our runtime with stored results of the reference: `python -m tests.engine.parity DIR`.

DIR holds fixtures, one safetensors file a case, and `tolerances.json` (in DIR or beside it). Weights and inputs are made
from names. Exits with 1 when a tensor is further away than its tolerance; what has none only informs. With
`--precision bf16`, a GPU's mixed precision, errors are ||a - b|| / ||b||, and only latents and velocities have a bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tests.engine import parity_flow, parity_parts
from tests.engine.parity_case import Answers, Case, NotRun

Verdict = Literal["ok", "FAILED", "informative", "not built", "not run"]

KINDS: tuple[tuple[str, Callable[[Case], Answers]], ...] = (
    ("net_*_bf16", parity_flow.bf16_answers),
    ("net_*", parity_flow.answers),
    ("tables*", parity_flow.table_answers),
    ("clip*", parity_parts.clip_answers),
    ("synchformer*", parity_parts.synchformer_answers),
    ("vae_*", parity_parts.vae_answers),
    ("bigvgan*", parity_parts.vocoder_answers),
    ("e2e_*", parity_parts.end_to_end_answers),
)
"""Cases by the pattern of their file name; videos are recognised by their folder `pre`."""
UNBUILT = ("enc.",)
"""The VAE's encoder; mel converters (`mel_*`) are whole cases."""
GIVEN = ("x0",)
"""Stored inputs."""
PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}
MIXED_BOUND = 2e-2
"""Relative, of what the network makes in mixed precision."""
BOUNDED = ("flow.*", "sampled.*", "latent", "unnormalized.*")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    case: str
    tensor: str
    error: float | None
    tolerance: float | None
    verdict: Verdict
    note: str = ""

    def __str__(self) -> str:
        error = "" if self.error is None else f"{self.error:.2e}"
        tolerance = "" if self.tolerance is None else f"{self.tolerance:.2e}"
        return f"{self.case:<28} {self.tensor:<28} {error:>9} {tolerance:>9}  {self.verdict} {self.note}".rstrip()


def _compare(case: Case, name: str, ours: Tensor | None, tolerance: float | None) -> Line:
    theirs = case.expected[name]
    if ours is None:
        return Line(case.name, name, None, tolerance, "not built")
    exact = not theirs.is_floating_point()
    if ours.shape != theirs.shape:
        note = f"shape {tuple(ours.shape)} instead of {tuple(theirs.shape)}"
        informs = tolerance is None and not exact
        return Line(case.name, name, None, tolerance, "informative" if informs else "FAILED", note)
    if case.precision is not torch.float32 and not exact:
        return _compare_mixed(case, name, ours, tolerance)
    error = (ours.detach().cpu().double() - theirs.double()).abs().max().item() if theirs.numel() else 0.0
    if exact:
        return Line(case.name, name, error, 0.0, "ok" if error == 0 else "FAILED")
    if tolerance is None:
        return Line(case.name, name, error, None, "informative", f"relative {_relative(ours, theirs):.1e}")
    return Line(case.name, name, error, tolerance, "ok" if error <= tolerance else "FAILED")


def _relative(ours: Tensor, theirs: Tensor) -> float:
    exact = theirs.double()
    return float((ours.detach().cpu().double() - exact).norm() / exact.norm().clamp(min=1e-30))


def _compare_mixed(case: Case, name: str, ours: Tensor, tolerance: float | None) -> Line:
    """Relative; what the reference made in bfloat16 itself has no tolerance, and only informs here too."""
    error = _relative(ours, case.expected[name])
    if tolerance is None or not any(fnmatch(name, pattern) for pattern in BOUNDED):
        return Line(case.name, name, error, None, "informative", "relative")
    return Line(case.name, name, error, MIXED_BOUND, "ok" if error <= MIXED_BOUND else "FAILED", "relative")


def _way(case: Case) -> Callable[[Case], Answers] | None:
    if case.path.parent.name == "pre" or "clip_shape" in case.meta:
        return parity_parts.frame_answers
    return next((way for pattern, way in KINDS if fnmatch(case.path.stem, pattern)), None)


def run_case(case: Case, tolerances: dict[str, float | None]) -> Iterator[Line]:
    """Every tensor of a case with its verdict."""
    way, left = _way(case), dict.fromkeys(name for name in case.expected if name not in GIVEN)
    if way is None:
        yield Line(case.name, "*", None, None, "not built")
        return
    try:
        for name, ours in way(case):
            if name in left:
                del left[name]
                yield _compare(case, name, ours, tolerances.get(name))
    except NotRun as reason:
        for name in left:
            yield Line(case.name, name, None, tolerances.get(name), "not run", str(reason))
        return
    for name in left:
        unbuilt = name.startswith(UNBUILT) or tolerances.get(name) is None
        yield Line(case.name, name, None, tolerances.get(name), "not built" if unbuilt else "FAILED", "no answer")


def find(directory: Path, pattern: str) -> list[Path]:
    """Fixture files whose case name or stem matches, small folders first."""
    order = {"tiny": 0, "pre": 1, "full": 2}
    files = [
        p
        for p in directory.rglob("*.safetensors")
        if fnmatch(f"{p.parent.name}/{p.stem}", pattern) or fnmatch(p.stem, pattern)
    ]
    return sorted(files, key=lambda p: (order.get(p.parent.name, 3), p))


def tolerances_of(directory: Path) -> dict[str, dict[str, float | None]]:
    for place in (directory, directory.parent):
        if (place / "tolerances.json").is_file():
            found: dict[str, dict[str, float | None]] = json.loads((place / "tolerances.json").read_text())
            return found
    return {}


@torch.inference_mode()
def run(directory: Path, pattern: str = "*", device: str = "cpu", precision: str = "float32") -> Iterator[Line]:
    """Every line of every matching case."""
    tolerances = tolerances_of(directory)
    for path in find(directory, pattern):
        case = Case.read(path, torch.device(device), PRECISIONS[precision])
        yield from run_case(case, tolerances.get(case.name, {}))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engine.parity", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder with fixtures")
    parser.add_argument("--case", default="*", help='cases to run, for example "tiny/*" or "full/net_*"')
    parser.add_argument("--device", default="cpu", help="where to compute: cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="bf16 is what a GPU uses")
    asked = parser.parse_args(arguments)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = asked.precision == "bf16"
    if asked.device.startswith("cuda"):
        torch.cuda.set_device(torch.device(asked.device).index or 0)  # kernels of our own go to the current one
    started, counts = time.perf_counter(), dict.fromkeys(("ok", "FAILED", "informative", "not built", "not run"), 0)
    print(f"{'case':<28} {'tensor':<28} {'max error':>9} {'tolerance':>9}  verdict")
    directory = asked.directory.resolve()  # inputs are made from the names of folders, which "." does not tell
    for line in run(directory, asked.case, asked.device, asked.precision):
        counts[line.verdict] += 1
        print(line, flush=True)
    print(
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        f"in {time.perf_counter() - started:.0f} s",
    )
    if not any(counts.values()):
        print(f"no fixtures match {asked.case!r} in {asked.directory}: give the folder that holds tiny/, full/, pre/")
    return 1 if counts["FAILED"] or not any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
