"""Limits the memory and the number of threads of a program with control groups, where this process may create them.

Version 2: the parent of this process's group must be writable and offer the controllers, as with systemd's
``Delegate=yes`` and ``DelegateSubgroup=service``. Version 1: this process's groups must be writable.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
PREFIX = "heartwood"
"""The groups are named PREFIX-PID-NUMBER. PID is the process that created them."""
MEMORY, SWAP, THREADS = "memory", "swap", "threads"
LIMIT_FILES = {
    "memory.max": MEMORY,
    "memory.swap.max": SWAP,
    "pids.max": THREADS,
    "memory.limit_in_bytes": MEMORY,  # version 1
}
OOM_FILES = ("memory.events", "memory.oom_control")  # version 2 and 1
OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
THREADS_FILE = "pids.events"
REFUSED_THREADS = re.compile(r"^max (\d+)$", re.MULTILINE)
REMOVAL_TIMEOUT_S = 2.0
"""Time that the kernel has to remove killed processes from a group. It takes a few milliseconds."""
_numbers = itertools.count()


@dataclass(frozen=True)
class Group:
    """The control groups of one program: one folder for version 2, one for each controller of version 1."""

    folders: tuple[Path, ...]

    @property
    def join_files(self) -> list[str]:
        """The files to which a process writes 0 to join."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def exceeded_memory(self) -> bool:
        """Return whether the kernel has killed a process of the group because of the memory limit."""
        return self._has_counted(OOM_KILLS, OOM_FILES)

    def exceeded_threads(self) -> bool:
        """Return whether the kernel has refused a thread or a process of the group because of their limit."""
        return self._has_counted(REFUSED_THREADS, (THREADS_FILE,))

    def _has_counted(self, event: re.Pattern[str], files: Sequence[str]) -> bool:
        for file in (folder / name for folder in self.folders for name in files):
            with suppress(OSError):
                if (match := event.search(file.read_text())) and int(match[1]):
                    return True
        return False


@cache
def group_parents() -> tuple[Path, ...]:
    """Return the folders in which groups with limits of memory and threads can be created. Empty if there are none."""
    with suppress(OSError):
        own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        if (MOUNT / "cgroup.controllers").exists():
            parents = [(MOUNT / path.lstrip("/")).parent for number, _, path in own if number == "0"]
        else:
            paths = {name: path for _, names, path in own for name in names.split(",")}
            parents = [MOUNT / name / paths[name].lstrip("/") for name in ("memory", "pids") if name in paths]
        with _new_group(parents, memory_bytes=1 << 30, threads=100) as group:
            found = {name for folder in group.folders for name in LIMIT_FILES if (folder / name).exists()}
        if {MEMORY, THREADS} <= {LIMIT_FILES[name] for name in found}:
            return tuple(parents)
    return ()


@contextmanager
def limited_group(memory_bytes: int, threads: int) -> Iterator[Group]:
    """Create a group for the block, whose processes must have ended after it. It is empty without ``group_parents``."""
    with _new_group(group_parents(), memory_bytes=memory_bytes, threads=threads) as group:
        yield group


@contextmanager
def _new_group(parents: Sequence[Path], *, memory_bytes: int, threads: int) -> Iterator[Group]:
    name = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
    values = {MEMORY: memory_bytes, SWAP: 0, THREADS: threads}
    group = Group(tuple(parent / name for parent in parents))
    try:
        for folder in group.folders:
            _remove_leftovers(folder.parent)
            if not {"memory", "pids"}.isdisjoint(_offered(folder.parent)):
                (folder.parent / "cgroup.subtree_control").write_text("+memory +pids")
            folder.mkdir()
            for file, limit in LIMIT_FILES.items():
                if (folder / file).exists():
                    (folder / file).write_text(str(values[limit]))
        yield group
    finally:
        for folder in group.folders:
            _remove(folder)


def _offered(parent: Path) -> list[str]:
    """Return the controllers of version 2 that ``parent`` can give to its children, and has not given yet."""
    with suppress(OSError):
        given = (parent / "cgroup.subtree_control").read_text().split()
        return [name for name in (parent / "cgroup.controllers").read_text().split() if name not in given]
    return []


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + REMOVAL_TIMEOUT_S
    while folder.exists() and time.monotonic() < deadline:
        try:
            folder.rmdir()
        except OSError:  # killed processes are still leaving
            time.sleep(0.01)


def _remove_leftovers(parent: Path) -> None:
    """Remove groups whose Heartwood process no longer exists."""
    for folder in parent.glob(f"{PREFIX}-*"):
        owner = folder.name.split("-")[1]
        if not Path(f"/proc/{owner}").exists():
            with suppress(OSError):
                folder.rmdir()
