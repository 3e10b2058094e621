"""Raises all barriers around this process."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Iterable

from orchestrator.tools.barriers import seccomp
from orchestrator.tools.barriers.landlock import SCOPE_ABI, TRUNCATE_ABI, landlock_abi, restrict

SET_NO_NEW_PRIVS, DROP_BOUNDING_CAPABILITY = 38, 24  # options of prctl
CAPABILITY_VERSION_3 = 0x20080522
MAX_OPEN_FILES = 1024
"""The usual limit of a login session. It bounds the memory in the kernel's buffers of sockets and pipes."""


def confine(
    *,
    read: Iterable[str],
    write: Iterable[str] = (),
    list_only: Iterable[str] = (),
    devices: Iterable[str] = (),
    listen_ports: Iterable[int] = (),
    tcp: bool = False,
    seqpacket: bool = False,
    shared_memory: bool = False,
    own_processes: bool = False,
    new_processes: bool = True,
    max_file_bytes: int = 0,
    join_groups: Iterable[str] = (),
    abi: int | None = None,
    filter_calls: bool | None = None,
) -> None:
    """Confine this process and all processes that it starts, for ever. Call this before any thread starts.

    The process loses its capabilities, cannot gain others, and writes no core dumps. It reaches only the given paths.
    It has no sockets, except connected pairs of Unix sockets. It cannot signal, trace or change other processes.

    Args:
        read, write, list_only, devices, listen_ports: see ``landlock.restrict``.
        tcp, seqpacket, shared_memory: see ``seccomp.install``.
        own_processes: whether the process sees no others, because it has a process namespace of its own.
        new_processes: see ``seccomp.install``.
        join_groups: ``cgroup.procs`` files of the control groups to join.
        max_file_bytes: maximum size of a file that it writes; 0 means unlimited.
        abi: the version of Landlock to use; 0 uses none; default: the newest that the kernel supports.
        filter_calls: whether to filter system calls; default: if ``seccomp.is_supported()``.

    Raises:
        OSError: the kernel refused a barrier that it should support.
    """
    abi = landlock_abi() if abi is None else abi
    for file in join_groups:
        with open(file, "w") as processes:  # noqa: PTH123 - pathlib would double the start-up time
            processes.write("0")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower_limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if max_file_bytes:
        _lower_limit(resource.RLIMIT_FSIZE, max_file_bytes)
    _drop_privileges()
    if abi:
        paths = {"read": read, "write": write, "list_only": list_only, "devices": devices}
        restrict(**paths, listen_ports=listen_ports, abi=abi)
    if seccomp.is_supported() if filter_calls is None else filter_calls:
        seccomp.install(
            tcp=tcp,
            seqpacket=seqpacket,
            shared_memory=shared_memory,
            truncate=abi >= TRUNCATE_ABI,
            signals=own_processes or abi >= SCOPE_ABI,
            new_processes=new_processes,
        )


def _lower_limit(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    lowered = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (lowered, lowered))


def _drop_privileges() -> None:
    """Drop all capabilities, and prevent that a program gives new ones."""
    libc = ctypes.CDLL(None, use_errno=True)
    capability = 0
    while libc.prctl(DROP_BOUNDING_CAPABILITY, capability, 0, 0, 0) == 0:  # until the first that does not exist
        capability += 1
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing) != 0 or libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"privileges: {os.strerror(ctypes.get_errno())}")
