"""Checks the header of a binary FBX. The rest is left to Blender."""

from __future__ import annotations

from orchestrator.mesh_files.limits import InvalidMeshFile
from orchestrator.mesh_files.mesh_file import MeshFile
from orchestrator.mesh_files.textures import TEXTURE_EXTENSIONS, check_textures

MAGIC = b"Kaydara FBX Binary  \0\x1a\0"
HEADER_SIZE = len(MAGIC) + 4
MIN_VERSION = 7100
"""The oldest version that Blender's importers read."""
MAX_VERSION = 7700
"""The newest version of Autodesk's SDK."""


def check_fbx(mesh: MeshFile) -> None:
    """Check the version of an FBX, and all textures beside it, because its references to textures are not read here.

    Raises:
        InvalidMeshFile: the version is not supported, or a texture is too large.
    """
    if len(mesh.data) < HEADER_SIZE:
        raise InvalidMeshFile(f"the FBX is cut short: it has {len(mesh.data)} bytes; its header needs {HEADER_SIZE}")
    version = int.from_bytes(mesh.data[len(MAGIC) : HEADER_SIZE], "little")
    if not MIN_VERSION <= version <= MAX_VERSION:
        raise InvalidMeshFile(f"the FBX is of version {version}; allowed are {MIN_VERSION} to {MAX_VERSION}")
    if mesh.archive is not None:
        check_textures(mesh.archive, mesh.archive.files_with(*TEXTURE_EXTENSIONS))
