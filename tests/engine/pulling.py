"""`python -m tests.engine.pulling vae|clip MODELS_DIR RELEASE MD5`: fetches one of MMAudio's files and says what came of it."""

import sys
from dataclasses import replace
from pathlib import Path

from worker.engines.mmaudio.download import fetch
from worker.engines.mmaudio.weights import CLIP, VAES
from worker.errors import WorkerError

kind, models_dir, release, md5 = sys.argv[1:]
file = replace(VAES[44_100], md5=md5) if kind == "vae" else CLIP
told = []
try:
    path = fetch(file, Path(models_dir), lambda *progress: told.append(progress), release)
    print(path.relative_to(models_dir), told[-1])
except WorkerError as error:
    print(type(error).__name__, error)
assert "torch" not in sys.modules, "seconds of imports, of which a file needs none"
