"""Reconstructs a 3D model of a piece from its photos. METHODS lists the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import (
    Mode,
    ReconstructedMesh,
    ReconstructOptions,
    ReconstructPrograms,
    TrellisSettings,
    needed_photos,
    resolved_mode,
)
from orchestrator.stages.reconstruct.nerf import nerf
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from orchestrator.stages.reconstruct.task import ReconstructTask

__all__ = ["ReconstructPrograms", "TrellisSettings", "needed_photos", "reconstruct", "resolved_mode"]

METHODS: dict[Mode, Callable[[ReconstructTask], ReconstructedMesh]] = {
    Mode.PHOTOGRAMMETRY: photogrammetry,
    Mode.NERF: nerf,
    Mode.SINGLE_IMAGE: single_image,
}


def reconstruct(
    photos: Sequence[Path],
    masks: Sequence[Path],
    color_photos: Sequence[Path],
    maps: MaterialMaps | None,
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    programs: ReconstructPrograms,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Reconstruct a 3D model in ``folder``. After a crash, the same call continues after the last finished phase.

    Args:
        photos: upright, in any format that Pillow reads, with the focal length in EXIF if known.
        masks: 8-bit grey PNG of the photos' sizes, 255 on the piece.
        color_photos: photos of the same sizes that give the texture, such as stained ones; may be empty.
        maps: model outputs for the first photo; only single_image uses them.
        programs: optional programs and servers that the operator has configured.

    Raises:
        InvalidInput: too few photos, or a photo or mask that cannot be used.
        ToolFailed: a program is missing or failed, or the photos do not fit together; the message names the photos to
            take again.
        ModelUnavailable: the image-to-3D server does not answer.
        DeadlineExceeded, Canceled: see ``tools.program.run_program``.
    """
    task = ReconstructTask(
        photos=photos,
        masks=masks,
        options=options,
        quality=quality,
        folder=folder,
        color_photos=color_photos,
        maps=maps,
        programs=programs,
        limits=limits,
        progress=progress,
    )
    return METHODS[resolved_mode(options.mode, len(photos))](task)
