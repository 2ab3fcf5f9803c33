"""On PYTHONPATH this adds the test model to those of a worker: Python imports it at the start of every process."""

import sys

if sys.orig_argv[-1] == "worker":
    from tests.engine.tiny import FLOW, TINY
    from worker.engines.mmaudio import weights

    weights.MODELS[TINY.name] = TINY
    weights.FLOWS[TINY.name] = FLOW
