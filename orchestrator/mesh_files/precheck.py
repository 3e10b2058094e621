"""The checks of a 3D file that need no reader: its format, its counts and its references."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.export import MeshFormat
from orchestrator.mesh_files.blender_formats import check_fbx, check_obj, check_ply, check_stl
from orchestrator.mesh_files.gltf import check_gltf
from orchestrator.mesh_files.mesh_file import MeshFile, open_mesh_file
from orchestrator.mesh_files.usdz import check_usdz

FORMAT_CHECKS: dict[MeshFormat, Callable[[MeshFile], None]] = {
    MeshFormat.GLB: check_gltf,
    MeshFormat.GLTF: check_gltf,
    MeshFormat.OBJ: check_obj,
    MeshFormat.STL: check_stl,
    MeshFormat.PLY: check_ply,
    MeshFormat.FBX: check_fbx,
    MeshFormat.USDZ: check_usdz,
}


def precheck(data: bytes, filename: str) -> MeshFile:
    """Run the checks that need no reader. Raises InvalidMeshFile if one fails."""
    mesh = open_mesh_file(data, filename)
    FORMAT_CHECKS[mesh.format](mesh)
    return mesh
