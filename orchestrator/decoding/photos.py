"""Decodes photos and masks in processes with limits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.decoding.pool import decode_pool, photo_size
from orchestrator.decoding.result import Facts, TaskResult
from orchestrator.domain.images import Image
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import BLACK, WHITE, PhotoInfo
from orchestrator.imaging.photo_files.photo_file import PhotoFormat

MEDIA_TYPES = {format.value for format in PhotoFormat}


@dataclass(frozen=True)
class DecodedPhoto:
    """The pixels of a photo, and what its metadata states."""

    srgb: Image  # [H, W, 3] uint8, upright
    focal_length_mm: float  # 35 mm equivalent; 0 if it is unknown


@dataclass(frozen=True)
class MaskFile:
    """What the file of a mask contains besides levels."""

    mode: str  # Pillow's name of its mode
    is_transparent: bool  # some pixels are not opaque
    is_colored: bool  # some pixels are not grey


def check_photo_here(file: Path, field: str, canceled: threading.Event | None = None) -> PhotoInfo:
    """Decode a whole photo to validate it, and return its header, in this thread, which is one of the pool's.

    Args:
        canceled: is set when the result is not needed any more.

    Raises the errors of ``decode_photo``.
    """
    facts = decode_pool().photo_task("check_photo", file, field, canceled).facts
    width, height = photo_size(facts, field)
    if facts.get("type") not in MEDIA_TYPES:
        raise InvalidInput(field, "the file cannot be decoded: its type is not that of a photo")
    return PhotoInfo(width, height, str(facts["type"]))


def decode_photo(data: bytes, field: str, max_side: int | None, tenant: str) -> DecodedPhoto:
    """Decode a photo. See ``imaging.photo.read_photo`` for the arguments.

    Raises:
        InvalidInput: see ``read_photo``; also if the file exceeds the limits of memory or CPU time.
        ResourceExhausted: the machine is overloaded.
    """
    image, facts = _decode(data, field, max_side, tenant, backdrop=WHITE, is_mask=False)
    return DecodedPhoto(image, float(facts["focal_length_mm"]))


def decode_mask(data: bytes, field: str, max_side: int | None, tenant: str) -> Image:
    """Decode an image as a [H, W] uint8 mask: the maximum of its channels, 0 where it is transparent.

    Raises the errors of ``decode_photo``.
    """
    return _decode(data, field, max_side, tenant, backdrop=BLACK, is_mask=True)[0]


def inspect_mask(data: bytes, field: str, tenant: str) -> MaskFile:
    """Decode the channels of a mask, and return whether it has others than grey. Raises as ``decode_photo``."""
    facts = _run("check_mask", data, field, tenant).facts
    return MaskFile(str(facts["mode"]), bool(facts["is_transparent"]), bool(facts["is_colored"]))


def _decode(
    data: bytes, field: str, max_side: int | None, tenant: str, *, backdrop: int, is_mask: bool
) -> tuple[Image, Facts]:
    result = _run("decode_photo", data, field, tenant, max_side=max_side or 0, backdrop=backdrop, is_mask=is_mask)
    assert result.image is not None  # noqa: S101 - the task returns one
    return result.image, result.facts


def _run(task: str, data: bytes, field: str, tenant: str, **arguments: Any) -> TaskResult:
    """Run a task when it is the tenant's turn."""
    pool = decode_pool()
    return pool.photos.submit(tenant, lambda: pool.photo_task(task, data, field, **arguments), limited=False).result()
