"""Landlock: limits the files, the TCP ports, the signals and the Unix sockets that this process can reach.

See https://docs.kernel.org/userspace-api/landlock.html. A restriction holds for the calling thread, for all processes
that it starts later, and for ever.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from contextlib import suppress

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system call numbers, equal on all architectures
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH, RULE_NET_PORT = 1, 2

# Rights on files, from linux/landlock.h.
EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
REFER = 1 << 13  # ABI 2: link and rename between folders. In ABI 1 that is always refused.
TRUNCATE = 1 << 14  # ABI 3
IOCTL_DEV = 1 << 15  # ABI 5
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Number of rights on files that an ABI knows. Later ABIs have as many as ABI 5."""
READ = EXECUTE | READ_FILE | READ_DIR
WRITE = READ_FILE | READ_DIR | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
"""Rights in a writable folder. Programs cannot make links, pipes, sockets and devices there, or execute files."""
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Rights that a rule for a file, not a folder, may grant."""

BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
TCP_ABI = 4
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1 << 0, 1 << 1
SCOPE_ABI = 6
TRUNCATE_ABI = 3

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("rights", ctypes.c_uint64), ("folder", ctypes.c_int32)]


class _NetPort(ctypes.Structure):
    _fields_ = [("rights", ctypes.c_uint64), ("port", ctypes.c_uint64)]


def landlock_abi() -> int:
    """Return the version of Landlock's interface in this kernel, or 0 if the kernel has no Landlock."""
    return max(int(_libc.syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)), 0)


def restrict(
    *,
    read: Iterable[str],
    write: Iterable[str],
    list_only: Iterable[str] = (),
    devices: Iterable[str] = (),
    listen_ports: Iterable[int] = (),
    abi: int,
) -> None:
    """Restrict this thread to some files and ports. Requires ``no_new_privs``. Paths that do not exist are ignored.

    From TCP_ABI on, it can listen on ``listen_ports`` and use no other port. From SCOPE_ABI on, it can signal only the
    processes, and connect only to the abstract Unix sockets, that are restricted with it.

    Args:
        read: files and folders whose contents it may read and execute.
        write: folders in which it may read, write, make and remove files.
        list_only: folders, which it may list with all their subfolders.
        devices: files that it may read and write.
        abi: of the rules that apply; at most ``landlock_abi()``.

    Raises:
        OSError: the kernel refused.
    """
    handled = (1 << RIGHTS_BY_ABI.get(abi, RIGHTS_BY_ABI[5])) - 1
    network = BIND_TCP | CONNECT_TCP if abi >= TCP_ABI else 0
    scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL if abi >= SCOPE_ABI else 0
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= TCP_ABI else 8
    ruleset = _call(CREATE_RULESET, ctypes.byref(_Ruleset(handled, network, scoped)), size, 0)
    try:
        for paths, rights in ((read, READ), (write, WRITE), (list_only, READ_DIR), (devices, DEVICE)):
            for path in paths:
                with suppress(FileNotFoundError):
                    _allow(ruleset, path, rights & handled)
        if network:
            for port in listen_ports:
                rule = _NetPort(BIND_TCP, port)
                _call(ADD_RULE, ruleset, RULE_NET_PORT, ctypes.byref(rule), 0)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= FILE_RIGHTS
        rule = _PathBeneath(rights, opened)
        _call(ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result
