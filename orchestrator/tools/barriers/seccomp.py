"""Seccomp: a filter of system calls. It refuses what external programs do not need and Landlock does not cover.

See https://docs.kernel.org/userspace-api/seccomp_filter.html. The filter is a classic BPF program, which reads the
number and the arguments of a call. It holds for the process and for all processes that it starts, for ever.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence

from orchestrator.tools.barriers import system_calls
from orchestrator.tools.barriers.system_calls import Numbers

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Supported architectures, all little-endian and 64-bit, with the value that the kernel shows to the filter."""
X32 = 0x40000000  # numbers from here on are calls of the x32 ABI

# Instructions of classic BPF.
LOAD, AND, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
NUMBER_OFFSET, ARCH_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16  # of struct seccomp_data
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
SET_MODE_FILTER = 1
TSYNC, SPEC_ALLOW = 1, 4
"""Flags: filter all threads, and keep speculative execution, whose restriction slows programs down on Linux < 5.16."""
MAX_INSTRUCTIONS = 4096  # of the kernel

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_SEQPACKET, SOCK_TYPE_MASK = 1, 5, 0xF
NEW_NAMESPACE = 0x7E020000  # all CLONE_NEW* flags of clone
CLONE_THREAD = 0x10000
CLONE_PARENT = 0x8000  # the new process becomes a child of the service, which never waits for it
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15  # a descriptor with an owner sends it signals
F_SETLEASE, F_NOTIFY = 1024, 1026  # a lease delays whoever opens the file; the other watches a folder
TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP = 0x5412, 0x541C, 0x8901, 0x8902  # type into a terminal; as F_SETOWN
FILE_ATTRIBUTES = (0x40086602, 0x40046602, 0x40087602, 0x40047602, 0x401C5820, 0x40806685, 0x800C6613)
"""FS_IOC_SETFLAGS and FS_IOC_SETVERSION (64 and 32 bits), FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY and
FS_IOC_SET_ENCRYPTION_POLICY. They change a file that is only open for reading, if it belongs to the user."""
SHARED_ANONYMOUS = 0x21  # MAP_SHARED | MAP_ANONYMOUS

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def is_supported() -> bool:
    """Return whether filters exist for this architecture and the kernel accepts them."""
    return os.uname().machine in AUDIT_ARCH and os.path.exists("/proc/sys/kernel/seccomp/actions_avail")  # noqa: PTH110


def install(
    *, tcp: bool, seqpacket: bool, shared_memory: bool, truncate: bool, signals: bool, new_processes: bool
) -> None:
    """Filter the system calls of this process. Requires ``no_new_privs``. Raises OSError if the kernel refuses.

    Args:
        tcp: whether to allow TCP sockets. Other sockets are never allowed, except connected pairs of Unix sockets.
        seqpacket: whether to allow Unix sockets of this type. CUDA listens on one. Few services do.
        shared_memory: whether to allow memory that does not count as memory of a process.
        truncate: whether to allow ``truncate``. Landlock controls it from ABI 3 on.
        signals: whether to allow signals to other processes. Landlock controls them from ABI 6 on.
        new_processes: whether the process may start others. Threads are always allowed.
    """
    machine = os.uname().machine
    options = {"tcp": tcp, "seqpacket": seqpacket, "shared_memory": shared_memory, "truncate": truncate}
    program = assemble(machine, os.getpid(), **options, signals=signals, new_processes=new_processes)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = ctypes.create_string_buffer(struct.pack("HL", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_number(system_calls.SECCOMP, machine), SET_MODE_FILTER, TSYNC | SPEC_ALLOW, fprog) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def assemble(
    machine: str,
    pid: int,
    *,
    tcp: bool,
    seqpacket: bool,
    shared_memory: bool,
    truncate: bool,
    signals: bool,
    new_processes: bool,
) -> list[Instruction]:
    """Return the filter for the process ``pid``; see ``install``."""
    refuse, unsupported, nothing = _fail(errno.EPERM), _fail(errno.ENOSYS), _fail(0)
    rules: list[tuple[Numbers, list[Instruction]]] = [
        *((numbers, [refuse]) for numbers in system_calls.REFUSED.values()),
        *((numbers, [unsupported]) for numbers in system_calls.UNSUPPORTED.values()),
        *((numbers, [nothing]) for numbers in system_calls.WITHOUT_EFFECT.values()),
        *((numbers, _allow_values(0, (0, pid), nothing)) for numbers in system_calls.OWN_PROCESS_ONLY.values()),
        (system_calls.SOCKET, _allow_sockets(tcp=tcp, seqpacket=seqpacket)),
        (system_calls.SOCKETPAIR, _allow_connected_pairs()),
        (system_calls.CLONE, [*_allow_clone(new_processes=new_processes), refuse]),
        (system_calls.IOCTL, _refuse_values(1, (TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP, *FILE_ATTRIBUTES))),
        (system_calls.FCNTL, _refuse_values(1, (F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY))),
    ]
    if not shared_memory:
        rules += [(numbers, [unsupported]) for numbers in system_calls.SHARED_MEMORY.values()]
        rules.append((system_calls.MMAP, [*_unless_all_bits(3, SHARED_ANONYMOUS), refuse]))
    if not new_processes:
        rules += [(numbers, [refuse]) for numbers in system_calls.NEW_PROCESSES.values()]
    if not truncate:
        rules.append((system_calls.TRUNCATE, [refuse]))
    if not signals:
        rules += [(numbers, _allow_values(0, (0, pid), refuse)) for numbers in system_calls.SIGNALS.values()]
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCH_OFFSET),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        (RETURN, 0, 0, KILL_PROCESS),  # a call of another architecture, whose numbers differ
        (LOAD, 0, 0, NUMBER_OFFSET),
        (JUMP_AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, KILL_PROCESS),
        (JUMP_AT_LEAST, 0, 1, system_calls.LAST_KNOWN + 1),
        unsupported,
    ]
    for numbers, body in rules:
        if (number := numbers[list(AUDIT_ARCH).index(machine)]) is not None:
            program += [(JUMP_EQUAL, 0, len(body), number), *body]
    return [*program, (RETURN, 0, 0, ALLOW)]


