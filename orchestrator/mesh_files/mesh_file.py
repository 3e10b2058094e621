"""Opens an upload: detects the format of a mesh file, and finds the mesh file in a zip."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.limits import MAX_BYTES, MAX_NAME, InvalidMeshFile, quoted

ZIPPED_FORMATS = ("gltf", "glb", "obj", "fbx", "stl", "ply")
USD_LAYERS = ("usd", "usda", "usdc")
ALLOWED = "allowed are GLB, glTF with its data inside, OBJ, STL, PLY, FBX, USDZ, and a zip of one model and its files"
BLEND = "a Blender file, which may contain scripts; export a GLB from Blender and send that"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
SEEK_TABLE = b"\xb1\xea\x92\x8f"
"""Last bytes of a file in the "Zstandard Seekable Format" 0.1.0, which Blender uses since 3.0."""
HEAD_BYTES = 4096
"""The format is detected from this many bytes. Only an OBJ is searched further, for its first vertex."""
MESH_SIGNATURES = {
    b"glTF": MeshFormat.GLB,
    b"Kaydara FBX Binary": MeshFormat.FBX,
    b"ply\n": MeshFormat.PLY,
    b"ply\r": MeshFormat.PLY,
}
OTHER_KINDS = {
    rb"\s*; FBX|.*FBXHeaderExtension": "an FBX as text, which Blender cannot read; save it as binary FBX",
    rb"#usda|PXR-USDC": "a USD layer without its package; send it as USDZ",
    rb"....ftyp": f"a HEIC photo or a video; {ALLOWED}",
    rb"(?i:\s*<(?:!doctype|html|head|body))": f"an HTML page; {ALLOWED}",
    rb"(?i:\s*<(?:svg|\?xml))": f"an SVG or XML file; {ALLOWED}",
    rb"\xff\xd8": f"a JPEG; {ALLOWED}",
    rb"\x89PNG": f"a PNG; {ALLOWED}",
    rb"RIFF": f"a WebP; {ALLOWED}",
    rb"GIF8": f"a GIF; {ALLOWED}",
    rb"BM": f"a BMP; {ALLOWED}",
    rb"II\*\0|MM\0\*": f"a TIFF or a raw photo; {ALLOWED}",
    rb"%PDF": f"a PDF; {ALLOWED}",
    rb"\x7fELF|MZ": f"a program; {ALLOWED}",
    rb"\x1f\x8b|\x28\xb5\x2f\xfd": f"a compressed file; {ALLOWED}",
}
"""Beginnings of files that people send instead of a 3D model, and what they are."""
OBJ_VERTEX = re.compile(rb"(?:^|[\r\n])[ \t]*v[ \t]+[-+.\dnNiI]")
STL_HEADER_SIZE = 84
STL_FACET_SIZE = 50


@dataclass(frozen=True)
class MeshFile:
    """An uploaded 3D file."""

    data: bytes  # content of the mesh file; in a zip, of the entry ``main``
    format: MeshFormat
    archive: Archive | None = None  # the zip that was uploaded; a USDZ is a zip too
    main: str = ""  # name of the entry that is the mesh file, if the upload is a zip; empty for a USDZ

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
        InvalidMeshFile: the file is empty or too large, is not a 3D file, or is a zip that ``Archive`` rejects.
    """
    if not data:
        raise InvalidMeshFile(f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise InvalidMeshFile(f"{len(data)} bytes are too many; at most {MAX_BYTES} are allowed")
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
        problem = f"holds {format.value.upper()}; its name must end in .{format.value}"
        raise InvalidMeshFile(f"entry {quoted(main)} {problem}")
    return MeshFile(entry, format, archive, main)


def _find_mesh(archive: Archive) -> str:
    if blends := archive.files_with("blend"):
        raise InvalidMeshFile(f"entry {quoted(blends[0])} is {BLEND}")
    meshes = archive.files_with(*ZIPPED_FORMATS)
    if len(meshes) != 1:
        names = ", ".join(quoted(name) for name in meshes[:4]) or "none"
        rule = f"the archive must hold one model ({', '.join(ZIPPED_FORMATS)})"
        raise InvalidMeshFile(f"{rule}; it holds {len(meshes)}: {names}")
    return meshes[0]


def detect_format(data: bytes, extension: str) -> MeshFormat:
    """Return the format of a file that is not a zip. The extension decides only between text formats.

    Args:
        extension: in lower case without the dot, as the caller named the file.

    Raises:
        InvalidMeshFile: the file has another format. The message names that format if it is known.
    """
    head = data[:HEAD_BYTES]
    for signature, format in MESH_SIGNATURES.items():
        if head.startswith(signature):
            return format
    if len(data) > STL_HEADER_SIZE and len(data) == binary_stl_size(data):
        return MeshFormat.STL
    if _is_blend(data, extension):
        raise InvalidMeshFile(f"it looks like {BLEND}")
    for pattern, kind in OTHER_KINDS.items():
        if re.match(pattern, head, re.DOTALL):
            raise InvalidMeshFile(f"it looks like {kind}")
    if head.lstrip().startswith(b"{") or (extension == "gltf" and is_text(head)):
        return MeshFormat.GLTF
    if extension == "stl" or (head.lstrip().startswith(b"solid") and b"facet" in head):
        return MeshFormat.STL
    if extension == "obj" or (is_text(head) and OBJ_VERTEX.search(data)):
        return MeshFormat.OBJ
    raise InvalidMeshFile(f"it is no 3D model of a known format: it begins with {quoted(head[:12])}; {ALLOWED}")


def is_text(data: bytes) -> bool:
    """Return whether the first HEAD_BYTES contain no NUL byte."""
    return b"\0" not in data[:HEAD_BYTES]


def binary_stl_size(data: bytes) -> int:
    """Return the size that a binary STL must have for the facet count in its header."""
    return STL_HEADER_SIZE + STL_FACET_SIZE * int.from_bytes(data[80:84], "little")


def _is_blend(data: bytes, extension: str) -> bool:
    """Return whether this is a Blender file: plain, compressed by gzip (before 3.0) or by Zstandard (since 3.0).

    Blender files can contain Python scripts, so they are rejected.
    """
    if data.startswith(ZSTANDARD):
        return extension == "blend" or data.endswith(SEEK_TABLE)
    if data.startswith(GZIP):
        try:
            data = zlib.decompressobj(wbits=31).decompress(data[:HEAD_BYTES], 16)  # 31: with a gzip header
        except zlib.error:
            return extension == "blend"
    return data.startswith(b"BLENDER")
