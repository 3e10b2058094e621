"""Opens the 3D file that an export starts from."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.errors import InvalidInput
from orchestrator.mesh_files.limits import InvalidMeshFile
from orchestrator.mesh_files.mesh_file import open_mesh_file

UNITLESS_FORMATS = (MeshFormat.OBJ, MeshFormat.STL, MeshFormat.PLY)
"""Formats without a unit of length; metres are assumed."""


def unpack_source(source: Path, folder: Path) -> tuple[Path, MeshFormat]:
    """Write the mesh file of ``source`` and all files that belong to it to ``folder/source``.

    Returns:
        The path of the mesh file, and its format as its content shows it.

    Raises:
        InvalidInput: it is not a 3D file of a known format, or an archive that is not allowed.
    """
    target = folder / "source"
    shutil.rmtree(target, ignore_errors=True)
    try:
        mesh = open_mesh_file(source.read_bytes(), source.name)
        return mesh.write(target), mesh.format
    except InvalidMeshFile as error:
        raise InvalidInput("model", str(error)) from None