def _number(numbers: Numbers, machine: str) -> int:
    number = numbers[list(AUDIT_ARCH).index(machine)]
    if number is None:
        raise ValueError(f"the system call does not exist on {machine}")
    return number


def _fail(error: int) -> Instruction:
    """Fail with an error number; 0 means that the call succeeds without being made."""
    return (RETURN, 0, 0, ERRNO | error)


def _load_argument(index: int) -> Instruction:
    """Load the low 32 bits of an argument. The calls in the rules ignore the others."""
    return (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * index)


def _allow_values(argument: int, values: Sequence[int], otherwise: Instruction) -> list[Instruction]:
    checks: Iterable[list[Instruction]] = (
        [(JUMP_EQUAL, 0, 1, value), (RETURN, 0, 0, ALLOW)] for value in dict.fromkeys(values)
    )
    return [_load_argument(argument), *(step for check in checks for step in check), otherwise]


def _refuse_values(argument: int, values: Sequence[int]) -> list[Instruction]:
    refuse = _fail(errno.EPERM)
    checks: Iterable[list[Instruction]] = ([(JUMP_EQUAL, 0, 1, value), refuse] for value in values)
    return [_load_argument(argument), *(step for check in checks for step in check), (RETURN, 0, 0, ALLOW)]


def _unless_bits(argument: int, bits: int) -> list[Instruction]:
    """Allow the call if the argument has none of ``bits``."""
    return [_load_argument(argument), (JUMP_ANY_BIT, 1, 0, bits), (RETURN, 0, 0, ALLOW)]


def _allow_clone(*, new_processes: bool) -> list[Instruction]:
    """Allow new threads, and new processes if they are wanted, in the same namespaces and as children of the caller."""
    refused = NEW_NAMESPACE | CLONE_PARENT
    if new_processes:
        return _unless_bits(0, refused)
    is_thread: list[Instruction] = [(JUMP_ANY_BIT, 0, 1, CLONE_THREAD), (RETURN, 0, 0, ALLOW)]
    return [_load_argument(0), (JUMP_ANY_BIT, len(is_thread), 0, refused), *is_thread]


def _unless_all_bits(argument: int, bits: int) -> list[Instruction]:
    """Allow the call unless the argument has all of ``bits``."""
    return [_load_argument(argument), (AND, 0, 0, bits), (JUMP_EQUAL, 1, 0, bits), (RETURN, 0, 0, ALLOW)]


def _allow_sockets(*, tcp: bool, seqpacket: bool) -> list[Instruction]:
    allowed: list[Instruction] = []
    if tcp:  # protocol 0 or 6; others are MPTCP and SCTP
        protocol = [_load_argument(2), (JUMP_ANY_BIT, 1, 0, ~6 & 0xFFFFFFFF), (RETURN, 0, 0, ALLOW)]
        allowed += _allow_type((AF_INET, AF_INET6), SOCK_STREAM, protocol)
    if seqpacket:
        allowed += _allow_type((AF_UNIX,), SOCK_SEQPACKET, [(RETURN, 0, 0, ALLOW)])
    return [*allowed, _fail(errno.EACCES)]


def _allow_connected_pairs() -> list[Instruction]:
    """Allow pairs of Unix sockets, unless they are for datagrams: such a socket can send to any other one."""
    allow = [(RETURN, 0, 0, ALLOW)]
    return [
        *_allow_type((AF_UNIX,), SOCK_STREAM, allow),
        *_allow_type((AF_UNIX,), SOCK_SEQPACKET, allow),
        _fail(errno.EACCES),
    ]


def _allow_type(families: Sequence[int], socket_type: int, then: list[Instruction]) -> list[Instruction]:
    """Run ``then`` if the first argument is one of ``families``, and the second is ``socket_type`` with any flags."""
    check_type: list[Instruction] = [
        _load_argument(1),
        (AND, 0, 0, SOCK_TYPE_MASK),
        (JUMP_EQUAL, 0, len(then), socket_type),
        *then,
    ]
    last = len(families) - 1
    check_family: list[Instruction] = [
        (JUMP_EQUAL, last - index, 0 if index < last else len(check_type), family)
        for index, family in enumerate(families)
    ]
    return [_load_argument(0), *check_family, *check_type]
