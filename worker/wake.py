"""A wake-up, as the database sends it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """A hint: there may be work. `what` is a kind of job, "webhook", or "" for anything; `engine` the one that the job asks for, ""
    for any; `workers` how many hear of it."""

    what: str = ""
    engine: str = ""
    workers: int = 1
