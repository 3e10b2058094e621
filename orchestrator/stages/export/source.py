"""Finds the model in what was uploaded: a file of one format, or a zip with the model and what belongs to it."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from orchestrator.domain.export import MeshFormat
from orchestrator.errors import InvalidInput

BY_SUFFIX = {
    ".glb": MeshFormat.GLB,
    ".gltf": MeshFormat.GLTF,
    ".fbx": MeshFormat.FBX,
    ".obj": MeshFormat.OBJ,
    ".stl": MeshFormat.STL,
    ".ply": MeshFormat.PLY,
    ".usdz": MeshFormat.USDZ,
}
MAGIC = {
    b"glTF": MeshFormat.GLB,
    b"Kaydara FBX Binary": MeshFormat.FBX,
    b"ply\n": MeshFormat.PLY,
    b"ply\r": MeshFormat.PLY,
}
USD_LAYERS = (".usd", ".usda", ".usdc")
UNITLESS = (MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)
"""Formats that have no unit: metres are assumed."""
MAX_UNPACKED_BYTES, MAX_MEMBERS = 2 << 30, 5000


def find_model(source: Path, folder: Path) -> tuple[Path, MeshFormat]:
    """Put the model, and what belongs to it, into ``folder``; return its path there and its format.

    What the file's first bytes say counts more than its name.

    Raises:
        InvalidInput: no model of a known format is in it, or more than one, or the archive is unsafe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file:
        head = file.read(512)
    if head[:4] == b"PK\x03\x04":
        return _unzipped(source, folder)
    format = next((one for magic, one in MAGIC.items() if head.startswith(magic)), None)
    format = format or BY_SUFFIX.get(source.suffix.lower()) or (MeshFormat.GLTF if head.lstrip()[:1] == b"{" else None)
    if format is None:
        allowed = ", ".join(one.value for one in MeshFormat)
        raise InvalidInput("model", f"{source.name!r} is no 3D model of a known format; allowed are {allowed}")
    target = folder / f"source.{format.value}"
    shutil.copyfile(source, target)
    return target, format


def _unzipped(source: Path, folder: Path) -> tuple[Path, MeshFormat]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            names = [PurePosixPath(one.filename) for one in members]
            if any(one.suffix.lower() in USD_LAYERS for one in names[:1]):
                target = folder / "source.usdz"
                shutil.copyfile(source, target)
                return target, MeshFormat.USDZ
            _check(members, names)
            inside = folder / "source"
            shutil.rmtree(inside, ignore_errors=True)
            for one in members:
                archive.extract(one, inside)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise InvalidInput("model", f"the zip cannot be unpacked: {type(error).__name__}") from None
    # macOS puts shadows of all files beside them.
    models = [one for one in names if one.suffix.lower() in BY_SUFFIX and one.parts[0] != "__MACOSX"]
    if len(models) != 1:
        found = ", ".join(str(one) for one in models[:5]) or "none"
        raise InvalidInput("model", f"the zip must hold one model; it holds {len(models)} ({found})")
    return inside / models[0], BY_SUFFIX[models[0].suffix.lower()]


def _check(members: list[zipfile.ZipInfo], names: list[PurePosixPath]) -> None:
    for one, name in zip(members, names, strict=True):
        if name.is_absolute() or ".." in name.parts or "\\" in one.filename or ":" in one.filename:
            raise InvalidInput("model", f"the zip holds {one.filename[:80]!r}; names must stay inside it")
        if stat.S_ISLNK(one.external_attr >> 16):
            raise InvalidInput("model", f"the zip holds a link, {one.filename[:80]!r}; only files are allowed")
    if len(members) > MAX_MEMBERS:
        raise InvalidInput("model", f"the zip holds {len(members)} files; at most {MAX_MEMBERS} are allowed")
    total = sum(one.file_size for one in members)
    if total > MAX_UNPACKED_BYTES:
        raise InvalidInput("model", f"the zip unpacks to {total >> 20} MB; {MAX_UNPACKED_BYTES >> 20} MB are allowed")
