"""Check a USDZ package (Pixar, "Usdz File Format Specification", 1.3): stored, aligned, and sufficient to itself."""

from __future__ import annotations

import posixpath
import re
import zipfile

from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.gltf_json import leads_out
from orchestrator.mesh_files.image_header import Textures
from orchestrator.mesh_files.limits import Refused, empty, shown

ALIGNMENT = 64
LAYERS = ("usd", "usda", "usdc")
PICTURES = ("png", "jpg", "jpeg", "exr", "avif")
SOUNDS = ("m4a", "mp3", "wav")
ASSET_PATH = re.compile(rb"@([^@\r\n]{1,4096})@")
TEXT, BINARY = b"#usda 1.0", b"PXR-USDC"
SHAPES = re.compile(rb"\b(?:Mesh|Cube|Sphere|Cylinder|Cone|Capsule|Plane)\b")


def check_usdz(archive: Archive) -> None:
    """Check the package; what a binary layer (crate) refers to can only be told by USD itself.

    Raises:
        Refused: an entry is compressed, misaligned, of another kind, or leads out of the package.
    """
    files = [name for name, info in archive.entries.items() if not info.is_dir()]
    if not files or extension(files[0]) not in LAYERS:
        first = shown(files[0]) if files else "nothing"
        raise Refused(f"the first entry of the USDZ is {first}; it must be one of .usd, .usda and .usdc")
    textures = Textures()
    for name in files:
        kind, start = extension(name), archive.starts[name]
        if archive.entries[name].compress_type != zipfile.ZIP_STORED:
            raise Refused(f"entry {shown(name)} of the USDZ is compressed; allowed are stored entries only")
        if start % ALIGNMENT:
            raise Refused(
                f"entry {shown(name)} of the USDZ begins at byte {start}; it must be a multiple of {ALIGNMENT}"
            )
        if kind not in (*LAYERS, *PICTURES, *SOUNDS):
            allowed = ", ".join((*LAYERS, *PICTURES, *SOUNDS))
            raise Refused(f"entry {shown(name)} of the USDZ is of a kind that is not allowed; allowed are {allowed}")
        if kind in PICTURES:
            textures.add(archive.read(name, "the USDZ"), f"texture {shown(name)}")
    _check_layers(archive, [name for name in files if extension(name) in LAYERS])


def _check_layers(archive: Archive, names: list[str]) -> None:
    shapes = False
    for name in names:
        data = archive.read(name, "the USDZ")
        if data.startswith(BINARY):
            shapes = True
        elif data.startswith(TEXT):
            for match in ASSET_PATH.finditer(data):
                _check_reference(match[1].decode("utf-8", "replace"), name)
            shapes = shapes or SHAPES.search(data) is not None
        else:
            raise Refused(f"entry {shown(name)} of the USDZ is no USD layer: it begins with {shown(data[:8])}")
    if not shapes:
        raise empty("no layer of the USDZ has a shape")


def _check_reference(path: str, layer: str) -> None:
    """A path may climb, as long as it stays in the package."""
    parts = posixpath.normpath(posixpath.join(posixpath.dirname(layer), path))
    reason = leads_out(path.replace("..", "__")) or ("leads out with .." if parts.split("/")[0] == ".." else "")
    if reason:
        raise Refused(f"the path {shown(path)} in {shown(layer)} {reason}; allowed are paths inside the package")
