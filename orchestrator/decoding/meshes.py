"""Opens mesh files in a process with limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.decoding.pool import decode_pool
from orchestrator.domain.export import MeshFormat
from orchestrator.errors import InvalidInput


@dataclass(frozen=True)
class UnpackedMesh:
    """A mesh file in a folder, with the files that belong to it."""

    path: Path
    format: MeshFormat
    main: str  # name of the entry that is the mesh file, if the file was a zip; empty otherwise


def unpack_mesh(file: bytes | Path, filename: str, folder: Path, field: str, *, is_checked: bool) -> UnpackedMesh:
    """Open a mesh file and write it, with the files that belong to it, into ``folder``.

    Args:
        filename: as the caller named it. Only the extension is used, and only if the content is ambiguous.
        field: of the API that contains the file, for messages.
        is_checked: run all checks that need no reader, too.

    Raises:
        InvalidInput: the file is not a 3D file of a known format, is a forbidden archive, or exceeds a limit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = decode_pool().mesh_task(file, field, folder, filename=filename, is_checked=is_checked)
    if "problem" in result.facts:
        raise InvalidInput(field, str(result.facts["problem"]))
    root = folder.resolve()
    path = (root / str(result.facts["path"])).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise InvalidInput(field, "the file cannot be read: it was unpacked to a place outside its folder")
    return UnpackedMesh(path, MeshFormat(result.facts["format"]), str(result.facts["main"]))
