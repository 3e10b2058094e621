"""Converts other mesh formats to GLB, and GLB to other formats, with Blender.

Blender's importers and exporters run with their default axes. OBJ is read and written with +Y up, STL and PLY with
+Z up, as most programs do. These three have no unit; metres are assumed. FBX and USD contain their unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.domain.limits import Limits
from orchestrator.domain.progress import Progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.blender import run_blender
from orchestrator.tools.server_paths import remove_folders

INVALID_PREFIX = "INVALID "  # output lines with the reason why the script rejects its input begin with this
NOTE_PREFIX = "NOTE "  # output lines with a note for the report begin with this


def convert_mesh(
    source: Path,
    format: MeshFormat,
    targets: Mapping[MeshFormat, Path],
    folder: Path,
    *,
    blender: str,
    limits: Limits,
    progress: Progress,
) -> tuple[str, ...]:
    """Convert a GLB, FBX, OBJ, STL, PLY or USDZ to each of ``targets``, and return notes for the report.

    Args:
        targets: paths of a GLB, FBX, STL, PLY, or of an OBJ that gets its MTL and textures beside it.
        folder: the working folder. Textures outside it are ignored, whatever paths the file contains.

    Raises:
        InvalidInput: Blender cannot read the file, or it has no faces.
        ToolFailed, DeadlineExceeded, Canceled: see ``run_blender``. Targets that were written before are complete.
    """
    lines: list[str] = []
    job = {
        "source": str(source.resolve()),
        "format": format.value,
        "texture_folder": str(folder.resolve()),
        "targets": {target.value: str(path.resolve()) for target, path in targets.items()},
    }
    run_blender("convert", job, folder, executable=blender, limits=limits, progress=progress, on_line=lines.append)
    for line in lines:
        if line.startswith(INVALID_PREFIX):
            raise InvalidInput("model", remove_folders(line.removeprefix(INVALID_PREFIX), folder.resolve()))
    for target, path in targets.items():
        if not path.is_file():
            raise ToolFailed(f"Blender wrote no {target.value.upper()} for the {format.value.upper()}", tool="blender")
    return tuple(dict.fromkeys(line.removeprefix(NOTE_PREFIX) for line in lines if line.startswith(NOTE_PREFIX)))
