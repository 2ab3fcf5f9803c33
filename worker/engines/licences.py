"""Under which licences engines compose, before any weights are loaded, and which of them COMMERCIAL_ONLY lets a worker have."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from worker.domain import MIT, Licence
from worker.engines.acestep import checkpoints
from worker.engines.mmaudio.licence import CC_BY_NC
from worker.errors import Misconfigured

log = logging.getLogger(__name__)


def licence_of(engine: str, model: str) -> Licence:
    """Of an engine with a model. Raises Misconfigured: an unknown model."""
    if engine == "acestep":
        return checkpoints.model_named(model).licence
    return CC_BY_NC if engine == "mmaudio" else MIT


def commercial(engines: Mapping[str, str]) -> tuple[str, ...]:
    """Of engines, each with its model, those whose music may be used commercially; a line in the log for each of the others.

    Raises Misconfigured when there is none, in one line with what to do.
    """
    licences = {engine: licence_of(engine, model) for engine, model in engines.items()}
    refused = [
        f"the weights of {engine} {engines[engine]} stand under {licence.name} ({licence.url}), which allows no commercial use"
        for engine, licence in licences.items()
        if not licence.commercial
    ]
    if len(refused) == len(engines):
        raise Misconfigured(
            f"COMMERCIAL_ONLY=true and ENGINE={','.join(engines)}: {'; '.join(refused)}. Set ENGINE=acestep or ENGINE=sketch, "
            "or COMMERCIAL_ONLY=false"
        )
    for sentence in refused:
        log.warning("COMMERCIAL_ONLY=true: %s; this worker does without it", sentence)
    return tuple(engine for engine, licence in licences.items() if licence.commercial)
