"""Make a 3D model of a piece from its photos: one door to the three ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.limits import DEFAULT_LIMITS, Limits
from orchestrator.domain.material_maps import MaterialMaps
from orchestrator.domain.progress import Progress, no_progress
from orchestrator.domain.quality import Quality
from orchestrator.domain.reconstruct import AUTO_PHOTOS, Mode, ReconstructedMesh, ReconstructOptions
from orchestrator.stages.reconstruct.nerf import nerf
from orchestrator.stages.reconstruct.photogrammetry.photogrammetry import photogrammetry
from orchestrator.stages.reconstruct.single_image.single_image import TrellisSettings, single_image

__all__ = ["ReconstructPrograms", "TrellisSettings", "needed_photos", "reconstruct", "resolved_mode"]

MIN_PHOTOS = {Mode.PHOTOGRAMMETRY: 3, Mode.NERF: 3, Mode.SINGLE_IMAGE: 1}
"""Two photos have no third to verify what they agree on."""


@dataclass(frozen=True)
class ReconstructPrograms:
    """What the operator set up beside the built-in ways."""

    meshroom: str = ""  # a meshroom_batch executable
    trellis: TrellisSettings | None = None


def resolved_mode(mode: Mode, photos: int) -> Mode:
    """The way that AUTO takes with so many photos; any other stays."""
    if mode is not Mode.AUTO:
        return mode
    return Mode.PHOTOGRAMMETRY if photos >= AUTO_PHOTOS else Mode.SINGLE_IMAGE


def needed_photos(mode: Mode) -> int:
    """The fewest photos that a way can work with."""
    return MIN_PHOTOS[mode]


def reconstruct(
    photos: Sequence[Path],
    masks: Sequence[Path],
    looks: Sequence[Path],
    maps: MaterialMaps | None,
    options: ReconstructOptions,
    quality: Quality,
    folder: Path,
    *,
    programs: ReconstructPrograms,
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> ReconstructedMesh:
    """Make the model in ``folder``; after a crash, the same call goes on at the part that was running.

    Args:
        photos: upright pictures that Pillow reads, with the focal length in their EXIF where it is known.
        masks: 8-bit grey PNG of the photos' sizes, 255 on the piece.
        looks: pictures of the photos' sizes that give the colours in their place, such as stained ones; or none.
        maps: what the models say of the first photo; only a model from a single photo uses them.

    Raises:
        InvalidInput: too few photos, or dimensions that the piece can't have.
        ToolFailed: a program is missing or failed, or the photos can't be put together; with what to shoot again.
        ModelUnavailable: the image-to-3D server does not answer.
        DeadlineExceeded, Canceled: as in ``tools.program.run_program``.
    """
    mode = resolved_mode(options.mode, len(photos))
    if mode is Mode.SINGLE_IMAGE:
        look = looks[0] if looks else None
        return single_image(
            photos[0], masks[0], maps, options, quality, folder, look=look, trellis=programs.trellis, limits=limits,
            progress=progress,
        )  # fmt: skip
    if mode is Mode.NERF:
        return nerf(photos, masks, options, quality, folder, looks=looks, limits=limits, progress=progress)
    return photogrammetry(
        photos, masks, options, quality, folder, looks=looks, meshroom=programs.meshroom, limits=limits,
        progress=progress,
    )  # fmt: skip
