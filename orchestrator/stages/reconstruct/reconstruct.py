"""Reconstructs a 3D model of a piece from its photos. METHODS lists the methods."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.reconstruct import Mode, ReconstructedMesh, resolved_mode
from orchestrator.stages.reconstruct.nerf import nerf
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from orchestrator.stages.reconstruct.single_image.single_image import single_image
from orchestrator.stages.reconstruct.task import ReconstructTask

METHODS: dict[Mode, Callable[[ReconstructTask], ReconstructedMesh]] = {
    Mode.PHOTOGRAMMETRY: photogrammetry,
    Mode.NERF: nerf,
    Mode.SINGLE_IMAGE: single_image,
}


def reconstruct(task: ReconstructTask) -> ReconstructedMesh:
    """Reconstruct a 3D model. After a crash, the same call continues; see ``ReconstructTask``.

    Raises:
        InvalidInput: too few photos, or a photo or mask that cannot be used.
        ToolFailed: a program is missing or failed, or the photos do not fit together; the message names the photos to
            take again.
        ModelUnavailable: the image-to-3D server does not answer.
        DeadlineExceeded, Canceled: see ``tools.program.run_program``.
    """
    return METHODS[resolved_mode(task.options.mode, len(task.photos))](task)
