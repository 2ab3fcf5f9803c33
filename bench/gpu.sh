#!/usr/bin/env bash
# Everything we want to know of a GPU, in under six minutes: bench/gpu.sh [--only SECTION] [--limit SECTION=SECONDS] [--rehearse].
# For a machine without a network, with a plain python3 that has PyTorch; results go to OUT (output/). See bench/gpu.py.
set -euo pipefail
cd "$(dirname "$0")/.."
if compgen -G '.whl/*.whl' > /dev/null; then
  python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/site .whl/*.whl
  export PYTHONPATH="/tmp/site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec python3 bench/gpu.py "$@"
