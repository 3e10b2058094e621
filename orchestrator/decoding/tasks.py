"""The tasks of the decoding processes. Each reads an untrusted file and returns facts and an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from orchestrator.decoding.result import TaskResult
from orchestrator.imaging.photo import focal_length_35mm, probe_photo, read_channels, read_photo
from orchestrator.mesh_files.limits import InvalidMeshFile
from orchestrator.mesh_files.mesh_file import open_mesh_file
from orchestrator.mesh_files.precheck import precheck

Task = Callable[..., TaskResult]


def check_photo(data: bytes, field: str, max_pixels: int) -> TaskResult:
    """Decode a photo to validate it. Return its size and media type."""
    info = probe_photo(data, field)
    if not (is_larger := info.width * info.height > max_pixels):
        read_photo(data, field)
    return TaskResult({"is_larger": is_larger, "columns": info.width, "rows": info.height, "type": info.media_type})


def decode_photo(data: bytes, field: str, max_pixels: int, max_side: int, backdrop: int, is_mask: bool) -> TaskResult:
    """Decode a photo, or a mask as the maximum of its channels. ``max_side`` 0 keeps the size."""
    if oversized := _oversized(data, field, max_pixels):
        return oversized
    pixels = read_photo(data, field, max_side or None, backdrop)
    if is_mask:
        return TaskResult({}, pixels.max(axis=2))
    return TaskResult({"focal_length_mm": focal_length_35mm(data, field)}, pixels)


def check_mask(data: bytes, field: str, max_pixels: int) -> TaskResult:
    """Decode the channels of a mask. Return its mode, and whether it has colours or transparent pixels."""
    if oversized := _oversized(data, field, max_pixels):
        return oversized
    channels, mode = read_channels(data, field)
    is_transparent, is_colored = (channels[..., 3] < 255).any(), (channels[..., :2] != channels[..., 1:3]).any()
    return TaskResult({"mode": mode, "is_transparent": bool(is_transparent), "is_colored": bool(is_colored)})


def unpack_mesh(data: bytes, filename: str, folder: str, is_checked: bool) -> TaskResult:
    """Open a mesh file and write it, with the files that belong to it, into ``folder``.

    Args:
        is_checked: run all checks that need no reader, too.
    """
    try:
        mesh = precheck(data, filename) if is_checked else open_mesh_file(data, filename)
        path = mesh.write(Path(folder))
    except InvalidMeshFile as error:
        return TaskResult({"problem": str(error)})
    return TaskResult({"path": str(path.relative_to(folder)), "format": mesh.format.value, "main": mesh.main})


def _oversized(data: bytes, field: str, max_pixels: int) -> TaskResult | None:
    """Return the size of a photo that has more than ``max_pixels``."""
    info = probe_photo(data, field)
    if info.width * info.height <= max_pixels:
        return None
    return TaskResult({"is_larger": True, "columns": info.width, "rows": info.height})


TASKS: dict[str, Task] = {task.__name__: task for task in (check_photo, decode_photo, check_mask, unpack_mesh)}
