"""A program that attacks the service that runs it. It prints a JSON object: for each attack "done", or the error.

The first argument is a JSON object with the fields of ``Targets``. Attacks that change the system outside the targets,
if they succeed, are in ``ON_THE_SYSTEM``.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

libc = ctypes.CDLL(None, use_errno=True)


class Targets(NamedTuple):
    data: str  # the data folder, which contains local_token, heartwood.sqlite and blob
    package: str  # a file of the program itself
    tcp_port: int
    udp_port: int
    unix_socket: str
    abstract_socket: str
    pid: int  # of the service


def call(number: int, *arguments: object) -> None:
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def read_token(to: Targets) -> None:
    Path(to.data, "local_token").read_text()


def list_data(to: Targets) -> None:
    list(Path(to.data).iterdir())


def add_token(to: Targets) -> None:
    Path(to.data, "new").write_text("a token")


def append_to_token(to: Targets) -> None:
    with Path(to.data, "local_token").open("a") as file:
        file.write("a token")


def truncate_database(to: Targets) -> None:
    os.truncate(Path(to.data, "heartwood.sqlite"), 0)


def share_token(to: Targets) -> None:
    Path(to.data, "local_token").chmod(0o666)


def touch_blob(to: Targets) -> None:
    os.utime(Path(to.data, "blob"), (0, 0))


def remove_blob(to: Targets) -> None:
    Path(to.data, "blob").unlink()


def move_database(to: Targets) -> None:
    Path(to.data, "heartwood.sqlite").rename("stolen")


def link_token(to: Targets) -> None:
    os.link(Path(to.data, "local_token"), "hard-link")


def watch_data(to: Targets) -> None:
    descriptor = libc.inotify_init()
    if libc.inotify_add_watch(descriptor, to.data.encode(), 0xFFF) < 0:
        raise OSError(ctypes.get_errno(), "inotify_add_watch")


def symlink(to: Targets) -> None:
    Path("model.glb").symlink_to(Path(to.data, "local_token"))


def fifo(_: Targets) -> None:
    os.mkfifo("model.fbx")


def change_program(to: Targets) -> None:
    with Path(to.package).open("a"):
        pass


def execute_own_file(_: Targets) -> None:
    with open("program", "w", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
        file.write("#!/bin/sh\n")
    os.posix_spawn("program", ["program"], {})


def tcp(to: Targets) -> None:
    socket.create_connection(("127.0.0.1", to.tcp_port), timeout=2).send(b"attack")


def udp(to: Targets) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"attack", ("127.0.0.1", to.udp_port))


def listen(_: Targets) -> None:
    socket.create_server(("127.0.0.1", 0))


def unix_socket(to: Targets) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"attack", to.unix_socket)


def abstract_socket(to: Targets) -> None:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"attack", f"\0{to.abstract_socket}")


def socket_of_a_pair(to: Targets) -> None:
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"attack", to.unix_socket)


def netlink(_: Targets) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)


def kill(to: Targets) -> None:
    os.kill(to.pid, signal.SIGUSR1)


def kill_by_thread(to: Targets) -> None:
    libc.tgkill.restype = ctypes.c_int
    if libc.tgkill(to.pid, to.pid, signal.SIGUSR1) < 0:
        raise OSError(ctypes.get_errno(), "tgkill")


def kill_by_descriptor(to: Targets) -> None:
    signal.pidfd_send_signal(os.pidfd_open(to.pid), signal.SIGUSR1)


def read_environment(to: Targets) -> None:
    Path(f"/proc/{to.pid}/environ").read_bytes()


def read_memory(to: Targets) -> None:
    Path(f"/proc/{to.pid}/mem").open("rb").close()


def read_command_line(to: Targets) -> None:
    Path(f"/proc/{to.pid}/cmdline").read_bytes()


def trace(to: Targets) -> None:
    if libc.ptrace(0x4206, to.pid, None, None) < 0:  # PTRACE_SEIZE
        raise OSError(ctypes.get_errno(), "ptrace")


def limit_service(to: Targets) -> None:
    resource.prlimit(to.pid, resource.RLIMIT_NOFILE, (3, 3))


def slow_down_all(_: Targets) -> None:
    os.setpriority(os.PRIO_USER, 0, 1)


def lease(to: Targets) -> None:
    with Path(to.package).open() as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def watch_own_folder(_: Targets) -> None:
    folder = os.open(".", os.O_RDONLY)
    try:
        fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_CREATE)
    finally:
        os.close(folder)  # ends the watch, whose signal would end this process


def shared_memory(_: Targets) -> None:
    Path("/dev/shm/attack").touch()  # noqa: S108
    Path("/dev/shm/attack").unlink()  # noqa: S108


def memory_file(_: Targets) -> None:
    os.memfd_create("attack")


def shared_mapping(_: Targets) -> None:
    mmap.mmap(-1, 1 << 20)


def system_v_memory(_: Targets) -> None:
    if (segment := libc.shmget(0, 4096, 0o1600)) < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    libc.shmctl(segment, 0, None)


def semaphores_of_others(_: Targets) -> None:
    if libc.semctl(0, 0, 19, ctypes.create_string_buffer(256)) < 0:  # SEM_INFO; IPC_RMID would remove one
        raise OSError(ctypes.get_errno(), "semctl")


def messages_of_others(_: Targets) -> None:
    if libc.msgctl(0, 12, ctypes.create_string_buffer(256)) < 0:  # MSG_INFO
        raise OSError(ctypes.get_errno(), "msgctl")


def memory_of_others(_: Targets) -> None:
    if libc.shmctl(0, 14, ctypes.create_string_buffer(256)) < 0:  # SHM_INFO
        raise OSError(ctypes.get_errno(), "shmctl")


def file_flags(_: Targets) -> None:
    with Path(__file__).open() as file:
        fcntl.ioctl(file, 0x40086602, (0x40).to_bytes(8, "little"))  # FS_IOC_SETFLAGS, FS_NODUMP_FL


def child_of_the_service(_: Targets) -> None:
    clone_parent = 0x8000
    process: int = libc.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], clone_parent, 0, 0, 0, 0)
    if process == 0:
        os._exit(0)
    if process < 0:
        raise OSError(ctypes.get_errno(), "clone")


def io_uring(_: Targets) -> None:
    call(425, 1, ctypes.create_string_buffer(120))


def user_namespace(_: Targets) -> None:
    if (child := os.fork()) == 0:
        os._exit(ctypes.get_errno() if libc.unshare(0x10000000) < 0 else 0)
    if code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(code, "unshare")


def mount(_: Targets) -> None:
    Path("mounted").mkdir()
    if libc.mount(b"none", b"mounted", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def bpf(_: Targets) -> None:
    call({"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, ctypes.create_string_buffer(128), 128)


def keyring(_: Targets) -> None:
    call({"x86_64": 250, "aarch64": 219}[os.uname().machine], 0, -5, 0)  # KEYCTL_GET_KEYRING_ID


def change_user(_: Targets) -> None:
    os.setuid(12345)


def leave_process_group(_: Targets) -> None:
    if (child := os.fork()) == 0:
        os.setsid()
        os._exit(int(os.getpgid(0) == os.getpid()))
    if not os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError(errno.EPERM, "setsid")


def gain_privileges(_: Targets) -> None:
    if libc.prctl(39, 0, 0, 0, 0) == 1:  # PR_GET_NO_NEW_PRIVS
        raise OSError(errno.EPERM, "no_new_privs")


ON_THE_TARGETS: tuple[Callable[[Targets], None], ...] = (
    read_token, list_data, add_token, append_to_token, truncate_database, share_token, touch_blob, remove_blob,
    link_token, watch_data, symlink, fifo, execute_own_file, tcp, udp, listen, unix_socket, abstract_socket,
    socket_of_a_pair, netlink, kill, kill_by_thread, kill_by_descriptor, read_environment, read_memory,
    read_command_line, trace, limit_service, lease, watch_own_folder, shared_memory, memory_file, shared_mapping,
    system_v_memory, semaphores_of_others, messages_of_others, memory_of_others, file_flags, child_of_the_service,
    io_uring, user_namespace, leave_process_group, gain_privileges, move_database,
)  # fmt: skip
ON_THE_SYSTEM: tuple[Callable[[Targets], None], ...] = (change_program, bpf, keyring, mount, change_user, slow_down_all)


def attack(attacks: tuple[Callable[[Targets], None], ...], targets: Targets) -> dict[str, str]:
    outcomes = {}
    for function in attacks:
        try:
            function(targets)
            outcomes[function.__name__] = "done"
        except OSError as error:
            outcomes[function.__name__] = errno.errorcode.get(error.errno or 0, str(error))
    return outcomes


if __name__ == "__main__":
    everything = len(sys.argv) > 2
    print(json.dumps(attack(ON_THE_TARGETS + ON_THE_SYSTEM * everything, Targets(*json.loads(sys.argv[1])))))
