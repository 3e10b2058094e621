"""The door for 3D files: tell what a file is by its content, and refuse what is damaged, too large or reaches out.

Nothing here starts a program or writes a file. What passes is well-formed in all that is counted here; geometry that is
compressed (Draco, meshopt, FBX's and USD's own ways aside) is counted, not seen.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from dataclasses import dataclass, replace

from orchestrator.domain.export import MEDIA_TYPES, ZIP, MeshFormat
from orchestrator.errors import InvalidInput
from orchestrator.imaging.photo import SIGNATURES
from orchestrator.mesh_files import fbx
from orchestrator.mesh_files.archive import Archive, extension
from orchestrator.mesh_files.gltf import GltfInfo, check_glb, check_gltf
from orchestrator.mesh_files.image_header import TEXTURES, Textures
from orchestrator.mesh_files.limits import MAX_BYTES, MAX_NAME, Refused, shown
from orchestrator.mesh_files.obj import beside, check_mtl, check_obj
from orchestrator.mesh_files.stl_ply import check_binary_stl, check_ply, check_text_stl, is_binary_stl
from orchestrator.mesh_files.usdz import LAYERS, check_usdz

__all__ = ["MAX_BYTES", "ModelFileInfo", "check_model"]

ALLOWED = "allowed are GLB, glTF with its data inside, OBJ, STL, PLY, FBX, USDZ, and a zip of one model and its files"
IN_ARCHIVE = ("gltf", "glb", "obj", "fbx", "stl", "ply")
BLEND = "a Blender file, which may carry scripts; export a GLB from Blender and send that"
GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SEEK_TABLE = b"\xb1\xea\x92\x8f"  # "Zstandard Seekable Format", 0.1.0
OBJ_VERTEX = re.compile(rb"(?:^|[\r\n])[ \t]*v[ \t]+[-+.\dnNiI]")
HTML = re.compile(rb"\s*<(?:!doctype|html|head|body)", re.IGNORECASE)


@dataclass(frozen=True)
class ModelFileInfo:
    """What a 3D file is.

    Attributes:
        triangles: as often as they are shown; 0 where only the format's own library can tell (USDZ).
        materials: their names, in the order of the file, where the format has names outside of packed data.
        compression: ``draco`` or ``meshopt`` where the geometry is packed, so that only its counts were checked.
        main: the entry that is the model, where the file is a zip of it and what belongs to it.
    """

    format: MeshFormat
    media_type: str
    triangles: int
    materials: tuple[str, ...] = ()
    compression: str = ""
    main: str = ""

    @property
    def archive(self) -> bool:
        """Whether the file is a zip of a model; a USDZ, which is a zip too, is a format of its own."""
        return bool(self.main)


def check_model(data: bytes, filename: str, field: str) -> ModelFileInfo:
    """Return what the file is, once it is known to be harmless.

    Args:
        filename: as the caller named it; only its extension counts, and only where the content leaves a doubt.

    Raises:
        InvalidInput: it is empty, too large, damaged, of another kind, without a triangle, or reaches out of itself.
    """
    try:
        return _checked(data, extension(filename[-MAX_NAME:]))
    except Refused as refusal:
        raise InvalidInput(field, str(refusal)) from None


def _checked(data: bytes, named: str) -> ModelFileInfo:
    if not data:
        raise Refused(f"the file is empty; {ALLOWED}")
    if len(data) > MAX_BYTES:
        raise Refused(f"{len(data)} bytes are too many; a model has at most {MAX_BYTES}")
    head = data[:4096]
    if data.startswith(b"glTF"):
        return _of_gltf(MeshFormat.GLB, check_glb(data))
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _of_archive(Archive(data), named)
    if data.startswith(fbx.MAGIC[:18]):
        return _plain(MeshFormat.FBX, *fbx.check_fbx(data))
    if data.startswith((b"ply\n", b"ply\r")):
        return _plain(MeshFormat.PLY, check_ply(data))
    if is_binary_stl(data):
        return _plain(MeshFormat.STL, check_binary_stl(data))
    _refuse_others(data, named)
    if head.lstrip().startswith(b"{") or (named == "gltf" and not _is_binary(head)):
        return _of_gltf(MeshFormat.GLTF, check_gltf(data))
    if head.lstrip().startswith(b"solid") and (named == "stl" or b"facet" in head):
        return _plain(MeshFormat.STL, check_text_stl(data) if not _is_binary(head) else check_binary_stl(data))
    if named == "stl":
        return _plain(MeshFormat.STL, check_binary_stl(data))
    if named == "obj" or (not _is_binary(head) and OBJ_VERTEX.search(data)):
        made = check_obj(data)
        return _plain(MeshFormat.OBJ, made.triangles, made.materials)
    raise Refused(f"it looks like no 3D model: it begins with {shown(bytes(head[:12]))}; {ALLOWED}")


def _refuse_others(data: bytes, named: str) -> None:
    """Say by name what people send in place of a model."""
    if _is_blend(data, named):
        raise Refused(f"it looks like {BLEND}")
    if data.lstrip()[:5] == b"; FBX" or b"FBXHeaderExtension" in data[:4096]:
        raise Refused("it is an FBX as text, which Blender can't read; save it as binary FBX")
    if data.startswith(b"#usda") or data.startswith(b"PXR-USDC"):
        raise Refused("it is a USD layer without its package; send it as USDZ")
    for signature, name in SIGNATURES:
        if data.startswith(signature) and signature not in (b"PK\x03\x04", b"glTF"):
            raise Refused(f"it looks like {name.replace('damaged ', '')}; {ALLOWED}")
    if data[4:8] == b"ftyp":
        raise Refused(f"it looks like a HEIC photo or a video; {ALLOWED}")
    if HTML.match(data[:1024]):
        raise Refused(f"it looks like an HTML page; {ALLOWED}")
    if data[:1024].lstrip().lower().startswith((b"<svg", b"<?xml")):
        raise Refused(f"it looks like an SVG or XML file; {ALLOWED}")
    if data.startswith((GZIP, ZSTANDARD)):
        raise Refused(f"it looks like a compressed file; {ALLOWED}")


def _is_blend(data: bytes, named: str) -> bool:
    """Blender saves plain, with gzip (before 3.0) or with Zstandard (since)."""
    if data.startswith(GZIP):
        try:
            data = zlib.decompressobj(31).decompress(data[:4096], 16)
        except zlib.error:
            return named == "blend"
    if data.startswith(ZSTANDARD):  # Blender ends the file with a table of its frames
        return named == "blend" or data.endswith(SEEK_TABLE)
    return data.startswith(b"BLENDER")


def _is_binary(head: bytes) -> bool:
    return b"\0" in head


def _plain(format: MeshFormat, triangles: int, materials: tuple[str, ...] = ()) -> ModelFileInfo:
    return ModelFileInfo(format, MEDIA_TYPES[format], triangles, materials)


def _of_gltf(format: MeshFormat, made: GltfInfo) -> ModelFileInfo:
    return ModelFileInfo(format, MEDIA_TYPES[format], made.triangles, made.materials, made.compression)


def _of_archive(archive: Archive, named: str) -> ModelFileInfo:
    first = next((name for name, info in archive.entries.items() if not info.is_dir()), "")
    if named == "usdz" or extension(first) in LAYERS:
        check_usdz(archive)
        return ModelFileInfo(MeshFormat.USDZ, MEDIA_TYPES[MeshFormat.USDZ], 0)
    if blends := archive.names("blend"):
        raise Refused(f"entry {shown(blends[0])} is {BLEND}")
    found = archive.names(*IN_ARCHIVE)
    if len(found) != 1:
        listed = f"these: {', '.join(shown(one) for one in found[:4])}" if found else "none"
        raise Refused(f"the archive must hold one model, of {', '.join(IN_ARCHIVE)}; it holds {listed}")
    main, kind = found[0], extension(found[0])
    data = archive.read(main, "the archive")
    if kind == "gltf":
        folder = posixpath.dirname(main)
        made = _of_gltf(
            MeshFormat.GLTF, check_gltf(data, lambda name: archive.read(posixpath.join(folder, name), "the glTF"))
        )
    elif kind == "obj":
        obj = check_obj(data)
        made = _plain(MeshFormat.OBJ, obj.triangles, _check_materials(archive, main, obj.libraries) or obj.materials)
    else:
        made = _checked(data, kind)
        if made.format.value != kind:
            raise Refused(f"entry {shown(main)} holds {made.format.value.upper()}; its name must say so")
        _check_pictures(archive)
    return replace(made, media_type=ZIP, main=main)


def _check_pictures(archive: Archive) -> None:
    """An FBX names its pictures in ways of its own, so that any beside it may be meant."""
    textures = Textures()
    for name in archive.names(*TEXTURES):
        textures.add(archive.read(name, "the archive"), f"texture {shown(name)}")


def _check_materials(archive: Archive, main: str, libraries: tuple[str, ...]) -> tuple[str, ...]:
    """Check the MTL files beside the OBJ and their textures; what is missing is just not there."""
    names: dict[str, None] = {}
    textures = Textures()
    present = {entry for entry, info in archive.entries.items() if not info.is_dir()}
    seen: set[str] = set()
    for library in (beside(one, main) for one in libraries):
        if library not in present:
            continue
        found, maps = check_mtl(archive.read(library, "mtllib"))
        names |= dict.fromkeys(found)
        for name in (beside(one, library) for one in maps):
            if name in present and name not in seen:
                seen.add(name)
                textures.add(archive.read(name, "the MTL"), f"texture {shown(name)}")
    return tuple(names)
