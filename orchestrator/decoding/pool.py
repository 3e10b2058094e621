"""Decodes photos and opens mesh files in processes, in turn for each tenant, within limits of pixels and memory.

A process has one pool, because the limits apply to the machine. The service configures it at startup; commands and
scripts use it with its defaults.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.decoding.fair_queue import Budget, FairQueue
from orchestrator.decoding.result import Facts, TaskResult
from orchestrator.decoding.template import Template
from orchestrator.domain.limits import DecodeLimits
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo_files.limits import MAX_PIXELS

TYPICAL_PIXELS = 25_000_000
"""Pixels that a photo may have to be decoded at once. Phones take photos of 12 and 24 megapixels. The process of a
larger photo only reports its size; when that many pixels are free, another process decodes it."""
MESH_READERS = 2
"""Maximum number of mesh files that are read at the same time, so that they cannot exhaust the memory. Not tuned."""


CONTRADICTORY = "the file cannot be decoded: its size is contradictory"


class DecodePool:
    """The queues of photos and mesh files, and the template of their processes."""

    def __init__(self, limits: DecodeLimits) -> None:
        self.limits = limits
        self.photos = FairQueue("photos", limits.processes, limits.waiting)
        self.meshes = FairQueue("3D models", MESH_READERS, limits.waiting)
        self._template = Template(limits)
        self._pixels = Budget(limits.pixels)

    @property
    def template_pid(self) -> int:
        """Process id of the template of all decoding processes, or 0 while it does not run."""
        return self._template.pid

    def photo_task(
        self, task: str, file: bytes | Path, field: str, canceled: threading.Event | None = None, **arguments: Any
    ) -> TaskResult:
        """Run a task on a photo in this thread, which should be one of ``photos``. See ``Template.run``."""
        with opened(file) as source:

            def run(pixels: int) -> TaskResult:
                options = {"field": field, "max_pixels": pixels, **arguments}
                with self._pixels.part(pixels):
                    return self._template.run(task, source, field, options, canceled=canceled)

            result = run(min(TYPICAL_PIXELS, self.limits.pixels))
            if result.facts.get("is_larger"):
                width, height = photo_size(result.facts, field)
                result = run(width * height)
            if result.facts.get("is_larger"):
                raise InvalidInput(field, CONTRADICTORY)
            return result

    def mesh_task(self, file: bytes | Path, field: str, folder: Path, **arguments: Any) -> TaskResult:
        """Run the task ``unpack_mesh`` in this thread. See ``Template.run``."""
        with opened(file) as source:
            arguments["folder"] = str(folder.resolve())
            return self._template.run("unpack_mesh", source, field, arguments, folder=arguments["folder"])

    def close(self) -> None:
        """End all processes. Tasks that run or wait fail."""
        self._template.close()


def photo_size(facts: Facts, field: str) -> tuple[int, int]:
    """Return width and height of a photo. Raises InvalidInput if the process reports none that a photo may have."""
    width, height = facts.get("columns"), facts.get("rows")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and 0 < height <= MAX_PIXELS // width:
        return width, height
    raise InvalidInput(field, CONTRADICTORY)


_pool: DecodePool | None = None
_pool_lock = threading.Lock()


def decode_pool(limits: DecodeLimits | None = None) -> DecodePool:
    """Return the pool of this process. The first call makes it, with ``limits`` or their defaults."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = DecodePool(limits or DecodeLimits())
        return _pool


@contextmanager
def opened(file: bytes | Path) -> Iterator[int]:
    """Yield a descriptor of a file, or of bytes in memory."""
    if isinstance(file, Path):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    else:
        descriptor = os.memfd_create("heartwood-input", os.MFD_CLOEXEC)
    try:
        if not isinstance(file, Path):
            view = memoryview(file)
            while view:
                view = view[os.write(descriptor, view) :]
        yield descriptor
    finally:
        os.close(descriptor)
