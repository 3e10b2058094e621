"""Limits of external programs and of the processes that decode uploaded files, and whether they run behind barriers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sandbox(StrEnum):
    """What to do if this system lacks a barrier around external programs."""

    REQUIRE = "require"  # run no external program
    PREFER = "prefer"  # use the barriers that it has
    OFF = "off"  # use only limits


@dataclass(frozen=True)
class Limits:
    """Limits for one run of an external program and all its processes together."""

    time_s: float = 7200.0
    memory_bytes: int = 8 << 30  # resident memory
    disk_bytes: int = 32 << 30  # of the files in its folder. Photogrammetry of 200 photos writes about 10 GB.
    sandbox: Sandbox = Sandbox.PREFER


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class DecodeLimits:
    """Limits of the processes that decode photos and parse mesh files."""

    processes: int = 4  # that decode photos at the same time
    memory_bytes: int = 3 << 30  # address space of one process, beyond that of its template
    cpu_s: int = 30  # CPU time of one process
    pixels: int = 125_000_000  # of all photos that are decoded at the same time
    waiting: int = 128  # files of all tenants that wait to be checked
    sandbox: Sandbox = Sandbox.PREFER
