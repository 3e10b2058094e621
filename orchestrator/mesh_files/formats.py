"""Detects the format of a 3D file from its first bytes. The extension decides only between text formats."""

from __future__ import annotations

import re
import zlib

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.limits import InvalidMeshFile, quoted

ALLOWED = "allowed are GLB, glTF with its data inside, OBJ, STL, PLY, FBX, USDZ, and a zip of one model and its files"
BLEND = "a Blender file, which may contain scripts; export a GLB from Blender and send that"
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
SEEK_TABLE = b"\xb1\xea\x92\x8f"
"""End of a "Zstandard Seekable Format" 0.1.0 file, which is how Blender saves since 3.0."""
HEAD_BYTES = 4096
"""Number of bytes that detection reads, except where it searches for the first vertex of an OBJ."""
MESH_SIGNATURES = {
    b"glTF": MeshFormat.GLB,
    b"Kaydara FBX Binary": MeshFormat.FBX,
    b"ply\n": MeshFormat.PLY,
    b"ply\r": MeshFormat.PLY,
}
OTHER_SIGNATURES = {
    b"GIF8": "a GIF",
    b"%PDF": "a PDF",
    b"II*\0": "a TIFF or a raw photo",
    b"MM\0*": "a TIFF or a raw photo",
    b"BM": "a BMP",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\xff\xd8": "a JPEG",
    b"\x89PNG": "a PNG",
    b"RIFF": "a WebP",
    GZIP: "a compressed file",
    ZSTANDARD: "a compressed file",
}
OBJ_VERTEX = re.compile(rb"(?:^|[\r\n])[ \t]*v[ \t]+[-+.\dnNiI]")
HTML = re.compile(rb"\s*<(?:!doctype|html|head|body)", re.IGNORECASE)
XML = re.compile(rb"\s*<(?:svg|\?xml)", re.IGNORECASE)
STL_HEADER_SIZE = 84
STL_FACET_SIZE = 50


def detect_format(data: bytes, extension: str) -> MeshFormat:
    """Return the format of a file that is not a zip.

    Args:
        extension: in lower case without the dot, as the caller named the file.

    Raises:
        InvalidMeshFile: it is of another kind, which the message names if it is known.
    """
    head = data[:HEAD_BYTES]
    is_binary = b"\0" in head
    for signature, format in MESH_SIGNATURES.items():
        if head.startswith(signature):
            return format
    if is_binary_stl(data):
        return MeshFormat.STL
    if kind := _other_kind(data, extension):
        raise InvalidMeshFile(kind)
    if head.lstrip().startswith(b"{") or (extension == "gltf" and not is_binary):
        return MeshFormat.GLTF
    if extension == "stl" or (head.lstrip().startswith(b"solid") and b"facet" in head):
        return MeshFormat.STL
    if extension == "obj" or (not is_binary and OBJ_VERTEX.search(data)):
        return MeshFormat.OBJ
    raise InvalidMeshFile(f"it is no 3D model of a known format: it begins with {quoted(head[:12])}; {ALLOWED}")


def is_binary_stl(data: bytes) -> bool:
    """Whether the file has exactly the size that its facet count needs."""
    return len(data) > STL_HEADER_SIZE and len(data) == binary_stl_size(data)


def binary_stl_size(data: bytes) -> int:
    """The size of a binary STL with the facet count in ``data``, which has at least STL_HEADER_SIZE bytes."""
    return STL_HEADER_SIZE + STL_FACET_SIZE * int.from_bytes(data[80:84], "little")


def _other_kind(data: bytes, extension: str) -> str:
    """Why the file is rejected if it is of a kind that people often send instead of a 3D model; else empty."""
    head = data[:HEAD_BYTES]
    if _is_blend(data, extension):
        return f"it looks like {BLEND}"
    if head.lstrip()[:5] == b"; FBX" or b"FBXHeaderExtension" in head:
        return "it is an FBX as text, which Blender cannot read; save it as binary FBX"
    if head.startswith((b"#usda", b"PXR-USDC")):
        return "it is a USD layer without its package; send it as USDZ"
    kind = next((name for signature, name in OTHER_SIGNATURES.items() if head.startswith(signature)), "")
    if head[4:8] == b"ftyp":
        kind = "a HEIC photo or a video"
    elif HTML.match(head):
        kind = "an HTML page"
    elif XML.match(head):
        kind = "an SVG or XML file"
    return f"it looks like {kind}; {ALLOWED}" if kind else ""


def _is_blend(data: bytes, extension: str) -> bool:
    """Whether the file is a Blender file: plain, compressed by gzip (before 3.0) or by Zstandard (since 3.0).

    Stops files that can contain Python scripts.
    """
    if data.startswith(ZSTANDARD):
        return extension == "blend" or data.endswith(SEEK_TABLE)
    if data.startswith(GZIP):
        try:
            data = zlib.decompressobj(31).decompress(data[:HEAD_BYTES], 16)
        except zlib.error:
            return extension == "blend"
    return data.startswith(b"BLENDER")
