"""Errors, sorted by remedy.

WorkerError
 ├── Rejected          never again: the job cannot work (bad URL, not a video, too long, forbidden address)
 ├── Unavailable       again, later: something outside was away (5xx, timeout, out of memory)
 │    ├── NoMemory     the same, for want of the device's memory: other engines there are let go before
 │    └── ServiceAway  again, later, and it does not count: one of our own services was away (Storage)
 ├── Cancelled         the user took the job back: stop and settle it as cancelled
 ├── Yielded           hand the job back: the worker drains, or a batch job makes room for interactive work
 ├── LeaseLost         the job belongs to somebody else now: write nothing more
 ├── QueueUnavailable  the database is away: keep the models loaded, back off, go on
 ├── DeviceLost        the GPU is gone or hangs: hand back, exit 3, let the supervisor start the process again
 │    └── DeviceStuck  the same, and it did so before this job came to it: no crash of this job
 ├── QueueClosed       this process has closed its way to the database, and works no more
 ├── Unregistered      the database knows this worker no more: exit 3, a new start registers
 └── Misconfigured     the worker cannot start as it is set up: one line, exit code 2
      └── NoRoom       an engine's weights do not fit onto the device
"""

import sys


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
    code = "rejected"


class Unavailable(WorkerError):
    code = "unavailable"
    may_pass = True


class NoMemory(Unavailable):
    """The device has none left for what was to be composed."""


class ServiceAway(Unavailable):
    code = "service_away"


class Cancelled(WorkerError):
    code = "cancelled"


class Yielded(WorkerError):
    code = "yielded"


class LeaseLost(WorkerError):
    code = "lease_lost"


class QueueUnavailable(WorkerError):
    code = "queue_unavailable"
    may_pass = True


class DeviceLost(WorkerError):
    code = "device_lost"


class DeviceStuck(DeviceLost):
    pass


class QueueClosed(WorkerError):
    code = "queue_closed"


class Unregistered(WorkerError):
    code = "unregistered"


class Misconfigured(WorkerError):
    code = "misconfigured"

    def tell(self) -> int:
        """Say it on stderr, one line a fault; answers the exit code."""
        for line in str(self).splitlines():
            print(line, file=sys.stderr)
        return 2


class NoRoom(Misconfigured):
    """The weights of an engine do not fit onto the device."""
