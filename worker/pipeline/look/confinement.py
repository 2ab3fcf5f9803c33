"""What a process of ours gives up: being read by others and, before it opens a stranger's file, all but that file.

Linux only; elsewhere, where one develops, nothing is given up. `missing` says what this kernel does not offer.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version knows, the newest for all later ones."""
_LIBRARIES = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/dev/null", sys.prefix, sys.base_prefix)
"""What everybody may read: programs need it to start, and Python modules load others late."""

# linux/audit.h and the tables of system calls
_MACHINES = {
    # machine: architecture, clone, clone3, then what a decoder never asks for: fork, vfork, socket, socketpair, ptrace, process_vm_readv, process_vm_writev, io_uring_setup
    "x86_64": (0xC000003E, 56, 435, (57, 58, 41, 53, 101, 310, 311, 425)),
    "aarch64": (0xC00000B7, 220, 435, (198, 199, 117, 270, 271, 425)),
}
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
_X32 = 0x40000000
_CLONE_THREAD = 0x10000


def bare_environment() -> dict[str, str]:
    """Where programs and libraries are, and nothing else of ours."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def hide() -> None:
    """Let no process of the same user read this one's memory and environment. What it forks is hidden too, what it becomes by exec is not."""
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def die_with(parent: int, signal: int) -> None:
    """Get the signal when the parent ends, or end now if it is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        os._exit(1)


def missing() -> list[str]:
    """What this kernel does not offer, as sentences."""
    found = []
    if sys.platform == "linux" and not _landlock_version():
        found.append("this kernel has no Landlock: a child could read files of the worker's user")
    if sys.platform == "linux" and platform.machine() not in _MACHINES:
        found.append(f"no seccomp filter for {platform.machine()}: a child could use the network")
    return found


def confine(*, reads: Iterable[str], writes: Iterable[str], program: bool) -> None:
    """From here on this process sees the files named and installed libraries; no network, no other process, no new rights.

    Only to become a `program` may it execute one. A file that is to be written has to be there. Raises OSError.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Root without capabilities is held by what holds others. (Version 3 of the header, this process, three empty sets of 64 bits.)
    _libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))
    if version := _landlock_version():
        _see_only(version, reads, writes, _EXECUTE if program else 0)
    if platform.machine() in _MACHINES:
        steps = _filter()
        code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
        _prctl(_PR_SET_SECCOMP, 2, struct.pack("HP", len(steps), ctypes.addressof(code)))


def _see_only(version: int, reads: Iterable[str], writes: Iterable[str], execute: int) -> None:
    every = (1 << _RIGHTS.get(version, 16)) - 1
    # Rights over files; TCP from version 4 on; abstract sockets and signals to the outside from version 6 on.
    handled = struct.pack("QQQ", every, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _call(_CREATE_RULESET, handled, len(handled), 0)
    for paths, rights in (
        (reads, _READ),
        (writes, _READ | _WRITE | _TRUNCATE),
        (_LIBRARIES, _READ | _LIST | execute),
    ):
        for path in paths:
            with suppress(FileNotFoundError):
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


def _filter() -> list[tuple[int, int, int, int]]:
    """A program of (operation, steps to skip if so, steps to skip if not, value): most calls are allowed, threads too, processes are not."""
    architecture, clone, clone3, refused = _MACHINES[platform.machine()]
    # Numbers of x32 are another table's; clone3 hides its flags, and who hears that it is not there takes clone.
    tests = [(_AT_LEAST, _X32), *((_EQUAL, number) for number in refused)]
    return [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, 1, clone3),
        (_ANSWER, 0, 0, _ENOSYS),
        *((operation, len(tests) - at + 3, 0, value) for at, (operation, value) in enumerate(tests)),
        (_EQUAL, 0, 2, clone),
        (_LOAD, 0, 0, 16),
        (_ANY_OF, 0, 1, _CLONE_THREAD),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _EPERM),
    ]


def _prctl(option: int, *values: int | bytes) -> None:
    if _libc.prctl(option, *(ctypes.c_ulong(v) if isinstance(v, int) else v for v in (*values, 0, 0, 0)[:4])):
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")


def _call(number: int, *values: int | bytes) -> int:
    answer = int(_libc.syscall(number, *(ctypes.c_long(v) if isinstance(v, int) else v for v in values)))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return answer
