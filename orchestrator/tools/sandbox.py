"""Builds the command prefix that runs an external program behind all barriers that this system supports.

The barriers of ``tools.barriers`` work in every container. Namespaces are added where the system allows them.
"""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

from orchestrator.domain.limits import Sandbox
from orchestrator.errors import FailedPrecondition
from orchestrator.tools.barriers import seccomp
from orchestrator.tools.barriers.landlock import SCOPE_ABI, TCP_ABI, landlock_abi
from orchestrator.tools.barriers.launch import PACKAGES, Option, launch_command
from orchestrator.tools.cgroups import group_parents
from orchestrator.tools.parent_death import RUN_IF_PARENT_LIVES, die_with_parent

log = structlog.get_logger()

MAX_FILE_BYTES = 8 << 30
"""Maximum size of a file that a program may write. Photogrammetry of 200 photos writes at most 2 GB."""
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store")
SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/nsswitch.conf",
    "/etc/ssl/openssl.cnf",  # Node reads it at startup
    "/etc/OpenCL",
    "/etc/vulkan",
    "/etc/glvnd",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
    "/sys/module/nvidia",
    "/sys/module/nvidia_uvm",
    "/sys/bus/pci/devices",
)
PROCESS_FILES = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/version",
    "/proc/filesystems",
    "/proc/devices",
    "/proc/driver/nvidia",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/osrelease",
)
"""What a program can read of /proc if it shares the process namespace: of the processes, only the first of its own."""
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
GPU_DEVICES = ("nvidia*", "dri/renderD*", "kfd")  # in /dev


@dataclass(frozen=True)
class Barriers:
    """The barriers that this system supports."""

    landlock_abi: int  # 0 without Landlock
    filter_calls: bool
    network_namespace: bool
    process_namespace: bool
    cgroups: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """The barriers that ``Sandbox.REQUIRE`` needs and this system lacks.

        Namespaces are not among them: containers usually forbid them, and the others cover what they protect.
        """
        landlock = () if self.landlock_abi else ("Landlock (Linux 5.13, enabled with lsm=landlock)",)
        return landlock + (() if self.filter_calls else ("seccomp (x86_64 or aarch64)",))

    @property
    def described(self) -> dict[str, str]:
        """What protects what. The values are empty where nothing does."""
        calls = "seccomp" if self.filter_calls else ""
        tcp = f"Landlock {self.landlock_abi}" if self.landlock_abi >= TCP_ABI else ""
        scope = f"Landlock {self.landlock_abi}" if self.landlock_abi >= SCOPE_ABI else ""
        return {
            "files": f"Landlock {self.landlock_abi}" if self.landlock_abi else "",
            "network": ", ".join(filter(None, [calls, tcp, "namespace" if self.network_namespace else ""])),
            "processes": ", ".join(filter(None, [calls, scope, "namespace" if self.process_namespace else ""])),
            "system calls": calls,
            "memory and threads": "control groups" if self.cgroups else "measured every 0.2 s",
        }


@cache
def supported_barriers() -> Barriers:
    """Return the barriers that this system supports."""
    prefix = _namespaces(True, True)
    both = bool(prefix) and _can_run_with(prefix)
    network = both or _can_run_with(_namespaces(True, False))
    return Barriers(landlock_abi(), seccomp.is_supported(), network, both, bool(group_parents()))


def check_sandbox(sandbox: Sandbox, barriers: Barriers, private: Path | None = None) -> None:
    """Raise FailedPrecondition if ``sandbox`` requires barriers that are missing. Warn once if it prefers them.

    Args:
        private: a folder that programs must not read.
    """
    problems = [f"external programs would run without {missing}" for missing in barriers.missing]
    if private is not None and (exposing := exposing_folder(private)):
        problems.append(f"the data folder is inside {exposing}, which external programs can read; move it")
    if not problems or sandbox is Sandbox.OFF:
        return
    if sandbox is Sandbox.REQUIRE:
        raise FailedPrecondition(f"{'; '.join(problems)}. HEARTWOOD_SANDBOX=prefer accepts that")
    _warn("; ".join(problems))


@cache
def _warn(problem: str) -> None:
    log.warning("sandbox_incomplete", problem=problem)


