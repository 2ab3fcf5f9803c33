"""The seams of a worker: what the listener and the pipeline ask of the world. Adapters implement them, nobody subclasses."""

from worker.ports.engine import Describer, Engine, Stems, Viewer
from worker.ports.film import Ear, Fetcher, Looker, Merger, Previewer
from worker.ports.queue import Outbox, Queue, Retention, WakeUps
from worker.ports.track import ForPlayers, Master, Mender, Packer, Signer, Storage

__all__ = [
    "Describer", "Ear", "Engine", "Fetcher", "ForPlayers", "Looker", "Master", "Mender", "Merger", "Outbox", "Packer",
    "Previewer", "Queue", "Retention", "Signer", "Stems", "Storage", "Viewer", "WakeUps",
]  # fmt: skip
