"""Converts other mesh formats to GLB, and GLB to other formats, with Blender.

Blender's importers and exporters run with their default axes. OBJ is read and written with +Y up, STL and PLY with
+Z up, as most programs do. These three have no unit; metres are assumed. FBX and USD contain their unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.blender import run_blender

INVALID_PREFIX = "INVALID "
"""Begins a line of the script that says why it rejects its input."""
NOTE_PREFIX = "NOTE "
"""Begins a line of the script with a note for the report."""


def import_mesh(
    source: Path,
    format: MeshFormat,
    target: Path,
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Convert an FBX, OBJ, STL, PLY or USDZ to the GLB ``target``, and return notes for the report.

    Args:
        folder: the working folder. Textures outside it are ignored, whatever paths the file contains.

    Raises:
        InvalidInput: Blender cannot read the file, or it has no faces.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_blender``.
    """
    lines: list[str] = []
    job = _job(source, format, {MeshFormat.GLB: target}, texture_folder=folder)
    run_blender(
        "convert",
        job,
        folder,
        executable=executable,
        limits=limits,
        progress=progress,
        on_line=lines.append,
        threads=2,
    )
    for line in lines:
        if line.startswith(INVALID_PREFIX):
            raise InvalidInput("model", line.removeprefix(INVALID_PREFIX))
    if not target.is_file():
        raise ToolFailed(f"Blender wrote no GLB of the {format.value.upper()}", tool="blender")
    notes = [line.removeprefix(NOTE_PREFIX) for line in lines if line.startswith(NOTE_PREFIX)]
    return tuple(dict.fromkeys(notes))


def export_formats(
    base: Path,
    targets: Mapping[MeshFormat, Path],
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Convert the GLB ``base`` to each of ``targets``: FBX, STL, PLY, or OBJ with its MTL and textures beside it.

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``run_blender``. Targets that exist by then are complete.
    """
    job = _job(base, MeshFormat.GLB, targets, texture_folder=base.parent)
    run_blender("convert", job, folder, executable=executable, limits=limits, progress=progress, threads=2)


def _job(
    source: Path, format: MeshFormat, targets: Mapping[MeshFormat, Path], *, texture_folder: Path
) -> dict[str, object]:
    return {
        "source": str(source.resolve()),
        "format": format.value,
        "texture_folder": str(texture_folder.resolve()),
        "targets": {target.value: str(path.resolve()) for target, path in targets.items()},
    }
