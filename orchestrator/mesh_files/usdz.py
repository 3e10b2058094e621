"""Checks the package of a USDZ (Pixar, "Usdz File Format Specification", 1.3). Its layers are left to USD."""

from __future__ import annotations

import zipfile

from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.limits import InvalidMeshFile, quoted
from orchestrator.mesh_files.mesh_file import USD_LAYERS, MeshFile
from orchestrator.mesh_files.textures import check_textures

ALIGNMENT = 64
TEXTURES = ("png", "jpg", "jpeg", "exr", "avif")
SOUNDS = ("m4a", "mp3", "wav")
ALLOWED_EXTENSIONS = (*USD_LAYERS, *TEXTURES, *SOUNDS)
USD_SIGNATURES = (b"#usda 1.0", b"PXR-USDC")


def check_usdz(mesh: MeshFile) -> None:
    """Check the entries of a USDZ.

    Stops entries that USD maps into memory at an offset of the sender's choice, and files that no USDZ may contain.

    Raises:
        InvalidMeshFile: an entry is compressed, misaligned or of a kind that is not allowed, or a texture is too large.
    """
    archive = mesh.archive or Archive(mesh.data)
    files = archive.files()
    if not files or extension(files[0]) not in USD_LAYERS:
        first = quoted(files[0]) if files else "nothing"
        raise InvalidMeshFile(f"the first entry of the USDZ is {first}; it must be a .usd, .usda or .usdc file")
    for name in files:
        offset = archive.data_offsets[name]
        if archive.entries[name].compress_type != zipfile.ZIP_STORED:
            raise InvalidMeshFile(f"entry {quoted(name)} of the USDZ is compressed; allowed are stored entries only")
        if offset % ALIGNMENT:
            raise InvalidMeshFile(
                f"entry {quoted(name)} of the USDZ begins at byte {offset}; it must be a multiple of {ALIGNMENT}"
            )
        if extension(name) not in ALLOWED_EXTENSIONS:
            kinds = ", ".join(ALLOWED_EXTENSIONS)
            raise InvalidMeshFile(f"the kind of entry {quoted(name)} of the USDZ is not allowed; allowed are {kinds}")
        data = archive.read(name)
        if extension(name) in USD_LAYERS and not data.startswith(USD_SIGNATURES):
            raise InvalidMeshFile(
                f"entry {quoted(name)} of the USDZ is no USD layer: it begins with {quoted(data[:8])}"
            )
    check_textures(archive, [name for name in files if extension(name) in TEXTURES])
