"""Opens an upload: a mesh file, or a zip with one mesh file and the files that it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.formats import ALLOWED, BLEND, ZIP_SIGNATURES, detect_format
from orchestrator.mesh_files.limits import MAX_BYTES, MAX_NAME, InvalidMeshFile, quoted

ZIPPED_FORMATS = ("gltf", "glb", "obj", "fbx", "stl", "ply")
USD_LAYERS = ("usd", "usda", "usdc")


@dataclass(frozen=True)
class MeshFile:
    """An uploaded 3D file.

    Attributes:
        data: the bytes of the mesh file. In a zip, those of the entry ``main``.
        archive: the zip, or the package of a USDZ; None for a single file.
        main: name of the entry that is the mesh file, if the upload is a zip; empty for a USDZ.
    """

    data: bytes
    format: MeshFormat
    archive: Archive | None = None
    main: str = ""

    def write(self, folder: Path) -> Path:
        """Write the mesh file and all files that belong to it into ``folder``, and return the mesh file's path."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.archive is not None and self.main:
            self.archive.unpack(folder)
            return folder / self.main
        path = folder / f"source.{self.format.value}"
        path.write_bytes(self.data)
        return path


def open_mesh_file(data: bytes, filename: str) -> MeshFile:
    """Detect the format of an upload, and find the mesh file in a zip.

    Args:
        filename: as the caller named it. Only the extension is used, and only if the content is ambiguous.

    Raises:
        InvalidMeshFile: it is empty or too large, is not a 3D file, or is a zip that is not allowed.
    """
    if not data:
        raise InvalidMeshFile(f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise InvalidMeshFile(f"{len(data)} bytes are too many; a 3D model has at most {MAX_BYTES}")
    suffix = extension(filename[-MAX_NAME:])
    if not data.startswith(ZIP_SIGNATURES):
        return MeshFile(data, detect_format(data, suffix))
    archive = Archive(data)
    if suffix == "usdz" or extension(next(iter(archive.files()), "")) in USD_LAYERS:
        return MeshFile(data, MeshFormat.USDZ, archive)
    main = _find_mesh(archive)
    entry = archive.read(main)
    format = detect_format(entry, extension(main))
    if format.value != extension(main):
        raise InvalidMeshFile(
            f"entry {quoted(main)} holds {format.value.upper()}; its name must end in .{format.value}"
        )
    return MeshFile(entry, format, archive, main)


def _find_mesh(archive: Archive) -> str:
    if blends := archive.files_with("blend"):
        raise InvalidMeshFile(f"entry {quoted(blends[0])} is {BLEND}")
    meshes = archive.files_with(*ZIPPED_FORMATS)
    if len(meshes) != 1:
        names = ", ".join(quoted(name) for name in meshes[:4]) or "none"
        raise InvalidMeshFile(
            f"the archive must hold one model, of {', '.join(ZIPPED_FORMATS)}; it holds {len(meshes)} ({names})"
        )
    return meshes[0]
