"""Checks the package of a USDZ (Pixar, "Usdz File Format Specification", 1.3). USD checks the layers."""

from __future__ import annotations

from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.limits import InvalidMeshFile, quoted
from orchestrator.mesh_files.mesh_file import USD_LAYERS, MeshFile
from orchestrator.mesh_files.textures import check_textures

ALIGNMENT = 64  # of the data of each entry, in bytes
TEXTURES = ("png", "jpg", "jpeg", "exr", "avif")
SOUNDS = ("m4a", "mp3", "wav")
ALLOWED_EXTENSIONS = (*USD_LAYERS, *TEXTURES, *SOUNDS)


def check_usdz(mesh: MeshFile) -> None:
    """Reject files that a USDZ must not contain, and entries that are not aligned, because USD maps them into memory.

    Raises InvalidMeshFile.
    """
    archive = mesh.archive or Archive(mesh.data)
    for name in archive.files():
        offset = archive.data_offsets[name]
        if offset % ALIGNMENT:
            problem = f"begins at byte {offset}; the offset must be a multiple of {ALIGNMENT}"
            raise InvalidMeshFile(f"entry {quoted(name)} of the USDZ {problem}")
        if extension(name) not in ALLOWED_EXTENSIONS:
            rule = f"allowed are {', '.join(ALLOWED_EXTENSIONS)}"
            raise InvalidMeshFile(f"entry {quoted(name)} of the USDZ is not allowed; {rule}")
    check_textures(archive, [name for name in archive.files() if extension(name) in TEXTURES])
