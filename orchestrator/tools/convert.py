"""Other 3D formats to GLB and GLB to other formats, with Blender.

Frames and units: Blender's importers and exporters are used as they are. OBJ is read and written with +Y up, STL and
PLY with +Z up, as most programs do; none of the three has a unit, metres are meant. FBX and USD say theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.domain.export import MeshFormat
from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.errors import InvalidInput, ToolFailed
from orchestrator.tools.blender import run_blender

REFUSED, NOTE = "REFUSED ", "NOTE "


def import_model(
    source: Path,
    format: MeshFormat,
    target: Path,
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> tuple[str, ...]:
    """Write ``source`` (FBX, OBJ, STL, PLY or USDZ) as the GLB ``target``; return notes.

    Args:
        folder: pictures are read from here only, wherever the model's materials point to.

    Raises:
        InvalidInput: Blender cannot read it, or it has no faces.
        ToolFailed, DeadlineExceeded, Canceled: as ``run_blender``.
    """
    said: list[str] = []
    job = {**_job(source, format, {MeshFormat.GLB: target}), "inside": str(folder.resolve())}
    run_blender(
        "convert", job, folder, executable=executable, limits=limits, progress=progress, on_line=said.append, threads=2
    )
    for line in said:
        if line.startswith(REFUSED):
            raise InvalidInput("model", line.removeprefix(REFUSED))
    if not target.is_file():
        raise ToolFailed(f"Blender wrote nothing of the {format.value.upper()}", tool="blender")
    return tuple(dict.fromkeys(line.removeprefix(NOTE) for line in said if line.startswith(NOTE)))


def export_models(
    base: Path,
    targets: Mapping[MeshFormat, Path],
    folder: Path,
    *,
    executable: str = "",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> None:
    """Write the GLB ``base`` as each of ``targets`` (FBX, OBJ with MTL and pictures beside it, STL, PLY).

    Raises:
        ToolFailed, DeadlineExceeded, Canceled: as ``run_blender``. Targets that are there by then are whole.
    """
    job = _job(base, MeshFormat.GLB, targets)
    run_blender("convert", job, folder, executable=executable, limits=limits, progress=progress, threads=2)


def _job(source: Path, format: MeshFormat, targets: Mapping[MeshFormat, Path]) -> dict[str, object]:
    return {
        "inside": str(source.resolve().parent),
        "source": str(source.resolve()),
        "format": format.value,
        "exports": {one.value: str(path.resolve()) for one, path in targets.items()},
    }
