"""Errors, sorted by remedy.

WorkerError
 ├── Rejected          never again: the job cannot work (bad URL, not a video, too long, forbidden address)
 ├── Unavailable       again, later: something outside was away (5xx, timeout, out of memory)
 │    └── ServiceAway  again, later, and it does not count: one of our own services was away (Storage)
 ├── Cancelled         the user took the job back: stop and settle it as cancelled
 ├── Yielded           hand the job back: the worker drains, or a batch job makes room for interactive work
 ├── LeaseLost         the job belongs to somebody else now: write nothing more
 ├── QueueUnavailable  the database is away: keep the models loaded, back off, go on
 ├── DeviceLost        the GPU is gone or hangs: hand back, exit 3, let the supervisor start the process again
 ├── Unregistered      the database knows this worker no more: exit 3, a new start registers
 └── Misconfigured     the worker cannot start as it is set up: one line, exit code 2
"""

from __future__ import annotations


class WorkerError(Exception):
    """Base of all errors this package raises on purpose; `str()` is a sentence for the person who can act."""

    code = "internal"
    may_pass = False
    """Whether the same job may work with another try."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Rejected(WorkerError):
    """The job can never work; the message tells the user why and what to send instead."""

    code = "rejected"


class Unavailable(WorkerError):
    """The job may work later."""

    code = "unavailable"
    may_pass = True


class ServiceAway(Unavailable):
    """One of our own services is away, which is no fault of the job: the attempt is not burnt."""

    code = "service_away"


class Cancelled(WorkerError):
    """The user cancelled the job while it ran."""

    code = "cancelled"


class Yielded(WorkerError):
    """The job is handed back between two steps, as if it had not been claimed."""

    code = "yielded"


class LeaseLost(WorkerError):
    """A fenced write was refused: another attempt owns the job, or it is over."""

    code = "lease_lost"


class QueueUnavailable(WorkerError):
    """The database cannot be reached."""

    code = "queue_unavailable"
    may_pass = True


class DeviceLost(WorkerError):
    """The accelerator stopped working; only a new process can bring it back."""

    code = "device_lost"


class Unregistered(WorkerError):
    """The worker's row is gone, so it gets no work; a new process registers anew."""

    code = "unregistered"


class Misconfigured(WorkerError):
    """The environment does not describe a worker that can start."""

    code = "misconfigured"
