"""Reconstructs a piece from one photo. PROVIDERS lists the implementations."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.reconstruct import Provider, ReconstructedMesh
from orchestrator.stages.reconstruct.single_image.local import reconstruct_locally
from orchestrator.stages.reconstruct.single_image.photo import SinglePhoto, read_photo
from orchestrator.stages.reconstruct.single_image.trellis import reconstruct_with_trellis
from orchestrator.stages.reconstruct.task import ReconstructTask

PROVIDERS: dict[Provider, Callable[[ReconstructTask, SinglePhoto], ReconstructedMesh]] = {
    Provider.LOCAL: reconstruct_locally,
    Provider.TRELLIS: reconstruct_with_trellis,
}


def single_image(task: ReconstructTask) -> ReconstructedMesh:
    """Return the reconstruction of the first photo of the task.

    Raises:
        InvalidInput: see ``read_photo``; also if the provider is not configured.
        ToolFailed: the piece is too thin in the photo, or the image-to-3D server failed.
        ModelUnavailable: the image-to-3D server does not answer.
        DeadlineExceeded, Canceled: raised by ``task.progress`` or ``tools.trellis.generate_glb``.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    color_photo = task.color_photos[0] if task.color_photos else None
    photo = read_photo(task.photos[0], task.masks[0], color_photo)
    return PROVIDERS[task.options.provider](task, photo)
