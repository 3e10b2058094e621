"""The result of a task: facts as JSON, and an image. It travels in memory that two processes share.

The process that decodes a file is not trusted: it may run code of whoever made the file. So its result is data of
limited size, which the reader checks.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

import numpy as np

from orchestrator.domain.images import Image

Facts: TypeAlias = dict[str, str | int | float | bool]

FACTS_BYTES = 1 << 16
"""Space for the facts, with their length. The image follows."""
LENGTH = struct.Struct("<I")
MAX_IMAGE_BYTES = 400_000_000
"""Space for the image: 100 megapixels of 4 bytes. Pages that are never written use no memory."""
MAX_TEXT = 4000
"""Maximum length of a text in the facts, in characters."""
INVALID, CRASH = "invalid", "crash"
"""The fact that states why the file is not valid, and the one with the traceback of an unexpected error."""
OK, OUT_OF_MEMORY, FAILED = 0, 10, 11
"""The exit codes of a task."""
LATE = b"late"
"""What the template reports about a task that it killed when its time had passed; about others, a wait status."""
SHAPE = ("height", "width", "channels")
"""The facts that state the shape of the image. ``channels`` is 0 for an image without a channel axis."""


@dataclass(frozen=True)
class TaskResult:
    """What a task returns."""

    facts: Facts
    image: Image | None = None  # [H, W] or [H, W, C] uint8


class BrokenResult(Exception):
    """The process wrote no valid result."""


def create_file() -> int:
    """Return a descriptor of an empty file in memory, whose size is fixed."""
    file = os.memfd_create("heartwood-result", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(file, FACTS_BYTES + MAX_IMAGE_BYTES)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return file


def write_result(file: int, result: TaskResult) -> None:
    """Write a result to a file of ``create_file``."""
    facts = dict(result.facts)
    if result.image is not None:
        height, width, *channels = result.image.shape
        facts |= dict(zip(SHAPE, (height, width, *(channels or [0])), strict=True))
        with mmap.mmap(file, FACTS_BYTES + result.image.nbytes) as memory:
            target = np.frombuffer(memory, np.uint8, result.image.nbytes, FACTS_BYTES)
            np.copyto(target.reshape(result.image.shape), result.image)
            del target  # otherwise the memory cannot be closed
    text = json.dumps(facts).encode()
    os.pwrite(file, LENGTH.pack(len(text)) + text, 0)


def read_result(file: int) -> TaskResult:
    """Read the result from a file of ``create_file``. The image is a private view of the shared memory.

    Raises:
        BrokenResult: the file contains no valid result.
    """
    (length,) = LENGTH.unpack(os.pread(file, LENGTH.size, 0))
    if not 0 < length <= FACTS_BYTES - LENGTH.size:
        raise BrokenResult(f"the facts have {length} bytes")
    try:
        facts = json.loads(os.pread(file, length, LENGTH.size))
    except (ValueError, RecursionError) as error:
        raise BrokenResult(f"the facts are not JSON: {type(error).__name__}") from None
    if not _are_facts(facts):
        raise BrokenResult("the facts are not short texts and numbers by name")
    if "height" not in facts:
        return TaskResult(facts)
    shape = [facts.pop(name, None) for name in SHAPE]
    if not all(isinstance(side, int) and 0 <= side <= MAX_IMAGE_BYTES for side in shape):
        raise BrokenResult(f"the image has the shape {shape}")
    sides = [side for side in (*shape[:2], shape[2] or None) if isinstance(side, int)]
    if not 0 < prod(sides) <= MAX_IMAGE_BYTES:
        raise BrokenResult(f"the image has the shape {shape}")
    memory = mmap.mmap(file, FACTS_BYTES + prod(sides), access=mmap.ACCESS_COPY)
    return TaskResult(facts, np.frombuffer(memory, np.uint8, prod(sides), FACTS_BYTES).reshape(sides))


def _are_facts(facts: object) -> bool:
    return isinstance(facts, Mapping) and all(
        isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MAX_TEXT)
        for value in facts.values()
    )
