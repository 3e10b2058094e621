"""Measures what the processes of an external program use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.untrusted_folder import entries_in

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BLOCK_BYTES = 512  # unit of st_blocks
PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessUsage:
    """What a program's processes use together."""

    pids: tuple[int, ...]
    threads: int
    memory_bytes: int  # resident; pages that processes share count for each of them


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    group: int
    threads: int
    memory_bytes: int


def process_usage(group: int) -> ProcessUsage:
    """Return the usage of a process group, and of the processes that its members started and that left it."""
    processes = sorted(_processes(), key=lambda process: process.pid)
    children: dict[int, list[_Process]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process)
    found = {process.pid: process for process in processes if process.group == group}
    waiting = list(found)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)
    threads = sum(process.threads for process in found.values())
    return ProcessUsage(tuple(found), threads, sum(process.memory_bytes for process in found.values()))


def disk_usage(folder: Path, pids: tuple[int, ...]) -> int:
    """Return the bytes on disk of the files in ``folder``, and of deleted files that the processes keep open.

    Raises ToolFailed if the folders are nested too deeply.
    """
    files = {}
    for found in entries_in(folder):
        with suppress(OSError):  # it was removed
            entry = found.stat(follow_symlinks=False)
            files[(entry.st_dev, entry.st_ino)] = entry.st_blocks
    for pid in pids:
        with suppress(OSError):  # the process has ended
            for opened in os.scandir(PROC / str(pid) / "fd"):
                with suppress(OSError):
                    entry = opened.stat()
                    if stat.S_ISREG(entry.st_mode) and entry.st_nlink == 0:
                        files[(entry.st_dev, entry.st_ino)] = entry.st_blocks
    return sum(files.values()) * BLOCK_BYTES


def _processes() -> Iterator[_Process]:
    for name in os.listdir(PROC):  # noqa: PTH208 - many times faster
        if name.isdigit():
            with suppress(OSError):  # the process has ended
                with open(f"{PROC}/{name}/stat", "rb") as file:  # noqa: PTH123 - pathlib takes as long as all the rest
                    fields = file.read().rpartition(b")")[2].split()  # from field 3 on, see proc(5)
                yield _Process(int(name), int(fields[1]), int(fields[2]), int(fields[17]), int(fields[21]) * PAGE_BYTES)
