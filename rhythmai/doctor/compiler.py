"""The C compiler with which Triton builds what launches its kernels, when a worker on a GPU starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

from rhythmai.doctor.finding import Finding, note, ok

CHECK: Final = "kernels"
PLAIN: Final = "MMAudio computes with plain PyTorch, which is slower"
REMEDY: Final = "sudo apt-get install gcc libc6-dev python3-dev"
PROGRAM: Final = "#include <Python.h>\n#include <dlfcn.h>\n#include <stdlib.h>\n"


def examine() -> Finding:
    """By compiling what Triton would: its headers are Python's and the C library's."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return note(CHECK, f"there is no C compiler for Triton: {PLAIN}", REMEDY)
    with tempfile.TemporaryDirectory() as folder:
        (source := Path(folder, "launcher.c")).write_text(PROGRAM)
        include, target = f"-I{sysconfig.get_paths()['include']}", f"{source}.so"
        command = [compiler, "-shared", "-fPIC", include, str(source), "-o", target]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            said = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr[:200])
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        else:
            if done.returncode == 0:
                return ok(CHECK, f"{compiler} compiles for Triton")
    return note(CHECK, f"{compiler} cannot compile for Triton ({said.strip()}): {PLAIN}", REMEDY)
