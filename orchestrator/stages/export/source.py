"""Opens the 3D file that an export starts from."""

from __future__ import annotations

from pathlib import Path

from orchestrator.decoding.meshes import unpack_mesh
from orchestrator.domain.export import MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.untrusted_folder import remove_untrusted
from orchestrator.tools.convert import convert_mesh

GLTF_FORMATS = (MeshFormat.GLB, MeshFormat.GLTF)


def open_source(
    source: Path, folder: Path, *, blender: str, limits: Limits = DEFAULT_LIMITS, progress: Progress = no_progress
) -> tuple[Path, MeshFormat, tuple[str, ...]]:
    """Unpack the mesh file of ``source`` and all files that belong to it, and convert it to GLB if it is not glTF.

    Returns:
        The GLB or glTF in ``folder``, the format of ``source`` by its content, and notes for the report.

    Raises:
        InvalidInput: ``source`` is not a 3D file of a known format, is a forbidden archive, or cannot be read.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_program``.
    """
    unpacked, imported = folder / "source", folder / "imported.glb"
    remove_untrusted(unpacked)
    mesh = unpack_mesh(source, source.name, unpacked, "model", is_checked=False)
    if mesh.format in GLTF_FORMATS:
        return mesh.path, mesh.format, ()
    imported.unlink(missing_ok=True)
    targets = {MeshFormat.GLB: imported}
    notes = convert_mesh(mesh.path, mesh.format, targets, folder, blender=blender, limits=limits, progress=progress)
    return imported, mesh.format, notes