def exposing_folder(private: Path) -> str:
    """Return the folder that all external programs can read and that contains ``private``, or an empty string."""
    readable = [Path(folder).resolve() for folder in (*python_folders(), *SYSTEM_FOLDERS)]
    return next((str(folder) for folder in readable if private.resolve().is_relative_to(folder)), "")


def sandbox_prefix(barriers: Barriers, options: int) -> list[str]:
    """Return the prefix of a command that runs behind ``barriers`` and ends when Heartwood dies.

    Standard input must be a pipe, see ``RUN_IF_PARENT_LIVES``.

    Args:
        options: an inherited descriptor of a file with the ``sandbox_options``.
    """
    namespaces = _namespaces(barriers.network_namespace, barriers.process_namespace)
    return [*(namespaces or die_with_parent()), *RUN_IF_PARENT_LIVES, *launch_command(options)]


def unconfined_prefix() -> list[str]:
    """Return the prefix of a command that only ends when Heartwood dies."""
    return [*die_with_parent(), *RUN_IF_PARENT_LIVES]


def sandbox_options(
    barriers: Barriers, program: str, folder: Path, *, read: Iterable[Path] = (), join_groups: Sequence[str] = ()
) -> dict[str, Option]:
    """Return the arguments of ``confine`` for a program that writes only to ``folder``.

    It can read ``read``, its own folder, the folders of Python and of this package, and the system's libraries.
    It joins the control groups of the files ``join_groups``.
    """
    processes = ("/proc",) if barriers.process_namespace else PROCESS_FILES
    readable = [*python_folders(), *SYSTEM_FOLDERS, *SYSTEM_FILES, *processes, _program_folder(program, folder)]
    gpu = [str(path) for pattern in GPU_DEVICES for path in Path("/dev").glob(pattern)]
    return {
        "read": [*map(str, readable), *(str(path.resolve()) for path in read)],
        "write": [str(folder.resolve())],
        "list_only": [PACKAGES],  # Python lists the folder in which it searches for packages
        "devices": [*DEVICES, *gpu],
        "seqpacket": int(bool(gpu)),  # the CUDA driver opens a socket and maps shared memory
        "shared_memory": int(bool(gpu)),
        "join_groups": list(join_groups),
        "own_processes": int(barriers.process_namespace),
        "max_file_bytes": MAX_FILE_BYTES,
        "abi": barriers.landlock_abi,
        "filter_calls": int(barriers.filter_calls),
    }


@cache
def python_folders() -> tuple[str, ...]:
    """Return the folders of this Python, its installed packages, and this package."""
    packages = [path for path in (*sys.path, *site.getsitepackages()) if path.endswith(("-packages", "lib-dynload"))]
    ours = str(Path(PACKAGES) / __package__.partition(".")[0])
    return tuple(dict.fromkeys([sys.prefix, sys.base_prefix, *packages, ours]))


def _program_folder(program: str, folder: Path) -> Path:
    """Return what must be readable to run a program: its folder, or only its file if the folder is too general."""
    path = Path(shutil.which(program) or program).resolve()
    too_general = path.parent in (Path.home().resolve(), *folder.resolve().parents)
    return path if too_general else path.parent


def _namespaces(network: bool, processes: bool) -> list[str]:
    """Return the command prefix that creates namespaces. It is empty if ``unshare`` or ``setpriv`` is not installed.

    1. A user namespace, which permits the others, and an empty network namespace.
    2. ``die_with_parent``, which follows the user namespace because a change of credentials resets the signal.
    3. A process namespace. When its first process ends, the kernel kills all others.
    """
    unshare = shutil.which("unshare")
    if not unshare or not network or not (killed_with_parent := die_with_parent()):
        return []
    no_network = [unshare, "--user", "--map-current-user", "--net"]
    if not processes:
        return [*no_network, "--", *killed_with_parent]
    own_processes = [unshare, "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
    return [*no_network, "--keep-caps", "--", *killed_with_parent, *own_processes]


def _can_run_with(prefix: Sequence[str]) -> bool:
    with suppress(OSError, subprocess.TimeoutExpired):
        return (
            bool(prefix)
            and subprocess.run([*prefix, "true"], capture_output=True, check=False, timeout=10).returncode == 0
        )
    return False
