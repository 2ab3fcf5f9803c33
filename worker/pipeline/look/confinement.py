"""What a process of ours gives up: being read by others and, before it opens a stranger's file, all but that file.

Linux only; elsewhere, where one develops, nothing is given up. `missing` says what this kernel does not offer.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_GET_SECCOMP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 21, 22, 38

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version knows, the newest for all later ones."""
_LIBRARIES = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/dev/null", sys.prefix, sys.base_prefix)
"""What everybody may read: programs need it to start, and Python modules load others late."""

# linux/audit.h, linux/bpf_common.h, linux/seccomp.h and the tables of system calls
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {  # what no decoder asks for, by machine in the same order
    "fork": (57, None), "vfork": (58, None), "unshare": (272, 97), "socket": (41, 198), "socketpair": (53, 199),
    "io_uring_setup": (425, 425), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
}  # fmt: skip
_CLONE, _CLONE3, _KILL, _TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _END, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_X32 = 0x40000000
_CLONE_THREAD = 0x10000


def bare_environment() -> dict[str, str]:
    """Where programs and libraries are, and nothing else of ours."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def hide() -> None:
    """Let no process of the same user read this one's memory and environment. What it forks is hidden too, what it becomes by exec is not."""
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int) -> None:
    """Be killed when the parent ends."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before we asked
            os._exit(1)


def missing() -> list[str]:
    """What this kernel does not offer, as sentences."""
    found = []
    if sys.platform == "linux" and not _landlock_version():
        found.append("this kernel has no Landlock: a child could read files of the worker's user")
    if sys.platform == "linux" and not _has_seccomp():
        found.append(f"no seccomp filter on this {platform.machine()}: a child could use the network")
    return found


def confine(*, reads: Iterable[str], writes: Iterable[str], program: str | None) -> None:
    """From here on this process sees the files named and installed libraries; no network, no other process, no new rights.

    It may become `program` by exec. A file that is to be written has to be there. Raises OSError.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Root without capabilities is held by what holds others. (Version 3 of the header, this process, three empty sets of 64 bits.)
    _libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))
    if version := _landlock_version():
        execute = 0 if program is None else _EXECUTE  # the loader, too, is executed
        libraries = [*_LIBRARIES, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
        _see_only(
            version,
            (reads, _READ),
            (writes, _READ | _WRITE | _TRUNCATE),
            (filter(None, libraries), _READ | _LIST | execute),
            ([program] if program else [], _READ | execute),
        )
    if _has_seccomp():
        steps = _filter()
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        _prctl(_PR_SET_SECCOMP, 2, struct.pack("HP", len(steps), ctypes.addressof(code)))


def _see_only(version: int, *rules: tuple[Iterable[str], int]) -> None:
    every = (1 << _RIGHTS.get(version, 16)) - 1
    # Rights over files; TCP from version 4 on; abstract sockets and signals to the outside from version 6 on.
    handled = struct.pack("QQQ", every, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call(_CREATE_RULESET, handled, len(handled), 0)
    for paths, rights in rules:
        for path in paths:
            with suppress(FileNotFoundError, PermissionError):
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
                folder = stat.S_ISDIR(os.fstat(place).st_mode)
                allowed = rights & every & (every if folder else ~_LIST)
                _call(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
                os.close(place)
    _call(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _landlock_version() -> int:
    """0 if there is none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


def _has_seccomp() -> bool:
    return platform.machine() in _MACHINES and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def _filter() -> list[tuple[int, int, int, int]]:
    """A program of (operation, steps to skip if so, steps to skip if not, value): threads are allowed and signals to oneself, processes are not."""
    machine = list(_MACHINES).index(platform.machine())
    refused = [(_EQUAL, number) for numbers in _REFUSED.values() if (number := numbers[machine]) is not None]
    refused.append((_AT_LEAST, _X32))  # another table of numbers
    # clone3 hides its flags: who hears that it is not there takes clone.
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _MACHINES[platform.machine()]), (_ANSWER, 0, 0, _END), (_LOAD, 0, 0, 0)]
    steps += [(_EQUAL, 0, 1, _CLONE3[machine]), (_ANSWER, 0, 0, _ENOSYS)]
    for operation, value in refused:
        steps += [(operation, 0, 1, value), (_ANSWER, 0, 0, _EPERM)]
    for numbers, operation, value in (
        (_CLONE, _ANY_OF, _CLONE_THREAD),
        (_KILL, _EQUAL, os.getpid()),
        (_TGKILL, _EQUAL, os.getpid()),
    ):
        steps += [(_EQUAL, 0, 4, numbers[machine]), (_LOAD, 0, 0, 16), (operation, 1, 0, value)]
        steps += [(_ANSWER, 0, 0, _EPERM), (_ANSWER, 0, 0, _ALLOW)]
    return [*steps, (_ANSWER, 0, 0, _ALLOW)]


def _prctl(option: int, *values: int | bytes) -> None:
    if _libc.prctl(option, *(ctypes.c_ulong(v) if isinstance(v, int) else v for v in (*values, 0, 0, 0)[:4])):
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")


def _call(number: int, *values: int | bytes) -> int:
    answer = int(_libc.syscall(number, *(ctypes.c_long(v) if isinstance(v, int) else v for v in values)))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return answer
