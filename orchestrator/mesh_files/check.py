"""Checks an uploaded 3D file before it is stored: cheap checks in a limited process, then a reader in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.decoding.meshes import unpack_mesh
from orchestrator.decoding.pool import decode_pool
from orchestrator.domain.export import MEDIA_TYPES, ZIP, MeshFormat
from orchestrator.domain.limits import Limits
from orchestrator.domain.untrusted_folder import scratch_folder
from orchestrator.errors import InvalidInput
from orchestrator.mesh_files.limits import MAX_BYTES, InvalidMeshFile, check_count
from orchestrator.tools.mesh_readers import read_mesh

__all__ = ["MAX_BYTES", "MeshFileInfo", "check_mesh", "check_mesh_here"]

READER_S, READER_BYTES = 120.0, 4 << 30
"""Limits of the process that reads the file. Blender reads an OBJ or PLY of MAX_TRIANGLES triangles in 4 to 6 s and
1.2 GB on two cores."""


@dataclass(frozen=True)
class MeshFileInfo:
    """What a 3D file contains."""

    format: MeshFormat
    media_type: str
    triangles: int  # in the scene; an instanced mesh counts once for each instance
    materials: tuple[str, ...] = ()  # names
    compression: str = ""  # of the geometry of a glTF: draco or meshopt; empty if it is not compressed
    main: str = ""  # name of the entry that is the mesh file, if the file is a zip

    @property
    def is_archive(self) -> bool:
        """Whether the file is a zip of a 3D model with its files. A USDZ, which is a zip too, is not."""
        return bool(self.main)


def check_mesh(file: bytes | Path, filename: str, field: str, *, blender: str = "") -> MeshFileInfo:
    """Validate a 3D file. See ``check_mesh_here``."""
    meshes = decode_pool().meshes
    return meshes.submit("", lambda: check_mesh_here(file, filename, field, blender=blender), limited=False).result()


def check_mesh_here(file: bytes | Path, filename: str, field: str, *, blender: str = "") -> MeshFileInfo:
    """Validate a 3D file in this thread, which should be one of ``DecodePool.meshes``.

    Args:
        filename: as the caller named it. Only the extension is used, and only if the content is ambiguous.
        field: name of the field for error messages.
        blender: a ``blender`` executable; the bpy wheel if empty.

    Raises:
        InvalidInput: the file is empty, too large, damaged, of an unknown format, has no triangle, or refers to files
            outside itself.
        ToolFailed: the reader of this format is not installed.
        ToolKilled: somebody else killed the reader.
        FailedPrecondition: the settings require a barrier around the reader that this system lacks.
    """
    limits = Limits(READER_S, READER_BYTES, sandbox=decode_pool().limits.sandbox)
    with scratch_folder("heartwood-mesh-") as folder:
        mesh = unpack_mesh(file, filename, folder / "upload", field, is_checked=True)
        try:
            contents = read_mesh(mesh.path, mesh.format, folder, blender=blender, limits=limits)
            check_count(contents.triangles, "triangles")
        except InvalidMeshFile as error:
            raise InvalidInput(field, str(error)) from None
    media_type = ZIP if mesh.main else MEDIA_TYPES[mesh.format]
    triangles, materials, compression = contents
    return MeshFileInfo(mesh.format, media_type, triangles, materials, compression, mesh.main)
