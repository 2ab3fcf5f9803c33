"""What a decoder would try that a file has taken over. Answers {attempt: what came of it} as JSON; "done" is success."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path


def attempts(own: str, secret: str, *parents: str) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "its own file", Path(own).read_bytes
    yield "write its own file", lambda: os.open(own, os.O_WRONLY)
    yield ".env beside it", Path(secret).read_bytes
    yield "the folder", lambda: list(Path(own).parent.iterdir())
    for pid in parents:
        yield f"environ of {pid}", Path(f"/proc/{pid}/environ").read_bytes
        yield f"memory of {pid}", Path(f"/proc/{pid}/mem").open
        yield f"signal to {pid}", lambda pid=pid: os.kill(int(pid), 0)
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        yield f"{family.name} stream", lambda family=family: socket.socket(family)
        yield f"{family.name} datagram", lambda family=family: socket.socket(family, socket.SOCK_DGRAM)
    yield "socketpair", socket.socketpair
    yield "fork", lambda: os.fork() or os._exit(0)


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def main(arguments: Sequence[str]) -> None:
    print(json.dumps({name: outcome(attempt) for name, attempt in attempts(*arguments)}))


if __name__ == "__main__":
    main(sys.argv[1:])
